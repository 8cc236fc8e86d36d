#!/usr/bin/env python3
"""Writes the int8 and int16 TensorFlow Lite networks of host-tools/tests/operators, with inputs and two interpreters' outputs.

    int8_models.py FOLDER

Needs ai-edge-litert and tflite-micro. TensorFlow's converter is not needed: the files are put together operator by operator, for
operators and forms of them that it seldom writes.
"""

import argparse
import pathlib
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_tflite import micro, reference  # noqa: E402

OPS = schema.BuiltinOperator
# The first version that has int8, where it is not the second.
VERSIONS = {OPS.ELU: 1, OPS.RESHAPE: 1, OPS.HARD_SWISH: 1, OPS.RELU_N1_TO_1: 1, OPS.MIRROR_PAD: 1}


class Net:
    """A file in the making. Weights are random; scales are chosen so that values spread over the whole of int8."""

    def __init__(self, seed, *shape, wide=False):
        self.kind = schema.TensorType.INT16 if wide else schema.TensorType.INT8
        self.model, self.graph, self.random = schema.ModelT(), schema.SubGraphT(), np.random.default_rng(seed)
        self.model.version, self.model.description = 3, "Kinglet's test"
        self.model.operatorCodes, self.model.buffers, self.model.subgraphs = [], [schema.BufferT()], [self.graph]
        self.graph.tensors, self.graph.operators = [], []
        self.input = self.tensor("input", shape, *((1 / 8192, 0) if wide else (1 / 64, -3)), kind=self.kind)
        self.graph.inputs = [self.input]

    def shape(self, tensor):
        return [int(d) for d in self.graph.tensors[tensor].shape]

    def tensor(self, name, shape, scale=None, zero=0, data=None, kind=schema.TensorType.INT8, axis=0):
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer = name.encode(), list(shape), kind, 0
        if data is not None:
            t.buffer, buffer = len(self.model.buffers), schema.BufferT()
            if kind == schema.TensorType.INT4:
                flat = np.append(data.reshape(-1), np.zeros(data.size % 2, np.int8)) & 15
                data = flat[0::2] | flat[1::2] << 4
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            self.model.buffers.append(buffer)
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, dtype=np.float32))
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = scales, [zero] * len(scales)
            t.quantization.quantizedDimension = axis
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def op(self, code, inputs, shape, scale, zero, options=None, kind=None):
        found = [i for i, c in enumerate(self.model.operatorCodes) if c.builtinCode == code]
        if not found:
            c = schema.OperatorCodeT()
            c.builtinCode, c.deprecatedBuiltinCode, c.version = code, min(code, 127), VERSIONS.get(code, 2)
            self.model.operatorCodes.append(c)
            found = [len(self.model.operatorCodes) - 1]
        o = schema.OperatorT()
        out = self.tensor(f"t{len(self.graph.tensors)}", shape, scale, zero, kind=self.kind)
        o.opcodeIndex, o.inputs, o.outputs = found[0], list(inputs), [out]
        if options is not None:
            o.builtinOptions, o.builtinOptionsType = options, getattr(schema.BuiltinOptions, kind)
        self.graph.operators.append(o)
        return out

    def mirror_pad(self, x, pads, mode):
        options = schema.MirrorPadOptionsT()
        options.mode = mode
        shape = [d + sum(pad) for d, pad in zip(self.shape(x), pads)]
        amounts = self.tensor("pads", [4, 2], data=np.array(pads, np.int32), kind=schema.TensorType.INT32)
        return self.op(OPS.MIRROR_PAD, [x, amounts], shape, *self.quant(x), options, "MirrorPadOptions")

    def integers(self, numbers):
        return self.tensor("numbers", [len(numbers)], data=np.array(numbers, np.int32), kind=schema.TensorType.INT32)

    def conv(self, x, channels, scale, zero, kernel=3):
        n, h, w, c = self.shape(x)
        weights = self.random.integers(-127, 128, (channels, kernel, kernel, c), dtype=np.int8)
        bias = self.random.integers(-3000, 3000, channels, dtype=np.int32)
        scales = self.random.uniform(0.4, 1.0, channels).astype(np.float32) * 0.02 / np.sqrt(kernel * kernel * c)
        f = self.tensor("filter", weights.shape, scales, data=weights)
        b = self.tensor("bias", [channels], scales / 64, data=bias, kind=schema.TensorType.INT32)
        options = schema.Conv2DOptionsT()
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        return self.op(OPS.CONV_2D, [x, f, b], [n, h, w, channels], scale, zero, options, "Conv2DOptions")

    def narrow(self, code, x, dims, shape, scale, zero, options, kind, axis=0):
        """An operator with weights of 4 bits, whose output channels are dimension `axis`."""
        channels, terms = dims[axis], np.prod(dims) // dims[axis]
        weights = self.random.integers(-7, 8, dims, dtype=np.int8)
        # TensorFlow Lite Micro takes no scale for each unit of a fully connected layer of 4 bits.
        scales = self.random.uniform(0.4, 1.0, 1 if code == OPS.FULLY_CONNECTED else channels).astype(np.float32)
        scales *= 0.4 / np.sqrt(terms)
        f = self.tensor("filter", dims, scales, data=weights, kind=schema.TensorType.INT4, axis=axis)
        bias = self.random.integers(-300, 300, channels, dtype=np.int32)
        b = self.tensor("bias", [channels], scales * self.quant(x)[0], data=bias, kind=schema.TensorType.INT32)
        return self.op(code, [x, f, b], shape, scale, zero, options, kind)

    def narrow_conv(self, x, channels, scale, zero, kernel=3, stride=1, depthwise=False):
        n, h, w, c = self.shape(x)
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideW = options.strideH = stride
        options.dilationWFactor = options.dilationHFactor = options.fusedActivationFunction = 1
        shape = [n, -(-h // stride), -(-w // stride), channels]
        if depthwise:
            options.depthMultiplier = channels // c
            dims, kind, code = [1, kernel, kernel, channels], "DepthwiseConv2DOptions", OPS.DEPTHWISE_CONV_2D
        else:
            dims, kind, code = [channels, kernel, kernel, c], "Conv2DOptions", OPS.CONV_2D
        return self.narrow(code, x, dims, shape, scale, zero, options, kind, axis=3 if depthwise else 0)

    def mean(self, x, scale, zero):
        options = schema.ReducerOptionsT()
        options.keepDims = True
        n, _, _, c = self.shape(x)
        return self.op(OPS.MEAN, [x, self.integers([1, 2])], [n, 1, 1, c], scale, zero, options, "ReducerOptions")

    def sum(self, x, axes, scale, zero):
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = [1 if axis in axes else d for axis, d in enumerate(self.shape(x))]
        return self.op(OPS.SUM, [x, self.integers(axes)], shape, scale, zero, options, "ReducerOptions")

    def pair(self, name, a, b, scale, zero, shape=None, activation=0):
        shape = shape or np.broadcast_shapes(self.shape(a), self.shape(b))
        code = getattr(OPS, name)
        if name in ("MAXIMUM", "MINIMUM"):
            return self.op(code, [a, b], shape, scale, zero, schema.MaximumMinimumOptionsT(), "MaximumMinimumOptions")
        kind = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[name]
        options = getattr(schema, kind + "T")()
        options.fusedActivationFunction = activation
        return self.op(code, [a, b], shape, scale, zero, options, kind)

    def function(self, name, x, scale, zero, options=None, kind=None):
        return self.op(getattr(OPS, name), [x], self.shape(x), scale, zero, options, kind)

    def quant(self, x):
        q = self.graph.tensors[x].quantization
        return float(q.scale[0]), int(q.zeroPoint[0])

    def constant(self, shape, scale, zero):
        return self.tensor("constant", shape, scale, zero, self.random.integers(-128, 128, shape, dtype=np.int8))

    def reshape(self, x, shape):
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        return self.op(OPS.RESHAPE, [x, self.integers(shape)], shape, *self.quant(x), options, "ReshapeOptions")

    def transpose(self, x, order):
        shape = [self.shape(x)[at] for at in order]
        inputs = [x, self.integers(order)]
        return self.op(OPS.TRANSPOSE, inputs, shape, *self.quant(x), schema.TransposeOptionsT(), "TransposeOptions")

    def resize(self, x, size, corners, centers):
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners, options.halfPixelCenters = corners, centers
        n, _, _, c = self.shape(x)
        inputs = [x, self.integers(size)]
        return self.op(OPS.RESIZE_BILINEAR, inputs, [n, *size, c], *self.quant(x), options, "ResizeBilinearOptions")

    def write(self, path, output):
        self.graph.outputs = [output]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))


