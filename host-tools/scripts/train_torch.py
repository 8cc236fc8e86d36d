"""Trains a network as Kinglet does, in PyTorch; written by `kinglet recipe --pytorch`.

    python train.py --data IMAGES --out RUN            one machine, its GPU if there is one
    torchrun --nproc-per-node 8 train.py ...           DistributedDataParallel

IMAGES holds train/class/file.png and test/class/file.png: a folder, or WebDataset's tars train*.tar and test*.tar (with
key.jpg beside key.cls, or class/file.jpg). Images are read as they are needed. RUN/weights.safetensors is what
`kinglet quantize`, `export`, `publish` and `train --qat` take, with RUN/recipe.toml beside it. Needs torch, numpy, pillow.
"""

import argparse
import io
import json
import math
import os
import struct
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

SPEC = json.loads(r"""@SPEC@""")


class Net(nn.Module):
    """The graph, node by node; the classifier has as many outputs as there are classes."""

    def __init__(self, nodes, classes):
        super().__init__()
        self.nodes = [dict(node) for node in nodes]
        for node in self.nodes:
            name, op = node["name"], node["op"]
            if op == "dense" and node is self.nodes[-1]:
                node["outputs"] = classes
            if op in ("conv2d", "depthwise_conv2d"):
                groups = node["inputs_c"] if op == "depthwise_conv2d" else 1
                layer = nn.Conv2d(
                    node["inputs_c"], node["outputs"], node["kernel"], node["stride"], groups=groups, bias=node["bias"]
                )
            elif op == "dense":
                layer = nn.Linear(node["inputs_len"], node["outputs"], bias=node["bias"])
            elif op == "batch_norm":
                layer = nn.BatchNorm2d(node["outputs"], eps=node["epsilon"])
            else:
                continue
            if op != "batch_norm":
                # He et al.; no ReLU follows a dense layer.
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=math.sqrt((1.0 if op == "dense" else 2.0) / fan_in))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            self.add_module(name, layer)

    def forward(self, x):
        values = {"input": x}
        for node in self.nodes:
            ins = [values[name] for name in node["inputs"]]
            values[node["name"]] = self.run(node, ins)
        return values[self.nodes[-1]["name"]].flatten(1)

    def run(self, node, ins):
        op, x = node["op"], ins[0]
        if op in ("conv2d", "depthwise_conv2d"):
            return getattr(self, node["name"])(F.pad(x, node["pad"]))
        if op == "batch_norm":
            return getattr(self, node["name"])(x)
        if op == "dense":
            # Rows, columns, channels.
            return getattr(self, node["name"])(x.permute(0, 2, 3, 1).flatten(1))[:, :, None, None]
        if op == "relu":
            return F.relu(x)
        if op == "add":
            return ins[0] + ins[1]
        if op == "concat":
            return torch.cat(ins, 1)
        if op == "global_average_pool":
            return x.mean((2, 3), keepdim=True)
        if op == "max_pool":
            return F.max_pool2d(F.pad(x, node["pad"], value=-math.inf), node["kernel"], node["stride"])
        if op == "average_pool":
            # Of what lies inside the map.
            inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), node["pad"]), node["kernel"], node["stride"])
            return F.avg_pool2d(F.pad(x, node["pad"]), node["kernel"], node["stride"]) / inside
        raise ValueError(f"no operator {op}")


BATCH_NORM = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}


def to_torch(node, array):
    """From Kinglet's layout to PyTorch's."""
    if node["op"] == "conv2d" and array.ndim == 4:
        return array.permute(0, 3, 1, 2)
    if node["op"] == "depthwise_conv2d" and array.ndim == 4:
        return array.permute(3, 0, 1, 2)
    return array


def to_kinglet(node, array):
    """And back."""
    if node["op"] == "conv2d" and array.ndim == 4:
        return array.permute(0, 2, 3, 1)
    if node["op"] == "depthwise_conv2d" and array.ndim == 4:
        return array.permute(1, 2, 3, 0)
    return array


def parameters(net, of=lambda tensor: tensor):
    """Names, as Kinglet gives them, and tensors in its layout; `of` makes of each what is asked for."""
    for node in net.nodes:
        if not hasattr(net, node["name"]):
            continue
        layer = getattr(net, node["name"])
        names = BATCH_NORM if node["op"] == "batch_norm" else {"weight": "weight", "bias": "bias"}
        for name, own in names.items():
            tensor = getattr(layer, own)
            if tensor is not None:
                yield f"{node['name']}.{name}", node, of(tensor)


