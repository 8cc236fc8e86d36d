#!/usr/bin/env python3
"""Writes a TensorFlow Lite file for each form of the quantized operators that TensorFlow Lite Micro runs, and its outputs; and, where
ai-edge-litert is installed, those of uint8 with the outputs of its reference kernels, since TensorFlow Lite Micro has none.

    tflite_operators.py FOLDER
    tflite_operators.py --committed FOLDER      some of one input, as they lie in `tests/operators`

Needs tflite-micro, flatbuffers and numpy. `NAME.tflite` lies beside `NAME.io.npz`: in0, in1, ... and out0, out1, ..., a row for
each inference; of the committed ones beside `NAME.input.npy` and `NAME.output_tflm.npy`. Scales and zero points are random, so that
multipliers are those of no power of two.
"""

import pathlib
import sys

import flatbuffers
import numpy as np
from tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

try:
    from ai_edge_litert import interpreter as litert
except ImportError:
    litert = None

OPS, TYPE = schema.BuiltinOperator, schema.TensorType
INFERENCES = 5
DTYPES = {TYPE.INT8: np.int8, TYPE.INT16: np.int16, TYPE.UINT8: np.uint8}
MAP = (1, 6, 4, 6)
COMMITTED = ["l2_normalization_1", "div_number", "squared_difference_number", "cumsum_scales_1", "cumsum_3_False",
             "add_n_once", "batch_matmul_right", "batch_matmul_turned", "strided_slice_backward_3"]


class Net:
    """One operator in a file of its own, or some in a row."""

    def __init__(self, kind, seed=0):
        self.kind, self.model, self.graph = kind, schema.ModelT(), schema.SubGraphT()
        self.random = np.random.default_rng(seed)
        self.model.version, self.model.operatorCodes, self.model.subgraphs = 3, [], [self.graph]
        self.model.buffers = [schema.BufferT()]
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []

    def quant(self, low=0.02, high=0.2):
        """A scale and a zero point."""
        scale = float(np.float32(self.random.uniform(low, high)))
        if self.kind == TYPE.INT16:
            return scale / 256, 0
        return scale, int(self.random.integers(-100, 100)) + (128 if self.kind == TYPE.UINT8 else 0)

    def tensor(self, shape, quant=None, data=None, kind=None, axis=0):
        t = schema.TensorT()
        t.name, t.shape, t.buffer = f"t{len(self.graph.tensors)}".encode(), [int(d) for d in shape], 0
        t.type = self.kind if kind is None else kind
        if data is not None:
            t.buffer, buffer = len(self.model.buffers), schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            self.model.buffers.append(buffer)
        if quant is not None:
            scales = np.atleast_1d(np.asarray(quant[0], np.float32))
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = scales, [quant[1]] * len(scales)
            t.quantization.quantizedDimension = axis
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def input(self, shape, quant):
        self.graph.inputs.append(self.tensor(shape, quant))
        return self.graph.inputs[-1]

    def constant(self, shape, quant):
        """Any elements but what stands for zero, by which nothing can be divided."""
        limits = np.iinfo(DTYPES[self.kind])
        data = self.random.integers(limits.min, limits.max, shape)
        data = data + (data >= quant[1])
        return self.tensor(shape, quant, data=np.asarray(data, DTYPES[self.kind]))

    def integers(self, values):
        values = np.array(values, np.int32)
        return self.tensor(values.shape, data=values, kind=TYPE.INT32)

    def op(self, name, inputs, shapes, quants, table=None, version=2, **fields):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(OPS, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1 if self.kind == TYPE.UINT8 and name != "BROADCAST_TO" else version
        self.model.operatorCodes.append(code)
        outputs = [self.tensor(shape, quant) for shape, quant in zip(shapes, quants)]
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), outputs
        if table:
            options = getattr(schema, table + "T")()
            for field, value in fields.items():
                setattr(options, field, value)
            operator.builtinOptions, operator.builtinOptionsType = options, getattr(schema.BuiltinOptions, table)
        self.graph.operators.append(operator)
        self.graph.outputs = outputs
        return self

    def data(self):
        builder = flatbuffers.Builder(1 << 14)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def functions(nets, kind, tag):
    wide = kind == TYPE.INT16
    zero = 128 if kind == TYPE.UINT8 else 0
    unit, probability = ((1 / 32768, 0), (1 / 32768, 0)) if wide else ((1 / 128, zero), (1 / 256, zero - 128))
    for seed in range(3):
        for name, output, options in [
            ("RELU", None, {}), ("LOGISTIC", probability, {}), ("TANH", unit, {}), ("QUANTIZE", None, {}),
            ("SOFTMAX", probability, dict(table="SoftmaxOptions", beta=1.0)),
            ("LEAKY_RELU", None, dict(table="LeakyReluOptions", alpha=float(np.float32(0.03 + seed / 5)))),
            ("ABS", None, {}), ("RSQRT", None, {}), ("ELU", None, {}), ("HARD_SWISH", None, {}),
            ("L2_NORMALIZATION", unit, dict(table="L2NormOptions")), ("LOG_SOFTMAX", (1 / 16, zero + 127), {}),
        ]:
            if wide and name in ("ELU", "HARD_SWISH", "L2_NORMALIZATION", "LOG_SOFTMAX"):
                continue
            if (zero and name in ("ABS", "ELU")) or (kind != TYPE.INT8 and name == "RSQRT"):
                continue
            n = Net(kind, seed)
            quant = n.quant()
            x = n.input(MAP, (quant[0], -128) if name == "RSQRT" else quant)
            nets[f"{name.lower()}_{seed}_{tag}"] = n.op(name, [x], [MAP], [output or n.quant()], **options)


