"""Reading and rewriting take time in proportion to the graph: work is counted, in calls, never timed."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.errors import InvalidModelError
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.normal.fold_constants import MOST_BYTES
from onnxplain.graph.passes.normal.inline_functions import MOST_NODES

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
    build(normal, Question("y", ("x",), ox.method(method).needs(), target_axes=0))


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


def constants(nodes: list[onnx.NodeProto], **shapes: list[int]) -> onnx.ModelProto:
    """Make y = x + (the sum of "big"), where p and q are zeros of the given shapes."""
    made = [helper.make_node("ConstantOfShape", [f"{k}_shape"], [k]) for k in shapes]
    made += [*nodes, helper.make_node("ReduceSum", ["big"], ["s"], keepdims=0)]
    model = growth.model([*made, helper.make_node("Add", ["x", "s"], ["y"])], {"x": ["N", 2]})
    for k, shape in shapes.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape), f"{k}_shape"))
    return model


def doubling(start: str, end: str = "big") -> list[onnx.NodeProto]:
    """Join a vector with itself, 30 times."""
    names = [start, *(f"{start}{k}" for k in range(29)), end]
    return [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]


SIDES = {"p": [200_000, 1], "q": [1, 200_000]}
UPSAMPLE = helper.make_node("ConvTranspose", ["p", "q"], ["big"], strides=[1 << 30])
BOMBS = {
    "ConstantOfShape": constants([helper.make_node("Identity", ["p"], ["big"])], p=[1 << 40]),
    "Add": constants([helper.make_node("Add", ["p", "q"], ["big"])], **SIDES),
    "MatMul": constants([helper.make_node("MatMul", ["p", "q"], ["big"])], **SIDES),
    "Concat": constants([helper.make_node("Concat", ["p"] * 1000, ["big"], axis=0)], p=[200_000]),
    "ConvTranspose": constants([UPSAMPLE], p=[1, 1, 90], q=[1, 1, 90]),
    "vector": constants([helper.make_node("Identity", ["p"], ["big"])], p=[1 << 30]),
    "doubling constants": constants(doubling("p"), p=[1]),
    "doubling shapes": constants(
        [
            helper.make_node("Shape", ["x"], ["d"]), helper.make_node("Cast", ["d"], ["e"], to=1),
            *doubling("e"),
        ]
    ),
    "doubling whole numbers": constants([
        helper.make_node("Shape", ["x"], ["d"]), *doubling("d", "large"),
        helper.make_node("Cast", ["large"], ["big"], to=1),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_constants_is_not_computed(kind) -> None:
    """A small file whose constants would become gigabytes is read without them."""
    assert BOMBS[kind].ByteSize() < 5000
    normal = normalize(load(BOMBS[kind]))
    assert sum(v.const_value.nbytes for v in normal.model.graph.initializers.values()) < 3 * MOST_BYTES


def test_shapes_behind_many_group_normalisations_are_inferred_at_once(models, monkeypatch) -> None:
    nodes = []
    for a, b in itertools.pairwise(["x", *(f"h{k}" for k in range(19)), "y"]):
        nodes.append(helper.make_node("GroupNormalization", [a, "s", "s"], [f"{b}g"], num_groups=2))
        nodes.append(helper.make_node("Relu", [f"{b}g"], [b]))
    model = growth.model(nodes, {"x": ["N", 4, 6]})
    model.opset_import[0].version = 21
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(4, np.float32), "s"))
    infer, runs = onnx.shape_inference.infer_shapes, []

    def counted(*given: object, **options: object) -> onnx.ModelProto:
        runs.append(1)
        return infer(*given, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", counted)
    made = normalize(load(model)).model
    assert made.graph.outputs[0].shape.dims[1:] == (4, 6)
    assert {n.op_type for n in made.graph} == {"GroupNormalization", "Relu"}
    assert len(runs) < 8