def read_safetensors(path):
    """Named float32 tensors."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            array = np.frombuffer(data[start:end], dtype="<f4").reshape(entry["shape"])
            arrays[name] = torch.from_numpy(array.copy())
    return arrays


def write_safetensors(path, arrays, metadata):
    header, blobs, at = {"__metadata__": metadata}, [], 0
    for name, array in sorted(arrays.items()):
        blob = array.detach().cpu().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = Path(f"{path}.partial")
    partial.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    partial.replace(path)


def load(net, arrays):
    for name, node, own in parameters(net):
        with torch.no_grad():
            target = to_torch(node, arrays[name])
            own.copy_(target.reshape(own.shape))


def save(path, net, classes, preprocess):
    metadata = {
        "format": "kinglet-float-1",
        "network": json.dumps(SPEC["network"]),
        "labels": json.dumps(classes),
        "preprocess": json.dumps(preprocess),
    }
    write_safetensors(path, {name: to_kinglet(node, tensor) for name, node, tensor in parameters(net)}, metadata)


IMAGES = (".png", ".jpg", ".jpeg")


class Photos(torch.utils.data.Dataset):
    """Images of a folder or of tars, read one by one."""

    def __init__(self, root, part):
        folder = Path(root) / part
        self.items, self.files = [], {}
        if folder.is_dir():
            self.items = [
                (str(path), None, path.parent.name) for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGES
            ]
        for tar in sorted(Path(root).glob(f"{part}*.tar")):
            self.items += self.index(str(tar))
        if not self.items:
            raise SystemExit(f"no images in {folder} and no {part}*.tar in {root}")
        self.shape, self.classes = SPEC["input"], []

    @staticmethod
    def index(tar):
        """Where in the archive each image lies, and its class."""
        images, labels = [], {}
        with tarfile.open(tar) as archive:
            for member in archive:
                stem, suffix = os.path.splitext(member.name)
                if suffix.lower() in IMAGES:
                    images.append((stem, member.offset_data, member.size))
                elif suffix == ".cls":
                    labels[stem] = archive.extractfile(member).read().decode().strip()
        return [(tar, (at, size), labels.get(stem, Path(stem).parent.name)) for stem, at, size in images]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        from PIL import Image

        path, place, label = self.items[index]
        if place is None:
            data = Path(path).read_bytes()
        else:
            key = (os.getpid(), path)
            if key not in self.files:
                self.files[key] = open(path, "rb")
            self.files[key].seek(place[0])
            data = self.files[key].read(place[1])
        h, w, c = self.shape
        image = Image.open(io.BytesIO(data)).convert("L" if c == 1 else "RGB")
        if image.size != (w, h):
            image = image.resize((w, h), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).reshape(h, w, c)
        return pixels.permute(2, 0, 1), self.classes.index(label)


def augment(pixels):
    """Variations of a batch of pixels, 0 to 255, as Kinglet's `[augment]`."""
    a, (n, c, h, w), device = SPEC["augment"], pixels.shape, pixels.device

    def around(limit, *shape):
        return (torch.rand(n, *shape, device=device) * 2 - 1) * limit

    x = pixels.float()
    if a["gray"] > 0:
        gray = (torch.rand(n, 1, 1, 1, device=device) < a["gray"]).float()
        x = x + gray * (x.mean(1, keepdim=True) - x)
    y_at, x_at = torch.meshgrid(
        torch.arange(h, device=device, dtype=torch.float32), torch.arange(w, device=device, dtype=torch.float32), indexing="ij"
    )
    if a["light"] > 0:
        turn = around(math.pi, 1, 1)
        slope = (y_at / h - 0.5) * turn.sin() + (x_at / w - 0.5) * turn.cos()
        light = (1 + 2 * around(a["light"], 1, 1) * slope)[:, None]
        x = 255 * (x * light / 255).clamp(0, 1) ** (1 + around(a["light"], 1, 1, 1))
    turn, zoom = around(math.radians(a["rotate"]), 1, 1), 1 + around(a["scale"], 1, 1)
    shift = [around(a["shift"], 1, 1) + torch.randint(-a["crop"], a["crop"] + 1, (n, 1, 1), device=device) for _ in "yx"]
    middle = [(h - 1) / 2, (w - 1) / 2]
    dy, dx = y_at - middle[0] - shift[0], x_at - middle[1] - shift[1]
    sin, cos = turn.sin() / zoom, turn.cos() / zoom
    from_y = middle[0] + cos * dy - sin * dx
    from_x = middle[1] + sin * dy + cos * dx + around(a["shear"], 1, 1) * (from_y - middle[0])
    if a["flip"]:
        flip = torch.rand(n, 1, 1, device=device) < 0.5
        from_x = torch.where(flip, w - 1 - from_x, from_x)
    grid = torch.stack([(2 * from_x + 1) / w - 1, (2 * from_y + 1) / h - 1], -1)
    edge = "border" if a["edge"] else "zeros"
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode=edge, align_corners=False)
    x = (x * (1 + around(a["color"], c, 1, 1)) - 127.5) * (1 + around(a["contrast"], 1, 1, 1)) + 127.5
    x = x + around(a["brightness"], 1, 1, 1) * 255
    if a["noise"] > 0:
        x = x + around(a["noise"], c, h, w) * 255
    x = x.clamp(0, 255)
    if a["cutout"] > 0:
        hole = [torch.randint(extent, (n, 1, 1), device=device) for extent in (h, w)]
        inside = ((y_at - hole[0]).abs() * 2 < a["cutout"]) & ((x_at - hole[1]).abs() * 2 < a["cutout"])
        x = x.masked_fill(inside[:, None], 0.0)
    return x