def arithmetic(nets, kind, tag):
    forms = [("", MAP, MAP, None), ("channels", MAP, (1, 1, 1, 6), None), ("first", (1, 6, 4, 1), MAP, None),
             ("both", (1, 6, 1, 6), (1, 1, 4, 6), None), ("constant", MAP, MAP, 1), ("left", MAP, MAP, 0),
             ("vector", MAP, (6,), 1), ("number", MAP, (), 1), ("larger", (1, 1, 1, 6), MAP, 1)]
    for seed, (form, a, b, constant) in enumerate(forms):
        for name in ("ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM"):
            if name == "DIV" and (kind != TYPE.INT8 or (constant is not None and b != ())):
                continue
            if name == "SQUARED_DIFFERENCE" and kind == TYPE.UINT8:
                continue
            n = Net(kind, seed)
            bounds = name in ("MAXIMUM", "MINIMUM")
            quants = [n.quant()] * 3 if bounds else [n.quant(), n.quant(), n.quant(0.1, 0.5)]
            inputs = [n.constant(shape, quant) if at == constant else n.input(shape, quant)
                      for at, (shape, quant) in enumerate(zip((a, b), quants))]
            if name == "DIV" and constant is not None:
                # Finer than that it shifts by more bits than a word has, on x86 to another end of the range.
                quants[2] = n.quant(0.002, 0.004)
            words = {"SQUARED_DIFFERENCE": "SquaredDifference"}.get(name, name.capitalize())
            table = "MaximumMinimumOptions" if bounds else words + "Options"
            nets[f"{name.lower()}_{form}_{tag}"] = n.op(name, inputs, [np.broadcast_shapes(a, b)], quants[2:], table)


