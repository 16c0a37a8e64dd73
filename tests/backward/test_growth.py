"""Reading and rewriting take time in proportion to the graph: work is counted, in calls, never timed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import Question, build
from onnxplain.errors import InvalidModelError
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.inline_functions import MOST_NODES

PATH = Path(__file__).parents[2] / "benchmarks" / "growth.py"
spec = importlib.util.spec_from_file_location("growth", PATH)
growth = importlib.util.module_from_spec(spec)
spec.loader.exec_module(growth)


def calls(run: Callable[[], object]) -> int:
    """Count the functions of Python and of C that are called."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def rewrite(model: onnx.ModelProto, method: str) -> None:
    """Read a model, and write what a method walks back on, as far as Python goes."""
    normal = normalize(load(model), expand=needs_body)
    build(normal, Question("y", ("x",), ox.method(method).rules(), target_axes=0))


@pytest.mark.parametrize("method", ["saliency", "lrp", "deep_lift"])
@pytest.mark.parametrize("kind", growth.KINDS)
def test_work_is_linear(kind, method) -> None:
    """From 2 n to 4 n costs twice what n to 2 n does, give or take 15 %; quadratic work, four times."""
    made = [growth.KINDS[kind](n) for n in (32, 64, 128)]
    rewrite(made[0], method)  # what is only done once
    small, middle, large = (calls(lambda m=m: rewrite(m, method)) for m in made)
    assert large - middle < 2.3 * (middle - small)


@pytest.mark.parametrize("dims", [["N", 3], ["N", "C"]])
def test_wide_concat(dims, models) -> None:
    """Right where lengths are known, where only running tells them, and where some of each are joined."""
    shapes = [dims, ["N", 2], dims, ["N", "D"], ["N", 1]]
    names = [f"x{k}" for k in range(5)]
    nodes = [
        helper.make_node("Concat", names, ["all"], axis=1),
        helper.make_node("Mul", ["all", "all"], ["sq"]),
    ]
    nodes.append(helper.make_node("ReduceSum", ["sq", "axes"], ["y"], keepdims=1))
    model = growth.model(nodes, dict(zip(names, shapes, strict=True)))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    given = {n: models.random(2, 3 if s is dims else 4 if "D" in s else s[1], seed=k)
             for k, (n, s) in enumerate(zip(names, shapes, strict=True))}  # fmt: skip
    found = ox.explain(model, given, None, method=ox.Saliency(abs=False))
    for name, x in given.items():
        np.testing.assert_allclose(found.arrays[name], 2 * x, rtol=1e-6)
    some = ox.explain(model, given, None, method=ox.Saliency(abs=False), wrt=["x1", "x4"])
    np.testing.assert_allclose(some.arrays["x4"], 2 * given["x4"], rtol=1e-6)


def test_a_bomb_of_functions_is_refused() -> None:
    """A file of a kilobyte that would become 2^40 nodes."""
    model = growth.functions(2**40)
    assert model.ByteSize() < 8000
    with pytest.raises(InvalidModelError, match=r"would become 1099511627776; .* are read at most"):
        ox.Explainer(model)
    assert growth.functions(2**15).ByteSize() < 8000
    assert MOST_NODES > 2**15


def test_functions_that_call_themselves() -> None:
    model = growth.functions(8)
    model.functions[0].node[0].op_type, model.functions[0].node[0].domain = "f2", "mine"
    with pytest.raises(InvalidModelError, match=r"calls itself|must not be recursive"):
        ox.Explainer(model)
    model = growth.functions(8)  # also where nobody calls it
    model.functions[0].node[0].op_type, model.functions[0].node[0].domain = "f2", "mine"
    model.graph.node[0].op_type, model.graph.node[0].domain = "Relu", ""
    with pytest.raises(InvalidModelError, match=r"calls itself|must not be recursive"):
        ox.Explainer(model)


def test_inlined_names_are_readable() -> None:
    model = growth.functions(8)
    for function in model.functions:
        for k, node in enumerate(function.node):
            node.name = f"step{k}"
    names = [n.name for n in normalize(load(model)).model.graph]
    assert len(set(names)) == len(names) == 8
    assert all(name.startswith("step") for name in names)
