#!/usr/bin/env python3
"""Writes host-tools/tests/converted/qat_int4.tflite: a network with weights of 4 bits from TensorFlow's converter, with inputs and outputs.

    converted_int4.py FOLDER

Needs tensorflow; with `--outputs` ai-edge-litert or tensorflow, and tflite-micro, which may lie in environments of their own: each that is
there writes its outputs.

The converter gives 4 bits to weights that were trained with them: fake quantization of 4 bits, each channel with its own range, in a
narrow range of -7 to 7; a dense layer has one for all. There is a convolution, a depthwise one, one of stride 2, a residual sum and a dense layer.
"""

import argparse
import pathlib
import sys

import numpy as np

NAME = "qat_int4"


def convert():
    import tensorflow as tf

    random = np.random.default_rng(4)
    quantization = tf.quantization

    class Net(tf.Module):
        def __init__(self):
            super().__init__()

            def weights(*shape):
                return tf.Variable(random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32))

            self.first = weights(3, 3, 3, 16)
            # The converter wants the channels of a depthwise convolution last, too.
            self.depthwise = weights(3, 3, 16, 1)
            self.point = weights(1, 1, 16, 16)
            self.second = weights(3, 3, 16, 22)
            self.dense = weights(22, 10)
            self.bias = {
                name: tf.Variable(random.uniform(-0.3, 0.3, count).astype(np.float32))
                for name, count in {"first": 16, "depthwise": 16, "point": 16, "second": 22, "dense": 10}.items()
            }

        def narrow(self, weights):
            axes = list(range(len(weights.shape) - 1))
            most = tf.reduce_max(tf.abs(weights), axes)
            return quantization.fake_quant_with_min_max_vars_per_channel(weights, -most, most, num_bits=4, narrow_range=True)

        def narrow_whole(self, weights):
            # The converter turns the weights of a dense layer round, and cannot with a scale for each channel.
            most = tf.reduce_max(tf.abs(weights))
            return quantization.fake_quant_with_min_max_vars(weights, -most, most, num_bits=4, narrow_range=True)

        def depthwise_narrow(self, weights):
            h, w, c, _ = weights.shape
            return tf.reshape(self.narrow(tf.reshape(weights, [h, w, c])), [h, w, c, 1])

        @tf.function(input_signature=[tf.TensorSpec([1, 12, 10, 3], tf.float32)])
        def __call__(self, x):
            def eight(x, least, most):
                return quantization.fake_quant_with_min_max_args(x, least, most, num_bits=8)

            x = eight(x, -1.0, 1.0)
            x = tf.nn.conv2d(x, self.narrow(self.first), 1, "SAME") + self.bias["first"]
            x = skip = eight(tf.nn.relu(x), 0.0, 2.0)
            x = tf.nn.depthwise_conv2d(x, self.depthwise_narrow(self.depthwise), [1, 1, 1, 1], "SAME")
            x = eight(tf.nn.relu(x + self.bias["depthwise"]), 0.0, 2.0)
            x = eight(tf.nn.conv2d(x, self.narrow(self.point), 1, "SAME") + self.bias["point"], -2.0, 2.0)
            x = eight(tf.nn.relu(x + skip), 0.0, 3.0)
            x = tf.nn.conv2d(x, self.narrow(self.second), 2, "SAME") + self.bias["second"]
            x = eight(tf.nn.relu(x), 0.0, 3.0)
            x = eight(tf.reduce_mean(x, [1, 2]), 0.0, 1.5)
            return eight(tf.matmul(x, self.narrow_whole(self.dense)) + self.bias["dense"], -2.0, 2.0)

    net = Net()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([net.__call__.get_concrete_function()], net)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_low_bit_qat = True
    return converter.convert()


def outputs(folder):
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from check_tflite import micro, reference

    path = folder / f"{NAME}.tflite"
    images = np.random.default_rng(9).integers(-128, 128, (6, 12, 10, 3), dtype=np.int8)
    np.save(folder / f"{NAME}.input.npy", images)
    for oracle, run in {"output": reference, "output_tflm": micro}.items():
        found = run(path, images)
        if found is None:
            print(f"no {oracle}: its interpreter is not installed")
            continue
        found = np.stack(found).reshape(len(images), -1)
        np.save(folder / f"{NAME}.{oracle}.npy", found)
        print(f"{oracle} from {found.min()} to {found.max()}, deviation {found.std():.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--outputs", action="store_true", help="write inputs and outputs of the file that is there")
    arguments = parser.parse_args()
    if arguments.outputs:
        outputs(arguments.folder)
    else:
        path = arguments.folder / f"{NAME}.tflite"
        path.write_bytes(convert())
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