def reductions(nets, kind, tag):
    for seed, axes in enumerate([(1, 2), (3,), (1,), (2, 3), (1, 3), (-1,), (0, 1, 2, 3)]):
        for name in ("MEAN", "SUM") if kind == TYPE.INT16 else ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
            n, reduced = Net(kind, seed), {axis % 4 for axis in axes}
            given, keep = n.quant(), seed % 2 == 0
            x = n.input(MAP, given)
            shape = [1 if axis in reduced else d for axis, d in enumerate(MAP) if keep or axis not in reduced]
            quant = n.quant(0.1, 0.3) if name in ("MEAN", "SUM") else given
            made = n.op(name, [x, n.integers(axes)], [shape], [quant], "ReducerOptions", keepDims=keep)
            nets[f"{name.lower()}_{seed}_{tag}"] = made


def moves(nets, kind, tag):
    def move(name, op, shapes, inputs=(None,), shape=MAP, **options):
        n = Net(kind)
        quant = n.quant()
        # Nothing stands for an activation.
        inputs = [n.input(shape, quant) if given is None else n.integers(given) for given in inputs]
        nets[f"{name}_{tag}"] = n.op(op, inputs, shapes, [quant] * len(shapes), **options)

    for axis, shape, count in [(3, (1, 6, 4, 2), 3), (1, (1, 3, 4, 6), 2), (-2, (1, 6, 2, 6), 2)]:
        move(f"split_{axis}", "SPLIT", [shape] * count, (axis, None), table="SplitOptions", numSplits=count)
    move("split_v", "SPLIT_V", [(1, 1, 4, 6), (1, 5, 4, 6)], (None, [1, 5], 1), table="SplitVOptions", numSplits=2)
    for axis, shape, count in [(1, (1, 4, 6), 6), (2, (1, 6, 6), 4), (-1, (1, 6, 4), 6), (0, (6, 4, 6), 1)]:
        move(f"unpack_{axis}", "UNPACK", [shape] * count, table="UnpackOptions", num=count, axis=axis)
    for axis, shape in [(1, (1, 3, 4, 6)), (2, (1, 4, 3, 6)), (-1, (1, 4, 6, 3)), (0, (3, 1, 4, 6))]:
        move(f"pack_{axis}", "PACK", [shape], [None] * 3, (1, 4, 6), table="PackOptions", valuesCount=3, axis=axis)
    for axis, shape in [(1, (1, 18, 4, 6)), (2, (1, 6, 12, 6)), (-1, (1, 6, 4, 18))]:
        move(f"concat_{axis}", "CONCATENATION", [shape], [None] * 3, table="ConcatenationOptions", axis=axis)
    move("squeeze", "SQUEEZE", [(4, 6)], shape=(1, 1, 4, 6), table="SqueezeOptions", squeezeDims=[0, 1])
    move("expand_dims", "EXPAND_DIMS", [(1, 6, 1, 4)], (None, 2), (1, 6, 4), table="ExpandDimsOptions")
    move("reshape", "RESHAPE", [(24, 6)], (None, [24, 6]), table="ReshapeOptions")
    move("reshape_5d", "RESHAPE", [(1, 2, 3, 4, 6)], (None, [1, 2, 3, 4, 6]), table="ReshapeOptions")
    for order in [(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1), (1, 0, 2, 3), (2, 0, 1, 3)]:
        shape = [MAP[axis] for axis in order]
        move("transpose_" + "".join(map(str, order)), "TRANSPOSE", [shape], (None, order), table="TransposeOptions")
    move("transpose_2d", "TRANSPOSE", [(6, 4)], (None, [1, 0]), (4, 6), table="TransposeOptions")
    for name, begin, end, strides, masks, shape in [
        ("rows", [0, 1, 0, 0], [1, 5, 4, 6], [1, 2, 1, 1], {}, (1, 2, 4, 6)),
        ("channels", [0, 0, 0, 1], [0] * 3 + [6], [1, 1, 1, 2], dict(beginMask=7, endMask=7), (1, 6, 4, 3)),
        ("single", [0, 0, 2, 0], [1, 6, 3, 6], [1] * 4, dict(shrinkAxisMask=4), (1, 6, 6)),
        ("negative", [0, -3, 0, 0], [1, -1, 4, 6], [1] * 4, {}, (1, 2, 4, 6)),
        ("batch", [0, 1, 0, 0], [1, 3, 4, 6], [1] * 4, dict(shrinkAxisMask=1), (2, 4, 6)),
        ("reverse", [0, -1, 0, 0], [1, -7, 4, 6], [1, -1, 1, 1], {}, MAP),
    ]:
        lists = (None, begin, end, strides)
        move(f"strided_slice_{name}", "STRIDED_SLICE", [shape], lists, table="StridedSliceOptions", **masks)
    move("slice", "SLICE", [(1, 3, 4, 4)], (None, [0, 1, 0, 2], [1, 3, -1, 4]), table="SliceOptions")
    move("broadcast", "BROADCAST_TO", [MAP], (None, MAP), (1, 1, 1, 6), table="BroadcastToOptions")
    pads = [[0, 0], [1, 2], [2, 1], [1, 1]]
    move("pad", "PAD", [(1, 9, 7, 8)], (None, pads), table="PadOptions")
    move("reverse", "REVERSE_V2", [MAP], (None, [1]), table="ReverseV2Options")
    move("resize", "RESIZE_NEAREST_NEIGHBOR", [(1, 13, 8, 6)], (None, [13, 8]), table="ResizeNearestNeighborOptions")
    if kind == TYPE.INT16:
        return
    pads[3] = [0, 0]
    move("mirror_pad", "MIRROR_PAD", [(1, 9, 7, 6)], (None, pads), table="MirrorPadOptions", mode=1)
    for name, list_, axis, shape in [("channels", [5, 0, 3], 3, (1, 6, 4, 3)), ("rows", [5, 0, 3], 1, (1, 3, 4, 6)),
                                     ("row", 2, 1, (1, 4, 6))]:
        move(f"gather_{name}", "GATHER", [shape], (None, list_), table="GatherOptions", axis=axis)
    for half, width in ((False, 9), (True, 9), (False, 8), (True, 8)):
        move(f"bilinear_{half}_{width}", "RESIZE_BILINEAR", [(1, 12, width, 6)], (None, [12, width]),
             table="ResizeBilinearOptions", halfPixelCenters=half)
    if kind == TYPE.UINT8:
        # Only of uint8 the parts may have scales of their own.
        n = Net(kind)
        made = n.op("CONCATENATION", [n.input(MAP, n.quant()) for _ in range(3)], [(1, 6, 4, 18)], [n.quant()],
                    "ConcatenationOptions", axis=3)
        nets[f"concat_scales_{tag}"] = made
        return
    for axis, exclusive, reverse in [(1, False, False), (2, False, True), (3, True, False), (-1, True, True)]:
        move(f"cumsum_{axis}_{reverse}", "CUMSUM", [MAP], (None, axis), table="CumsumOptions", exclusive=exclusive,
             reverse=reverse)
    for axis, begin, end, stride in [(2, -1, -5, -1), (3, 4, 0, -2), (1, 5, -7, -3)]:
        lists = [[0] * 4, list(MAP), [1] * 4]
        for list_, bound in zip(lists, (begin, end, stride)):
            list_[axis] = bound
        count = {2: 4, 3: 2, 1: 2}[axis]
        shape = [count if at == axis else extent for at, extent in enumerate(MAP)]
        move(f"strided_slice_backward_{axis}", "STRIDED_SLICE", [shape], (None, *lists), table="StridedSliceOptions")
    move("add_n", "ADD_N", [MAP], [None] * 3, table="AddNOptions")
    sums(nets, kind, tag)


