"""PyTorch's side of `kinglet bench --peer`: the same networks, channels-last, on the same number of threads.

Reads one request a line from standard input, {"network", "batch", "threads", "steps", "parameters"}, and answers each
with a line of JSON: {"seconds": [one per step]} or {"error": "..."}. Needs nothing but `torch`.
"""

import json
import sys
import time

try:
    import torch
except ImportError as error:
    print(json.dumps({"error": f"PyTorch cannot be imported ({error})", "missing": True}), flush=True)
    sys.exit(0)

from torch import nn
from torch.nn import functional as F


def unit(inputs, filters, kernel, stride=1):
    conv = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters), nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.first = unit(inputs, filters, 3, stride)
        self.second = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        same = stride == 1 and inputs == filters
        self.project = nn.Identity() if same else nn.Conv2d(inputs, filters, 1, stride, bias=False)

    def forward(self, x):
        return F.relu(self.norm(self.second(self.first(x))) + self.project(x), inplace=True)


class Inception(nn.Module):
    def __init__(self, inputs, one, three_reduce, three, five_reduce, five, pool):
        super().__init__()
        self.branches = nn.ModuleList([
            unit(inputs, one, 1),
            nn.Sequential(unit(inputs, three_reduce, 1), unit(three_reduce, three, 3)),
            nn.Sequential(unit(inputs, five_reduce, 1), unit(five_reduce, five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(inputs, pool, 1)),
        ])

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def classifier(layers, channels):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def resnet(blocks):
    layers, channels = [unit(3, 16, 3)], 16
    for stage, filters in enumerate([16, 32, 64]):
        for index in range(blocks):
            layers.append(Residual(channels, filters, 2 if stage > 0 and index == 0 else 1))
            channels = filters
    return classifier(layers, channels)


def inception_small():
    pieces = [
        [16, 16, 24, 4, 8, 8], [24, 24, 32, 8, 16, 8], None,
        [32, 24, 48, 8, 16, 16], [40, 32, 64, 8, 16, 24], None,
        [48, 40, 80, 12, 24, 32], [64, 48, 96, 16, 32, 40],
    ]
    layers, channels = [unit(3, 32, 3)], 32
    for filters in pieces:
        if filters is None:
            layers.append(nn.MaxPool2d(3, 2, 1))
            continue
        layers.append(Inception(channels, *filters))
        channels = filters[0] + filters[2] + filters[4] + filters[5]
    return classifier(layers, channels)


NETWORKS = {
    "resnet8": lambda: resnet(1),
    "resnet14": lambda: resnet(2),
    "resnet20": lambda: resnet(3),
    "resnet32": lambda: resnet(5),
    "inception-small": inception_small,
}


class Training:
    def __init__(self, request):
        torch.manual_seed(0)
        self.net = NETWORKS[request["network"]]().to(memory_format=torch.channels_last).train()
        found = sum(p.numel() for p in self.net.parameters())
        if found != request["parameters"]:
            raise ValueError(f"{found} parameters instead of {request['parameters']}")
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
        batch = request["batch"]
        self.images = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
        self.labels = torch.arange(batch) % 10

    def step(self):
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.net(self.images), self.labels).backward()
        self.optimizer.step()
        return time.perf_counter() - start


def main():
    trainings = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["network"] not in NETWORKS:
                raise ValueError(f"no twin of {request['network']}")
            torch.set_num_threads(request["threads"])
            key = (request["network"], request["batch"])
            if key not in trainings:
                trainings.clear()
                trainings[key] = Training(request)
                trainings[key].step()
            answer = {"seconds": [trainings[key].step() for _ in range(request["steps"])], "version": torch.__version__}
        except ValueError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


main()