def broadcast():
    """Sums, differences and products of a map with one pixel and with one channel, on either side."""
    net = Net(1, 1, 6, 5, 3)
    x = net.conv(net.input, 4, 0.03, 5)
    gate = net.mean(x, 0.011, -20)
    thin = net.conv(x, 1, 0.027, 9)
    x = net.pair("ADD", x, gate, 0.037, 3)
    x = net.pair("ADD", gate, x, 0.041, -7, activation=1)
    x = net.pair("ADD", x, thin, 0.05, -11)
    x = net.pair("SUB", x, thin, 0.061, 2)
    x = net.pair("SUB", gate, x, 0.055, 12)
    x = net.pair("SUB", thin, x, 0.063, 1)
    x = net.pair("MUL", thin, x, 0.021, -1)
    one = net.mean(net.conv(x, 1, 0.02, 4), 0.013, 6)
    x = net.pair("ADD", x, one, 0.033, -2)
    x = net.pair("ADD", x, net.constant([1, 6, 5, 1], 0.01, 3), 0.035, 1)
    return net, net.pair("MUL", net.constant([1, 1, 5, 4], 0.011, -3), x, 0.02, 3)


def broadcast_int16():
    """The same of int16 elements."""
    net = Net(7, 1, 6, 5, 3, wide=True)
    gate = net.mean(net.input, 1 / 9000, 0)
    x = net.pair("ADD", net.input, gate, 1 / 7000, 0)
    x = net.pair("ADD", gate, x, 1 / 6500, 0, activation=1)
    return net, net.pair("MUL", gate, net.pair("SUB", gate, x, 1 / 6000, 0), 1 / 8000, 0)