def sums(nets, kind, tag):
    """Sums with a scale of their own, and products of matrices."""
    n = Net(kind)
    inputs = [n.input(MAP, n.quant())] * 3
    nets[f"add_n_once_{tag}"] = n.op("ADD_N", inputs, [MAP], [n.quant(0.05, 0.5)], "AddNOptions")
    for seed in range(6):
        n = Net(kind, seed)
        quant = n.quant()
        inputs = [n.input(MAP, quant) for _ in range(2 + seed)]
        nets[f"add_n_{seed}_{tag}"] = n.op("ADD_N", inputs, [MAP], [n.quant(0.05, 0.5)], "AddNOptions")
        n = Net(kind, seed)
        inputs = [n.input(MAP, n.quant()), n.integers(1 + seed % 3)]
        nets[f"cumsum_scales_{seed}_{tag}"] = n.op("CUMSUM", inputs, [MAP], [n.quant(0.05, 0.5)], "CumsumOptions")
    for name, left, right, turned in [("values", (1, 5, 4), None, False), ("right", (1, 5, 4), (4, 6), False),
                                      ("turned", (1, 3, 5, 4), (1, 1, 6, 4), True), ("row", (1, 4), (4, 6), False)]:
        n = Net(kind)
        quant = n.quant()
        inputs = [n.input(left, quant)]
        if right is None:
            inputs.append(n.input((1, 4, 6), quant))
        else:
            inputs.append(n.constant(right, (n.quant()[0], 0)))
        shape = (*left[:-1], 6)
        nets[f"batch_matmul_{name}_{tag}"] = n.op("BATCH_MATMUL", inputs, [shape], [n.quant(0.5, 2.0)],
                                                  "BatchMatMulOptions", adjY=turned)