def normalize(pixels, preprocess):
    mean, std = (torch.tensor(preprocess[name], device=pixels.device)[:, None, None] for name in ("mean", "std"))
    return (pixels.float() / 255 - mean) / std


def measure(photos, most=10_000):
    """Mean and deviation of the pixels, per channel, of evenly spaced images."""
    some = range(0, len(photos), max(1, len(photos) // most))
    sums = torch.zeros(3, SPEC["input"][2], dtype=torch.float64)
    for index in some:
        pixels = photos[index][0].double().flatten(1)
        sums += torch.stack([torch.full_like(sums[0], pixels.shape[1]), pixels.sum(1), (pixels**2).sum(1)])
    mean = sums[1] / sums[0]
    std = (sums[2] / sums[0] - mean**2).clamp(min=1).sqrt()
    return {"mean": (mean / 255).tolist(), "std": (std / 255).tolist()}


def rate(step, steps):
    """The learning rate of a step."""
    ((kind, numbers),) = SPEC["schedule"].items()
    at = (step + 0.5) / max(1, steps)

    def between(start, end, part):
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * part))

    if kind == "constant":
        return numbers["rate"]
    peak, warm_up = numbers["peak"], numbers["warm_up"]
    if kind == "cosine":
        return peak * at / warm_up if at < warm_up else between(peak, 0.0, (at - warm_up) / (1 - warm_up))
    if at < warm_up:
        return between(peak / 25, peak, at / warm_up)
    return between(peak, peak / 250e3, (at - warm_up) / (1 - warm_up))


def optimizer(net):
    ((kind, numbers),) = SPEC["optimizer"].items()
    weights = {id(tensor) for name, _, tensor in parameters(net) if name.endswith(".weight")}
    groups = [
        {"params": [p for p in net.parameters() if id(p) in weights], "weight_decay": numbers["weight_decay"]},
        {"params": [p for p in net.parameters() if id(p) not in weights], "weight_decay": 0.0},
    ]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=1.0, momentum=numbers["momentum"], nesterov=numbers["momentum"] > 0)
    return torch.optim.AdamW(groups, lr=1.0, betas=(numbers["beta1"], numbers["beta2"]))


def loss_of(logits, labels, taught):
    weight = torch.tensor(SPEC["class_weights"], device=logits.device) if SPEC["class_weights"] else None
    share = torch.ones_like(labels, dtype=torch.float32) if weight is None else weight[labels]
    share = share / share.sum()
    loss = F.cross_entropy(logits, labels, label_smoothing=SPEC["label_smoothing"], reduction="none")
    if taught is not None:
        t, part = SPEC["distill"]["temperature"], SPEC["distill"]["weight"]
        soft = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(taught / t, 1), reduction="none", log_target=True)
        loss = (1 - part) * loss + part * t * t * soft.sum(1)
    return (loss * share).sum()


def accuracy(net, loader, preprocess, device):
    net.eval()
    hits = count = 0
    with torch.no_grad():
        for pixels, labels in loader:
            found = net(normalize(pixels.to(device), preprocess)).argmax(1)
            hits, count = hits + (found.cpu() == labels).sum().item(), count + len(labels)
    net.train()
    return hits / count


def probe(weights, batch, out):
    """Logits and gradients of a batch, `images` (N x H x W x C, normalized) and `labels`, for a comparison."""
    arrays, batch = read_safetensors(weights), read_safetensors(batch)
    net = Net(SPEC["nodes"], arrays[f"{SPEC['nodes'][-1]['name']}.weight"].shape[0])
    load(net, arrays)
    images, labels = batch["images"].permute(0, 3, 1, 2), batch["labels"].long()
    results = {"outputs": net.eval()(images)}
    loss_of(net.train()(images), labels, None).backward()
    for name, node, gradient in parameters(net, lambda tensor: tensor.grad):
        if gradient is not None:
            results[f"gradient/{name}"] = to_kinglet(node, gradient)
    write_safetensors(out, results, {})