def function(name, zero, options=None, kind=None):
    """One function of all elements that there are."""
    net = Net(2, 1, 16, 16, 1)
    net.graph.tensors[net.input].quantization.scale[0] = 0.043
    return net, net.function(name, net.input, 0.023, zero, options, kind)


def leaky_relu():
    options = schema.LeakyReluOptionsT()
    options.alpha = 0.17
    return function("LEAKY_RELU", -60, options, "LeakyReluOptions")


def gelu(approximate):
    options = schema.GeluOptionsT()
    options.approximate = approximate
    return function("GELU", -113, options, "GeluOptions")


def extrema():
    """The greater and the lesser of two maps, and of a map and a number."""
    net = Net(4, 1, 6, 5, 3)
    quant = (0.03, 5)
    a, b = net.conv(net.input, 4, *quant), net.conv(net.input, 4, *quant)
    c = net.pair("MAXIMUM", a, b, *quant)
    d = net.pair("MINIMUM", c, net.conv(net.input, 4, *quant), *quant)
    d = net.pair("MAXIMUM", d, net.tensor("low", [], *quant, np.array(-31, np.int8)), *quant)
    return net, net.pair("MINIMUM", net.tensor("high", [], *quant, np.array(77, np.int8)), d, *quant)


def shuffle():
    """ShuffleNet's channel shuffle: the groups' channels by turns."""
    net = Net(5, 1, 6, 5, 3)
    x = net.conv(net.input, 12, 0.03, 5)
    x = net.transpose(net.reshape(x, [1, 6, 5, 3, 4]), [0, 1, 2, 4, 3])
    return net, net.conv(net.reshape(x, [1, 6, 5, 12]), 5, 0.04, 2, 1)


