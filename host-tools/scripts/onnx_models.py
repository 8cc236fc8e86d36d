#!/usr/bin/env python3
"""Writes the small ONNX networks of host-tools/tests/exported, with inputs and ONNX Runtime's outputs.

    onnx_models.py FOLDER [--large]

Needs torch, onnx, onnxscript and onnxruntime. Random weights, every kind of exporter and operator set that is in use.
With --large also ResNet-50 and MobileNetV3-like networks of real size, which are too large to be kept.
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):
    def __init__(self, i, o, k=3, stride=1, groups=1, act=nn.ReLU, **conv):
        norm = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False, **conv), nn.BatchNorm2d(o)]
        super().__init__(*norm, *([act()] if act else []))


class Residual(nn.Module):
    def __init__(self, i, o, stride, bottleneck=0):
        super().__init__()
        if bottleneck:
            layers = [ConvNorm(i, bottleneck, 1), ConvNorm(bottleneck, bottleneck, 3, stride)]
            self.body = nn.Sequential(*layers, ConvNorm(bottleneck, o, 1, act=None))
        else:
            self.body = nn.Sequential(ConvNorm(i, o, 3, stride), ConvNorm(o, o, act=None))
        self.short = nn.Identity() if i == o and stride == 1 else ConvNorm(i, o, 1, stride, act=None)

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


class Squeeze(nn.Module):
    def __init__(self, c, r, gate, dense=False):
        super().__init__()
        self.dense, self.gate = dense, gate
        layer = nn.Linear if dense else lambda i, o: nn.Conv2d(i, o, 1)
        self.down, self.up = layer(c, r), layer(r, c)

    def forward(self, x):
        y = x.mean((2, 3)) if self.dense else F.adaptive_avg_pool2d(x, 1)
        y = self.gate(self.up(F.relu(self.down(y))))
        return x * (y[:, :, None, None] if self.dense else y)


class Inverted(nn.Module):
    """MobileNetV3's and EfficientNet's block."""

    def __init__(self, i, e, o, k, stride, act, gate, dense=False):
        super().__init__()
        layers = [ConvNorm(i, e, 1, act=act), ConvNorm(e, e, k, stride, groups=e, act=act)]
        layers += [Squeeze(e, max(e // 4, 2), gate, dense)] if gate else []
        self.body = nn.Sequential(*layers, ConvNorm(e, o, 1, act=None))
        self.add = i == o and stride == 1

    def forward(self, x):
        return x + self.body(x) if self.add else self.body(x)


class Head(nn.Module):
    def __init__(self, i, classes, dropout=True):
        super().__init__()
        self.drop, self.fc = nn.Dropout(0.2) if dropout else nn.Identity(), nn.Linear(i, classes)

    def forward(self, x):
        return self.fc(self.drop(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)))


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvNorm(3, 6, 3, 2)
        self.a, self.b = ConvNorm(6, 3, 1), nn.Sequential(ConvNorm(6, 3, 1), ConvNorm(3, 4, 5))
        self.pool = nn.Sequential(nn.AvgPool2d(3, 1, 1), ConvNorm(6, 3, 1))
        self.max = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNorm(6, 2, 1))
        self.fc = nn.Linear(12 * 3 * 3, 5)

    def forward(self, x):
        x = F.relu6(self.stem(x))
        x = torch.cat([self.a(x), self.b(x), self.pool(x), self.max(x)], 1)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = F.avg_pool2d(F.pad(x, (1, 0, 0, 1)), 2, 1)
        return F.log_softmax(self.fc(x.reshape(x.shape[0], -1)), 1)


class Elementwise(nn.Module):
    """Activations of every kind, arithmetic with constants and with maps, parts of channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.prelu, self.one = nn.PReLU(8), nn.PReLU()
        with torch.no_grad():
            self.prelu.weight.copy_(torch.linspace(-0.3, 0.9, 8))
        self.acts = nn.ModuleList([nn.LeakyReLU(0.2), nn.ELU(), nn.GELU(), nn.Mish(), nn.SELU(),
                                   nn.Tanh(), nn.Hardswish(), nn.Hardtanh(-0.5, 0.7), nn.Softsign()])
        self.mix = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in self.acts])
        self.register_buffer("map", torch.rand(8, 6, 7) - 0.5)
        self.register_buffer("gain", torch.rand(8, 1, 1) + 0.5)
        self.spatial = nn.Conv2d(8, 1, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 6)

    def forward(self, x):
        x = self.one(self.prelu(self.stem(x * 2 - 0.25)))
        for act, mix in zip(self.acts, self.mix):
            x = x + 0.5 * act(mix(x))
        a, b = x.chunk(2, 1)
        x = torch.cat([a * b, a - b], 1) + self.map
        x = self.norm(x) * self.gain
        x = x * torch.sigmoid(self.spatial(x))
        x = torch.cat([x[:, 1::2], torch.maximum(x[:, :4], x[:, 4:])], 1) / 3
        x = x + x.mean((2, 3), keepdim=True)
        return self.fc((self.map * x)[:, :, 1:, :-2].amax((2, 3)))


class Dense(nn.Sequential):
    """An autoencoder of dense layers only."""

    def __init__(self):
        layers = []
        for i, o in [(40, 16), (16, 4), (4, 16)]:
            layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]
        super().__init__(nn.Flatten(), nn.BatchNorm1d(40), *layers, nn.Linear(16, 40))


