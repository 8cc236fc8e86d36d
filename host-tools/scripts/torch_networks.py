#!/usr/bin/env python3
"""Writes networks of every kind that people bring from PyTorch, by both of its exporters, for `tests/torch_networks.rs`.

    torch_networks.py FOLDER [--torchvision]

NAME_old.onnx and NAME_new.onnx (with default arguments, weights beside it) with NAME_KIND.input.npy and what PyTorch makes of it:
NAME_KIND.output.npy, and output1.npy and so on where there are several. With --torchvision its classification networks instead, which are
large, without arrays. Needs torch, onnx and onnxscript, for those torchvision; nothing is fetched, weights are random.
"""

import argparse
import pathlib
import sys
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def norm(i, o, k=3, stride=1, groups=1, act=nn.ReLU):
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class OptionA(nn.Module):
    """The shortcut of the CIFAR ResNets: every second pixel, and channels of zeros."""

    def __init__(self, i, o, stride):
        super().__init__()
        self.body, self.pad = nn.Sequential(norm(i, o, stride=stride), norm(o, o, act=None)), (o - i) // 2

    def forward(self, x):
        y = self.body(x)
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(x + y)


def resnet20():
    layers, i = [norm(3, 8)], 8
    for o in (8, 16, 32):
        for block in range(3):
            layers.append(OptionA(i, o, 2 if o != i else 1))
            i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(i, 10))


