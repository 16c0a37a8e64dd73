"""How the time of reading and rewriting grows with a graph: twice the nodes should take twice the time.

Each line doubles one kind of graph and prints seconds of processor time to read it (Explainer), and to write
and compile a gradient (saliency), with the growth of their sum: 2 is linear, 4 quadratic.

    python benchmarks/growth.py [kind ...] [--largest 2000]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

import onnxplain as ox

FLOAT = TensorProto.FLOAT


def model(nodes: list[onnx.NodeProto], inputs: dict[str, list[int | str]], functions=()) -> onnx.ModelProto:
    """Make a model of output y from its nodes."""
    graph = helper.make_graph(
        nodes,
        "grown",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions)


def wide(op_type: str, n: int, **attributes: object) -> onnx.ModelProto:
    """One operator of n operands, each a Relu of x."""
    parts = [f"p{k}" for k in range(n)]
    nodes = [helper.make_node("Relu", ["x"], [p], name=p) for p in parts]
    nodes.append(helper.make_node(op_type, parts, ["all"], name="wide", **attributes))
    nodes.append(helper.make_node("ReduceSum", ["all"], ["y"], keepdims=0))
    return model(nodes, {"x": ["N", 4]})


def split(n: int) -> onnx.ModelProto:
    """One Split into n parts, which are multiplied by two and joined."""
    parts = [f"p{k}" for k in range(n)]
    nodes = [helper.make_node("Split", ["x"], parts, axis=1, num_outputs=n)]
    nodes += [helper.make_node("Exp", [p], [f"e{p}"]) for p in parts]
    nodes += [helper.make_node("Sum", [f"e{p}" for p in parts], ["all"])]
    nodes.append(helper.make_node("ReduceSum", ["all"], ["y"], keepdims=0))
    return model(nodes, {"x": ["N", n]})


def chain(n: int) -> onnx.ModelProto:
    """Give n operators, one behind the other."""
    values = ["x", *(f"h{k}" for k in range(n - 1)), "y"]
    return model([helper.make_node("Sin", [a], [b]) for a, b in itertools.pairwise(values)], {"x": [1]})


def diamonds(n: int) -> onnx.ModelProto:
    """Give n / 3 values that are each used twice and joined again: 2^(n / 3) ways through the graph."""
    values = ["x", *(f"h{k}" for k in range(max(0, n // 3 - 1))), "y"]
    nodes = []
    for a, b in itertools.pairwise(values):
        nodes += [helper.make_node("Relu", [a], [f"{b}r"]), helper.make_node("Sin", [a], [f"{b}s"])]
        nodes.append(helper.make_node("Add", [f"{b}r", f"{b}s"], [b]))
    return model(nodes, {"x": [1]})


def functions(n: int) -> onnx.ModelProto:
    """Functions that call the one before twice: n operators from log2(n) functions."""
    made = []
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    depth = max(1, int(np.log2(n)))
    for k in range(depth):
        kind = {"op_type": "Sin"} if k == 0 else {"op_type": f"f{k - 1}", "domain": "mine"}
        nodes = [helper.make_node(inputs=["a"], outputs=["b"], **kind)]
        nodes.append(helper.make_node(inputs=["b"], outputs=["c"], **kind))
        made.append(helper.make_function("mine", f"f{k}", ["a"], ["c"], nodes, opsets))
    return model([helper.make_node(f"f{depth - 1}", ["x"], ["y"], domain="mine")], {"x": [1]}, made)


KINDS: dict[str, Callable[[int], onnx.ModelProto]] = {
    "concat": lambda n: wide("Concat", n, axis=1),
    "sum": lambda n: wide("Sum", n),
    "max": lambda n: wide("Max", n),
    "mean": lambda n: wide("Mean", n),
    "split": split,
    "chain": chain,
    "diamonds": diamonds,
    "functions": functions,
}


def seconds(made: onnx.ModelProto) -> tuple[float, float]:
    """Return how long reading takes, and the first explanation."""
    width = made.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    shape = (1, width) if len(made.graph.input[0].type.tensor_type.shape.dim) > 1 else (width,)
    start = time.process_time()
    explainer = ox.Explainer(made)
    read = time.process_time()
    explainer(np.ones(shape, np.float32), None, "saliency")
    return read - start, time.process_time() - read


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--smallest", type=int, default=250)
    parser.add_argument("--largest", type=int, default=2000)
    options = parser.parse_args()
    print(f"{'kind':<10}{'n':>7}{'read s':>9}{'first s':>9}{'growth':>8}")
    for kind in options.kinds:
        n, before = options.smallest, 0.0
        while n <= options.largest:
            read, first = seconds(KINDS[kind](n))
            growth = f"{(read + first) / before:8.2f}" if before else ""
            print(f"{kind:<10}{n:>7}{read:>9.2f}{first:>9.2f}{growth}", flush=True)
            n, before = 2 * n, read + first


if __name__ == "__main__":
    main()
