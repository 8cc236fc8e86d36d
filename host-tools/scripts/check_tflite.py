#!/usr/bin/env python3
"""Cross-checks a .tflite file: TensorFlow Lite's interpreters against Kinglet, byte by byte.

    check_tflite.py MODEL.tflite [--kinglet PATH] [--count N] [--seed S]

Random int8 (or uint8) inputs go through every interpreter that is installed and through `kinglet simulate`:
- LiteRT (package ai-edge-litert) or TensorFlow, reference kernels: equal to `kinglet import --rounding reference`;
- TensorFlow Lite Micro (package tflite-micro): equal to `kinglet import --rounding double`.
Exits with 0 when all are equal, 1 when not, and 0 with a word when no interpreter is installed.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile


def reference(model, inputs):
    """Outputs of the desktop interpreter's reference kernels, or None."""
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        try:
            from tensorflow import lite
        except ImportError:
            return None
    resolver = getattr(lite, "OpResolverType", None) or lite.experimental.OpResolverType
    runner = lite.Interpreter(model_path=str(model), experimental_op_resolver_type=resolver.BUILTIN_REF)
    runner.allocate_tensors()
    outputs = []
    for image in inputs:
        runner.set_tensor(runner.get_input_details()[0]["index"], image[None])
        runner.invoke()
        outputs.append(runner.get_tensor(runner.get_output_details()[0]["index"])[0])
    return outputs


def micro(model, inputs):
    """Outputs of TensorFlow Lite Micro, or None."""
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    runner = runtime.Interpreter.from_file(str(model), arena_size=64 << 20)
    outputs = []
    for image in inputs:
        runner.set_input(image[None], 0)
        runner.invoke()
        outputs.append(runner.get_output(0)[0])
    return outputs


def input_of(model):
    """Shape and element type of the model's input, from whichever interpreter there is."""
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        try:
            from tensorflow import lite
        except ImportError:
            from tflite_micro import runtime

            details = runtime.Interpreter.from_file(str(model), arena_size=64 << 20).get_input_details(0)
            return tuple(details["shape"])[1:], details["dtype"]
    details = lite.Interpreter(model_path=str(model)).get_input_details()[0]
    return tuple(details["shape"])[1:], details["dtype"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--kinglet", default="kinglet", help="the kinglet command")
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    try:
        import numpy as np

        shape, kind = input_of(args.model)
    except ImportError as error:
        print(f"skipped: {error.name} is not installed")
        return 0
    limits = np.iinfo(kind)
    random = np.random.default_rng(args.seed)
    inputs = random.integers(limits.min, limits.max + 1, (args.count, *shape)).astype(kind)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "input.npy", inputs)
        for name, oracle, rounding in [("reference kernels", reference, "reference"), ("micro", micro, "double")]:
            outputs = oracle(args.model, inputs)
            if outputs is None:
                print(f"{name}: skipped, not installed")
                continue
            np.save(folder / "expected.npy", np.stack(outputs))
            kgl = folder / "model.kgl"
            subprocess.run([args.kinglet, "import", args.model, "-o", kgl, "--rounding", rounding], check=True)
            run = [args.kinglet, "simulate", kgl, "--input", folder / "input.npy", "--expect", folder / "expected.npy"]
            equal = subprocess.run(run).returncode == 0
            print(f"{name}: {'equal' if equal else 'DIFFERENT'}")
            failed |= not equal
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
