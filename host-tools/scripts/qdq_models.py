#!/usr/bin/env python3
"""Writes the ONNX networks with scales of host-tools/tests/qdq, with ONNX Runtime's outputs.

    qdq_models.py FOLDER

Needs onnx and onnxruntime. Quantizes networks of host-tools/tests/exported (and one of its own) as users do, with
onnxruntime's static quantizer, in QDQ format: uint8 activations and weights per channel (`_qdq`), or int8 per tensor (`_s8`).
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
from onnxruntime import quantization as q
from onnx import helper, numpy_helper

EXPORTED = pathlib.Path(__file__).parent.parent / "tests/exported"
KINDS = {
    "qdq": {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8, "per_channel": True},
    "s8": {"activation_type": q.QuantType.QInt8, "weight_type": q.QuantType.QInt8},
}
NETWORKS = ["audio_s8", "autoencoder_qdq", "clipped_qdq", "elementwise_opset13_qdq", "inception_qdq", "mobilenet_v3_s8",
            "resnet_qdq", "shuffle_s8"]


class Images(q.CalibrationDataReader):
    """Noise between -1 and 1."""

    def __init__(self, name, shape):
        random = np.random.default_rng(3)
        self.images = iter([{name: (random.random((1, *shape)) * 2 - 1).astype(np.float32)} for _ in range(24)])

    def get_next(self):
        return next(self.images, None)


def clipped():
    """Branches that ReLU6, ReLU and nothing cut off, which a concatenation joins at a scale of its own."""
    random = np.random.default_rng(11)
    constants = {"a": random.normal(0, 1.2, (4, 3, 3, 3)), "b": random.normal(0, 2.5, (4, 3, 1, 1)),
                 "c": random.normal(0, 1.5, (2, 3, 1, 1)), "fc": random.normal(0, 0.2, (10, 5))}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["conv_a"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["conv_a", "zero", "six"], ["relu6"]),
        helper.make_node("Conv", ["x", "b"], ["conv_b"]),
        helper.make_node("Relu", ["conv_b"], ["relu"]),
        helper.make_node("Conv", ["x", "c"], ["conv_c"]),
        helper.make_node("Concat", ["relu6", "relu", "conv_c"], ["joint"], axis=1),
        helper.make_node("MaxPool", ["joint"], ["max"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["max"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "fc"], ["y"]),
    ]
    constants |= {"zero": np.array(0.0), "six": np.array(6.0)}
    return model("clipped", nodes, constants)


def shuffle():
    """Channels that change groups between two convolutions, as in ShuffleNet, and padding that repeats."""
    random = np.random.default_rng(13)
    constants = {"a": random.normal(0, 0.5, (6, 3, 3, 3)), "b": random.normal(0, 0.5, (6, 3, 3, 3)),
                 "groups": np.array([1, 2, 3, 8, 8]), "map": np.array([1, 6, 8, 8]),
                 "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "fc": random.normal(0, 0.4, (54, 5))}
    nodes = [
        helper.make_node("Pad", ["x", "around"], ["edged"], mode="edge"),
        helper.make_node("Conv", ["edged", "a"], ["conv_a"]),
        helper.make_node("Relu", ["conv_a"], ["relu"]),
        helper.make_node("Reshape", ["relu", "groups"], ["grouped"]),
        helper.make_node("Transpose", ["grouped"], ["turned"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["turned", "map"], ["shuffled"]),
        helper.make_node("Pad", ["shuffled", "around"], ["mirrored"], mode="reflect"),
        helper.make_node("Conv", ["mirrored", "b"], ["conv_b"], group=2),
        helper.make_node("MaxPool", ["conv_b"], ["pool"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "fc"], ["y"]),
    ]
    return model("shuffle", nodes, constants)


def model(name, nodes, constants):
    """A network of 3 x 8 x 8 to 5 numbers, and inputs."""
    array = lambda value: value if value.dtype == np.int64 else value.astype(np.float32)
    initializers = [numpy_helper.from_array(array(value), name) for name, value in constants.items()]
    value = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, name, [value("x", [1, 3, 8, 8])], [value("y", [1, 5])], initializers)
    images = (np.random.default_rng(12).random((3, 3, 8, 8)) * 2 - 1).astype(np.float32)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), images


OWN = {"clipped": clipped, "shuffle": shuffle}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    onnxruntime.set_default_logger_severity(3)
    for name in NETWORKS:
        source, kind = name.rsplit("_", 1)
        if source in OWN:
            network, images = OWN[source]()
            np.save(folder / f"{source}.input.npy", images)
        else:
            network, images = onnx.load(EXPORTED / f"{source}.onnx"), np.load(EXPORTED / f"{source}.input.npy")
        # Scales for each channel came with operator set 13.
        if network.opset_import[0].version < 13:
            network = onnx.version_converter.convert_version(network, 13)
        path, between = folder / f"{name}.onnx", folder / "float.onnx"
        onnx.save(network, between)
        calibration = Images(network.graph.input[0].name, images.shape[1:])
        q.quantize_static(str(between), str(path), calibration, quant_format=q.QuantFormat.QDQ, **KINDS[kind])
        between.unlink()
        quantized = onnx.load(path)
        del quantized.graph.value_info[:]
        onnx.save(quantized, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        run = lambda image: session.run(None, {session.get_inputs()[0].name: image[None]})[0][0]
        outputs = np.stack([run(image) for image in images])
        np.save(folder / f"{name}.output.npy", outputs)
        print(f"{name}: {path.stat().st_size} bytes, outputs {outputs.min():.3f} to {outputs.max():.3f}")


if __name__ == "__main__":
    sys.exit(main())