class Audio(nn.Module):
    """One-dimensional convolutions."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=8, padding=1), nn.SiLU(),
            nn.Conv1d(8, 6, 3, dilation=2), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(3, 1, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return torch.softmax(self.fc(self.body(x).mean(2)), 1)


def hard(x):
    return F.hardsigmoid(x)


def mobile(act, gate, dense):
    blocks = [Inverted(6, 12, 6, 3, 1, act, gate, dense), Inverted(6, 12, 8, 5, 2, act, gate, dense)]
    return nn.Sequential(ConvNorm(3, 6, 3, 2, act=act), *blocks, ConvNorm(8, 12, 1, act=act), Head(12, 5))


def depthwise():
    layers = [ConvNorm(2, 6, 3, groups=2), ConvNorm(6, 6, 3, 2, groups=6, act=nn.ReLU6), ConvNorm(6, 8, 1)]
    layers += [nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 3 * 2, 5), nn.Softmax(1))


def resnet50(classes=1000):
    layers, i = [ConvNorm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for width, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for block in range(count):
            layers.append(Residual(i, 4 * width, stride if block == 0 else 1, width))
            i = 4 * width
    return nn.Sequential(*layers, Head(i, classes))


def mobilenet_v3(act=nn.Hardswish, gate=hard):
    table = [(16, 16, 3, 2, nn.ReLU, 1), (72, 24, 3, 2, nn.ReLU, 0), (88, 24, 3, 1, nn.ReLU, 0), (96, 40, 5, 2, act, 1),
             (240, 40, 5, 1, act, 1), (240, 40, 5, 1, act, 1), (120, 48, 5, 1, act, 1), (144, 48, 5, 1, act, 1),
             (288, 96, 5, 2, act, 1), (576, 96, 5, 1, act, 1), (576, 96, 5, 1, act, 1)]
    layers, i = [ConvNorm(3, 16, 3, 2, act=act)], 16
    for e, o, k, stride, a, se in table:
        layers.append(Inverted(i, e, o, k, stride, a, gate if se else None))
        i = o
    return nn.Sequential(*layers, ConvNorm(96, 576, 1, act=act), Head(576, 1000))


# Network, input, operator set, whether by the new exporter.
SMALL = {
    "resnet": (lambda: nn.Sequential(ConvNorm(3, 6), Residual(6, 6, 1), Residual(6, 8, 2), Residual(8, 12, 2, 4),
                                     Head(12, 5)), (3, 13, 10), 13, False),
    "mobilenet_v3": (lambda: mobile(nn.Hardswish, hard, False), (3, 12, 12), 17, False),
    "mobilenet_v3_opset11": (lambda: mobile(nn.Hardswish, hard, True), (3, 12, 12), 11, False),
    "efficientnet": (lambda: mobile(nn.SiLU, torch.sigmoid, False), (3, 12, 12), 18, True),
    "efficientnet_dense": (lambda: mobile(nn.SiLU, torch.sigmoid, True), (3, 11, 13), 20, True),
    "inception": (Inception, (3, 12, 12), 12, False),
    "elementwise": (Elementwise, (3, 6, 7), 20, True),
    "elementwise_opset13": (Elementwise, (3, 6, 7), 13, False),
    "depthwise": (depthwise, (2, 12, 8), 16, False),
    "autoencoder": (Dense, (40,), 18, True),
    "audio": (Audio, (4, 40), 17, False),
}
LARGE = {
    "resnet50": (resnet50, (3, 224, 224), 17, False),
    "mobilenet_v3_small": (mobilenet_v3, (3, 224, 224), 17, False),
    "efficientnet_like": (lambda: mobilenet_v3(nn.SiLU, torch.sigmoid), (3, 160, 160), 18, True),
}


def strip(path):
    """Leaves out what only people read: names of source lines, types of intermediate values."""
    model = onnx.load(path)
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:], model.functions[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.initializer, *model.graph.input, *model.graph.output]:
        value.doc_string = ""
        del value.metadata_props[:]
    onnx.save(model, path)


def spread(module):
    """Batch normalization as after training: no statistic is at its starting point."""
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            with torch.no_grad():
                m.running_mean.normal_(0, 0.2)
                m.running_var.uniform_(0.5, 1.5)
                m.weight.uniform_(0.6, 1.4)
                m.bias.normal_(0, 0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    for name, (build, shape, opset, dynamo) in (SMALL | (LARGE if args.large else {})).items():
        torch.manual_seed(7)
        np.random.seed(7)
        net = build().eval()
        spread(net)
        path = args.folder / f"{name}.onnx"
        batch = torch.rand(1, *shape) * 2 - 1
        kind = {"external_data": False, "verbose": False} if dynamo else {}
        torch.onnx.export(net, (batch,), str(path), opset_version=opset, dynamo=dynamo, **kind)
        strip(path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        images = (np.random.rand(3, *shape) * 2 - 1).astype(np.float32)
        run = lambda image: session.run(None, {session.get_inputs()[0].name: image[None]})[0][0]
        outputs = np.stack([run(image) for image in images])
        np.save(args.folder / f"{name}.input.npy", images)
        np.save(args.folder / f"{name}.output.npy", outputs)
        print(f"{name}: {path.stat().st_size} bytes, outputs {outputs.min():.3f} to {outputs.max():.3f}")


if __name__ == "__main__":
    sys.exit(main())