class Squeezed(nn.Module):
    """Squeeze-and-excite as most repositories have it."""

    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(norm(i, o, stride=stride), norm(o, o, act=None))
        self.gate = nn.Sequential(nn.Linear(o, o // 4), nn.ReLU(inplace=True), nn.Linear(o // 4, o), nn.Sigmoid())
        self.short = nn.Identity() if i == o else norm(i, o, 1, stride, act=None)

    def forward(self, x):
        y = self.body(x)
        b, c, _, _ = y.size()
        gate = self.gate(F.adaptive_avg_pool2d(y, 1).view(b, c)).view(b, c, 1, 1)
        return F.relu(y * gate.expand_as(y) + self.short(x))


def se_resnet():
    layers = [norm(3, 8), Squeezed(8, 8, 1), Squeezed(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 10))


class UNet(nn.Module):
    def __init__(self, up):
        super().__init__()
        self.one, self.two, self.deep = norm(3, 8), norm(8, 16), norm(16, 24)
        if up == "transposed":
            self.up2, self.up1 = nn.ConvTranspose2d(24, 16, 2, 2), nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1)
        else:
            scale = lambda: nn.Upsample(scale_factor=2, mode=up, **({"align_corners": True} if up == "bilinear" else {}))
            self.up2, self.up1 = nn.Sequential(scale(), norm(24, 16, 1)), nn.Sequential(scale(), norm(16, 8, 1))
        self.join2, self.join1, self.head = norm(32, 16), norm(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        y = self.join2(torch.cat([self.up2(self.deep(F.max_pool2d(two, 2))), two], 1))
        return self.head(self.join1(torch.cat([self.up1(y), one], 1)))


class Yolo(nn.Module):
    """Two scales, each its own output; the second is decoded halfway, as many heads are."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(norm(3, 8, stride=2, act=nn.SiLU), norm(8, 16, stride=2, act=nn.SiLU))
        self.down, self.lateral = norm(16, 32, stride=2, act=nn.LeakyReLU), norm(32, 16, 1)
        self.fine, self.coarse = nn.Conv2d(32, 3 * 7, 1), nn.Conv2d(32, 3 * 7, 1)

    def forward(self, x):
        fine = self.stem(x)
        coarse = self.down(fine)
        up = F.interpolate(self.lateral(coarse), scale_factor=2, mode="nearest")
        b, _, h, w = coarse.shape
        boxes = self.coarse(coarse).view(b, 3, 7, h * w).permute(0, 1, 3, 2).reshape(b, -1, 7)
        return self.fine(torch.cat([up, fine], 1)), torch.sigmoid(boxes)


class Fomo(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = [norm(3, 8, stride=2, act=nn.ReLU6), norm(8, 8, groups=8, act=nn.ReLU6), norm(8, 16, 1, act=nn.ReLU6)]
        self.body = nn.Sequential(*blocks, norm(16, 16, stride=2, groups=16, act=nn.ReLU6), nn.Conv2d(16, 3, 1))

    def forward(self, x):
        return F.softmax(self.body(x), 1)


class Res8(nn.Module):
    """Keyword spotting: honk's res8."""

    def __init__(self):
        super().__init__()
        self.first, self.pool = nn.Conv2d(1, 11, 3, padding=1, bias=False), nn.AvgPool2d((4, 3))
        self.convs = nn.ModuleList([nn.Conv2d(11, 11, 3, padding=1, bias=False) for _ in range(6)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(11, affine=False) for _ in range(6)])
        self.output = nn.Linear(11, 12)

    def forward(self, x):
        x = self.pool(F.relu(self.first(x.unsqueeze(1))))
        old = x
        for at, (conv, norm_) in enumerate(zip(self.convs, self.norms)):
            y = F.relu(conv(x))
            if at % 2 == 1:
                y = old = y + old
            x = norm_(y)
        return self.output(torch.mean(x.view(x.size(0), x.size(1), -1), 2))


class Causal(nn.Module):
    """A block of a temporal convolutional network."""

    def __init__(self, i, o, dilation):
        super().__init__()
        self.pad, self.conv = 2 * dilation, nn.Conv1d(i, o, 3, padding=2 * dilation, dilation=dilation)
        self.short = nn.Identity() if i == o else nn.Conv1d(i, o, 1)

    def forward(self, x):
        return F.relu(F.relu(self.conv(x)[:, :, : -self.pad]) + self.short(x))


class Temporal(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = nn.Sequential(Causal(5, 12, 1), Causal(12, 12, 2), Causal(12, 12, 4)), nn.Linear(12, 4)

    def forward(self, x):
        return self.fc(self.body(x)[:, :, -1])


def autoencoder():
    down = [nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose2d(4, 8, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 2, 2), nn.Sigmoid()]
    return nn.Sequential(*down, *up)


class Anchors(nn.Module):
    """Boxes for each of three anchors, in five dimensions, as detectors have them before they are decoded."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(norm(3, 8, stride=2), norm(8, 16, stride=2)), nn.Conv2d(16, 3 * 7, 1)

    def forward(self, x):
        y = self.head(self.body(x))
        boxes = y.view(y.shape[0], 3, 7, y.shape[2], y.shape[3]).permute(0, 1, 3, 4, 2).contiguous()
        return boxes, torch.sigmoid(boxes).view(y.shape[0], -1, 7)


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = nn.Sequential(norm(3, 8, stride=2), nn.MaxPool2d(3, 1, 0, dilation=2)), nn.Linear(8, 6)

    def forward(self, x):
        return F.normalize(self.fc(self.body(x).mean((2, 3))))


class SuperResolution(nn.Module):
    """Pixels to channels and back, normalization by groups, and the picture itself, enlarged, below it."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(12, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
        self.body = nn.Sequential(*layers, nn.InstanceNorm2d(16, affine=True), nn.ReLU(), nn.Conv2d(16, 48, 1))

    def forward(self, x):
        fine = F.pixel_shuffle(self.body(F.pixel_unshuffle(x, 2)), 4)
        return fine + F.interpolate(x, scale_factor=2, mode="bicubic")


NETWORKS = {
    "resnet20": (resnet20, (3, 32, 32)),
    "se_resnet": (se_resnet, (3, 16, 16)),
    "unet_transposed": (lambda: UNet("transposed"), (3, 16, 24)),
    "unet_nearest": (lambda: UNet("nearest"), (3, 16, 24)),
    "unet_bilinear": (lambda: UNet("bilinear"), (3, 16, 24)),
    "yolo": (Yolo, (3, 32, 32)),
    "fomo": (Fomo, (3, 24, 24)),
    "res8": (Res8, (49, 40)),
    "temporal": (Temporal, (5, 30)),
    "autoencoder": (autoencoder, (1, 28, 28)),
    "anchors": (Anchors, (3, 16, 24)),
    "embedding": (Embedding, (3, 20, 20)),
    "super_resolution": (SuperResolution, (3, 12, 16)),
}
CLASSIFIERS = """alexnet vgg11 vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 squeezenet1_0 squeezenet1_1 densenet121
inception_v3 googlenet shufflenet_v2_x0_5 shufflenet_v2_x1_0 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large mnasnet0_5 mnasnet1_0
efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf""".split()


def spread(network):
    """Batch normalization as after training: no statistic is at its starting point."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)


def export(network, images, path):
    """The file of the old exporter, then that of the new one, both with default arguments."""
    for kind, dynamo in (("old", False), ("new", True)):
        file = path.with_name(f"{path.name}_{kind}.onnx")
        torch.onnx.export(network, (images,), str(file), dynamo=dynamo, **({"verbose": False} if dynamo else {}))
        yield file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--torchvision", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(7)
    if args.torchvision:
        from torchvision import models

        for name in CLASSIFIERS:
            rest = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
            size = 299 if name == "inception_v3" else 224
            network = getattr(models, name)(weights=None, **rest).eval()
            list(export(network, torch.rand(1, 3, size, size), args.folder / name))
        return
    for name, (build, shape) in NETWORKS.items():
        network = build().eval()
        spread(network)
        images = torch.rand(1, *shape) * 2 - 1
        with torch.no_grad():
            outputs = network(images)
        for file in export(network, images, args.folder / name):
            np.save(file.with_suffix(".input.npy"), images.numpy())
            for at, output in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
                np.save(file.with_suffix(f".output{at or ''}.npy"), output.numpy())


if __name__ == "__main__":
    sys.exit(main())