def choices(nets, kind, tag):
    """What comparisons choose: the operator, its operands, and those of the choice."""
    if kind != TYPE.INT8:
        return
    for seed, (name, compared, chosen) in enumerate([
        ("GREATER", "xn", "xn"), ("LESS_EQUAL", "nx", "nx"), ("GREATER_EQUAL", "xn", "yx"), ("EQUAL", "xy", "xy"),
        ("NOT_EQUAL", "xy", "cn"), ("LESS", "xy", "xc"), ("LESS", "xn", "nn"),
    ]):
        n = Net(kind, seed)
        quant = n.quant()
        x, y = n.input(MAP, quant), n.input(MAP, quant) if "y" in compared + chosen else None
        operand = {"x": lambda: x, "y": lambda: y, "n": lambda: n.constant((), quant), "c": lambda: n.constant((6,), quant)}
        table = "".join(word.capitalize() for word in name.split("_")) + "Options"
        n.op(name, [operand[which]() for which in compared], [MAP], [None], table, version=1)
        (truth,) = n.graph.outputs
        n.graph.tensors[truth].type = TYPE.BOOL
        inputs = [truth, *[operand[which]() for which in chosen]]
        nets[f"choice_{name.lower()}_{chosen}_{tag}"] = n.op("SELECT_V2", inputs, [MAP], [quant], "SelectV2Options", version=1)


def pools(nets, kind, tag):
    for seed, (stride, size, padding, shape) in enumerate([(2, 2, 1, (1, 3, 2, 6)), (1, 3, 0, MAP), (2, 3, 0, (1, 3, 2, 6))]):
        for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            n = Net(kind, seed)
            quant = n.quant()
            fields = dict(strideH=stride, strideW=stride, filterHeight=size, filterWidth=size, padding=padding)
            made = n.op(name, [n.input(MAP, quant)], [shape], [quant], "Pool2DOptions", **fields)
            nets[f"{name.lower()}_{seed}_{tag}"] = made