def train(args):
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    rank, local = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    if ranks > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(SPEC["seed"])
    photos, held_out = Photos(args.data, "train"), Photos(args.data, "test")
    classes = SPEC["classes"] or sorted({label for _, _, label in photos.items})
    for part in (photos, held_out):
        part.classes = classes
        part.items = [item for item in part.items if item[2] in classes]
    preprocess = SPEC["preprocess"] or measure(photos)
    net = Net(SPEC["nodes"], len(classes)).to(device, memory_format=torch.channels_last).train()
    teacher = None
    if SPEC["distill"]:
        folder = args.teacher or SPEC["distill"]["teacher"]
        teacher = Net(SPEC["distill"]["nodes"], len(classes)).to(device).eval()
        load(teacher, read_safetensors(Path(folder) / "weights.safetensors"))
    steps = optimizer(net)
    averaged = None
    if SPEC["average"]:
        averaged = {name: tensor.detach().clone() for name, _, tensor in parameters(net)}
    model, first = net, 0
    checkpoint = args.out / "checkpoint.pt"
    if args.resume:
        state = torch.load(checkpoint, map_location=device)
        net.load_state_dict(state["net"])
        steps.load_state_dict(state["optimizer"])
        averaged, first = state["averaged"], state["epochs"]
    if ranks > 1:
        if device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        model = nn.parallel.DistributedDataParallel(net)
    sampler = torch.utils.data.distributed.DistributedSampler(photos, ranks, rank, seed=SPEC["seed"], drop_last=True)
    batch = min(SPEC["batch"], len(photos)) // ranks
    more = {"num_workers": args.workers, "persistent_workers": args.workers > 0}
    loader = torch.utils.data.DataLoader(photos, batch, sampler=sampler, drop_last=True, **more)
    test = torch.utils.data.DataLoader(held_out, 256, **more)
    if rank == 0:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "recipe.toml").write_text(SPEC["recipe"])
    history = "epoch,rate,loss,train_accuracy,test_accuracy,seconds\n" if first == 0 else (args.out / "metrics.csv").read_text()
    for epoch in range(first, SPEC["epochs"]):
        start, total, hits, seen, now = time.time(), 0.0, 0, 0, 0.0
        sampler.set_epoch(epoch)
        for index, (pixels, labels) in enumerate(loader):
            now = rate(epoch * len(loader) + index, SPEC["epochs"] * len(loader))
            for group in steps.param_groups:
                group["lr"] = now
            varied, labels = augment(pixels.to(device)), labels.to(device)
            taught = None
            if teacher is not None:
                with torch.no_grad():
                    taught = teacher(normalize(varied, SPEC["distill"]["preprocess"]))
            logits = model(normalize(varied, preprocess).contiguous(memory_format=torch.channels_last))
            loss = loss_of(logits, labels, taught)
            if not torch.isfinite(loss):
                raise SystemExit(f"diverged in epoch {epoch + 1}, step {index + 1}")
            steps.zero_grad(set_to_none=True)
            loss.backward()
            steps.step()
            if averaged is not None:
                for name, _, tensor in parameters(net):
                    averaged[name] += (1 - SPEC["average"]) * (tensor.detach() - averaged[name])
            total, hits, seen = total + loss.item() * len(labels), hits + (logits.argmax(1) == labels).sum().item(), seen + len(labels)
        if rank == 0:
            torch.save({"net": net.state_dict(), "optimizer": steps.state_dict(), "averaged": averaged, "epochs": epoch + 1}, checkpoint)
            result = net
            if averaged is not None:
                result = Net(SPEC["nodes"], len(classes)).to(device)
                load(result, {name: to_kinglet(node, averaged[name]) for name, node, _ in parameters(result)})
            found = accuracy(result, test, preprocess, device)
            history += f"{epoch + 1},{now},{total / seen},{hits / seen},{found},{time.time() - start}\n"
            (args.out / "metrics.csv").write_text(history)
            save(args.out / "weights.safetensors", result, classes, preprocess)
            print(f"epoch {epoch + 1} of {SPEC['epochs']}: loss {total / seen:.4f}, held out {100 * found:.2f} %", flush=True)
    if ranks > 1:
        dist.destroy_process_group()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path)
    options.add_argument("--out", type=Path)
    options.add_argument("--teacher", type=Path, help="the teacher's run folder, instead of the recipe's")
    options.add_argument("--workers", type=int, default=4, help="processes that read images")
    options.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    options.add_argument("--probe", nargs=3, metavar=("WEIGHTS", "BATCH", "OUT"), help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.probe:
        probe(*args.probe)
    elif args.data and args.out:
        train(args)
    else:
        options.error("--data and --out are needed")


if __name__ == "__main__":
    main()
