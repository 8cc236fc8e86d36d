#!/usr/bin/env python3
"""Writes ONNX's own tests of single operators, as the installed package `onnx` has them, for `tests/onnx_nodes.rs`.

    onnx_node_tests.py FOLDER

A test becomes NAME.onnx with one input of a batch of 1, NAME.input.npy and NAME.output.npy. Further inputs become constants. Batches are
taken apart where that changes nothing. Left out is what is no map of floats of four dimensions.
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

# What kinglet is not for: it says so in one line.
BEYOND = ["attention", "lstm", "gru", "rnn", "training", "nesterov", "adam", "adagrad", "momentum"]


def batch_of_one(case):
    """The model with one input of a batch of 1, the input and the output; None where that is not possible."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    graph = model.graph
    recurrent = any(part in case.name for part in BEYOND)
    if recurrent or not inputs or len(inputs) != len(graph.input) or len(outputs) != 1:
        return None
    x, y = inputs[0], outputs[0]
    if not all(isinstance(a, np.ndarray) and a.dtype == np.float32 and a.ndim >= 2 for a in (x, y)):
        return None
    if x.ndim != 4 or len(x) != len(y) or x.size == 0 or not np.isfinite(x).all() or not np.isfinite(y).all():
        return None
    for value, given in list(zip(inputs, graph.input))[1:]:
        if not isinstance(value, np.ndarray):
            return None
        if value.ndim == x.ndim and len(value) == len(x) > 1:
            value = value[:1]
        graph.initializer.append(numpy_helper.from_array(value, given.name))
    del graph.input[1:]
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph.output[0].type.tensor_type.ClearField("shape")
    for _ in range(len(graph.output) - 1):
        graph.output.pop()
    try:
        (found,) = ReferenceEvaluator(model).run(None, {graph.input[0].name: x[:1]})
    except Exception:  # The model does not run at batch 1.
        return None
    if found.shape != y[:1].shape or not np.allclose(found, y[:1], rtol=1e-3, atol=1e-5):
        return None
    return model, x[:1], y[:1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    for case in collect_testcases(None):
        found = batch_of_one(case)
        if found is None:
            continue
        model, x, y = found
        onnx.save(model, folder / f"{case.name}.onnx")
        np.save(folder / f"{case.name}.input.npy", x)
        np.save(folder / f"{case.name}.output.npy", y)


if __name__ == "__main__":
    sys.exit(main())