def mirror():
    """Rows and columns that are repeated around a map, with the outermost ones and without."""
    net = Net(8, 1, 6, 5, 3)
    x = net.mirror_pad(net.conv(net.input, 4, 0.03, 5), [(0, 0), (1, 2), (3, 0), (0, 0)], 0)
    return net, net.mirror_pad(net.conv(x, 4, 0.04, -6), [(0, 0), (2, 0), (1, 3), (0, 0)], 1)


def int4():
    """Weights of 4 bits: all operators that have them, of odd and of even numbers of weights."""
    net = Net(11, 1, 9, 7, 3)
    x = net.narrow_conv(net.input, 5, 0.03, -60)
    x = net.narrow_conv(x, 5, 0.02, -70, depthwise=True)
    x = net.narrow_conv(x, 12, 0.02, -50, kernel=1)
    x = net.narrow_conv(x, 24, 0.02, -80, depthwise=True, stride=2)
    x = net.narrow_conv(x, 10, 0.03, -65, stride=2)
    x = net.narrow_conv(x, 8, 0.02, -90)
    options = schema.FullyConnectedOptionsT()
    _, h, w, c = net.shape(x)
    return net, net.narrow(OPS.FULLY_CONNECTED, net.reshape(x, [1, h * w * c]), [7, h * w * c], [1, 7], 0.005, 3, options,
                           "FullyConnectedOptions")


def resize(wide):
    """Larger and smaller maps, with all settings of corners and centers."""
    net = Net(11, 1, 6, 5, 3, wide=wide)
    x = net.resize(net.input, [11, 13], False, True)
    x = net.resize(x, [7, 3], False, False)
    x = net.resize(x, [9, 8], True, False)
    return net, net.resize(x, [4, 5], False, True)


def sums(wide):
    """Sums over the width, then over what is left of the map."""
    net = Net(12, 1, 6, 5, 7, wide=wide)
    scale = 1 / 2000 if wide else 0.031
    x = net.sum(net.input, [2], scale, 0 if wide else 7)
    return net, net.sum(x, [1], 2 * scale, 0 if wide else -4)


# The desktop's kernels give other sums of integers, most of them a constant.
ONLY_MICRO = {"sums", "sums_int16"}

NETWORKS = {
    "broadcast": broadcast,
    "broadcast_int16": broadcast_int16,
    "elu": lambda: function("ELU", -70),
    "gelu": lambda: gelu(False),
    "gelu_tanh": lambda: gelu(True),
    "hard_swish": lambda: function("HARD_SWISH", -110),
    "leaky_relu": leaky_relu,
    "relu_n1_to_1": lambda: function("RELU_N1_TO_1", 4),
    "extrema": extrema,
    "mirror": mirror,
    "int4": int4,
    "resize": lambda: resize(False),
    "resize_int16": lambda: resize(True),
    "shuffle": shuffle,
    "sums": lambda: sums(False),
    "sums_int16": lambda: sums(True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    for name, build in NETWORKS.items():
        net, output = build()
        path = folder / f"{name}.tflite"
        net.write(path, output)
        wide = net.kind == schema.TensorType.INT16
        end, kind = (1 << 15, np.int16) if wide else (1 << 7, np.int8)
        images = np.random.default_rng(9).integers(-end, end, (6, *net.shape(net.input)[1:]), dtype=kind)
        np.save(folder / f"{name}.input.npy", images)
        for oracle, run in {"output": reference, "output_tflm": micro}.items():
            if run is reference and name in ONLY_MICRO:
                continue
            try:
                outputs = np.stack(run(path, images)).reshape(len(images), -1)
            except (RuntimeError, ValueError) as error:
                # Neither interpreter has all of them.
                print(f"{name}: no {oracle}: {str(error).splitlines()[0]}")
                continue
            np.save(folder / f"{name}.{oracle}.npy", outputs)
            print(f"{name}: {path.stat().st_size} bytes, {oracle} from {outputs.min()} to {outputs.max()}, "
                  f"deviation {outputs.std():.1f}")


if __name__ == "__main__":
    sys.exit(main())