def weighted(nets, kind, tag):
    wide = kind == TYPE.INT16
    steps = dict(strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    for seed, (name, dims, shape, table, fields) in enumerate([
        ("CONV_2D", (8, 3, 3, 6), (1, 6, 4, 8), "Conv2DOptions", steps),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 6), MAP, "DepthwiseConv2DOptions", dict(steps, depthMultiplier=1)),
        ("FULLY_CONNECTED", (8, 144), (1, 8), "FullyConnectedOptions", {}),
        ("TRANSPOSE_CONV", (8, 3, 3, 6), (1, 12, 8, 8), "TransposeConvOptions", dict(strideH=2, strideW=2)),
    ]):
        for each in (False, True):
            n = Net(kind, seed + 10 * each)
            axis = 3 if name.startswith("DEPTHWISE") else 0
            source, count = n.quant(), dims[axis]
            x = n.input((1, 144) if name == "FULLY_CONNECTED" else MAP, source)
            if each and kind == TYPE.UINT8:
                continue
            scales = n.random.uniform(0.001, 0.02, count if each else 1).astype(np.float32)
            weights = n.random.integers(-127, 128, dims).astype(np.int8)
            w = n.tensor(dims, (scales, 0), weights, TYPE.INT8, axis)
            if kind == TYPE.UINT8:
                w = n.tensor(dims, (scales, 110), n.random.integers(0, 256, dims).astype(np.uint8))
            bias = n.random.integers(-2000, 2000, count).astype(np.int64 if wide else np.int32)
            b = n.tensor((count,), (scales * np.float32(source[0]), 0), bias, TYPE.INT64 if wide else TYPE.INT32)
            inputs = [n.integers(shape), w, x, b] if name == "TRANSPOSE_CONV" else [x, w, b]
            made = n.op(name, inputs, [shape], [n.quant(0.1, 0.5)], table, version=5, **fields)
            nets[f"{name.lower()}_{each}_{tag}"] = made


def micro(data, outputs):
    """What TensorFlow Lite Micro makes of inputs."""
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)

    def run(inputs):
        for which, array in enumerate(inputs):
            interpreter.set_input(array, which)
        interpreter.invoke()
        return [interpreter.get_output(which).copy() for which in range(outputs)]

    return run


def reference(data):
    """What LiteRT's reference kernels make of inputs."""
    kernels = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(model_content=data, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()

    def run(inputs):
        for given, array in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(given["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(made["index"]) for made in interpreter.get_output_details()]

    return run


def write(folder, name, net, committed):
    """One file and what TensorFlow Lite Micro makes of some inputs."""
    data, arrays = net.data(), {}
    run = reference(data) if net.kind == TYPE.UINT8 else micro(data, len(net.graph.outputs))
    limits = np.iinfo(DTYPES[net.kind])
    for at in range(INFERENCES):
        inputs = []
        for tensor in net.graph.inputs:
            shape = net.graph.tensors[tensor].shape
            spread = [limits.min, limits.max, *[net.random.integers(limits.min, limits.max + 1, shape)] * 3][at]
            inputs.append(np.broadcast_to(spread, shape).astype(DTYPES[net.kind]))
        for end, values in (("in", inputs), ("out", run(inputs))):
            for which, array in enumerate(values):
                arrays.setdefault(f"{end}{which}", []).append(array)
    (folder / f"{name}.tflite").write_bytes(data)
    if committed:
        # Maps in, vectors out.
        shape = net.graph.tensors[net.graph.inputs[0]].shape
        np.save(folder / f"{name}.input.npy", np.reshape(arrays["in0"], (INFERENCES, *[1] * (4 - len(shape)), *shape[1:])))
        np.save(folder / f"{name}.output_tflm.npy", np.reshape(arrays["out0"], (INFERENCES, -1)))
        return
    np.savez(folder / f"{name}.io.npz", **{key: np.array(rows) for key, rows in arrays.items()})


def main():
    committed, folder, nets = "--committed" in sys.argv, pathlib.Path(sys.argv[-1]), {}
    for kind, tag in ((TYPE.INT8, "int8"), (TYPE.INT16, "int16"), *([(TYPE.UINT8, "uint8")] if litert else [])):
        for family in (functions, arithmetic, reductions, moves, choices, pools, weighted):
            family(nets, kind, tag)
    if committed:
        nets = {name: nets[f"{name}_int8"] for name in COMMITTED}
    for name, net in nets.items():
        write(folder, name, net, committed)


if __name__ == "__main__":
    main()
