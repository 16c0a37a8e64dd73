"""Operators tell onnxruntime the shapes of what they make, and elementwise results take inputs' places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.steps import KINDS
from onnxplain.runtime.operators import register

FLOAT = onnx.TensorProto.FLOAT
Shape = Sequence[int | str | None] | None


def opened(nodes: Sequence[onnx.NodeProto], inputs: dict[str, Shape], *made: str) -> ort.InferenceSession:
    """Open a graph whose inputs have declared shapes, and whose outputs have none."""
    given = [helper.make_tensor_value_info(k, FLOAT, s) for k, s in inputs.items()]
    outputs = [helper.make_tensor_value_info(name, FLOAT, None) for name in made]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph(list(nodes), "g", given, outputs)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def own(kind: str, takes: str, gives: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, takes.split(), [gives], domain=DOMAIN, **attributes)


def elementwise(takes: str, gives: str, steps: Sequence[int]) -> onnx.NodeProto:
    return own("Elementwise", takes, gives, program=list(steps), constants=[0.0])


def added(count: int) -> list[int]:
    """Return a program that adds inputs up; its constants are one number."""
    steps = [KINDS["Add"], 0, 1, -1]
    for k in range(2, count):
        steps += [KINDS["Add"], count + k - 1, k, -1]
    return steps


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(2, 3), (2, 3)], [2, 3]),
        ([(2, 3), (3,)], [2, 3]),
        ([(2, 1), (1, 3), (1,)], [2, 3]),
        ([("N", 3), ("N", 3)], ["N", 3]),
        ([("N", 3, 1), (1, 1, "W")], ["N", 3, "W"]),
        ([(0, 3), (1, 3)], [0, 3]),
        # Not sure: either may be 1; nothing is known; no axes and not knowing them look alike.
        ([("N", 3), ("M", 3)], None),
        ([("N", 3), (2, 3)], None),
        ([(None, 3), (None, 3)], None),
        ([(2, 3), None], None),
        ([(2, 3), ()], None),
    ],
    ids=str,
)
def test_what_inputs_broadcast_to(shapes: list[Shape], expected: list[int | str] | None) -> None:
    names = "abc"[: len(shapes)]
    session = opened(
        [elementwise(" ".join(names), "made", added(len(names)))],
        dict(zip(names, shapes, strict=True)),
        "made",
    )
    assert session.get_outputs()[0].shape == (expected or [])
    sizes = {"N": 2, "M": 2, "W": 5, None: 2}
    real = [tuple(sizes.get(d, d) for d in shape or ()) for shape in shapes]
    feeds = {k: np.full(s, 3.0, np.float32) for k, s in zip(names, real, strict=True)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], sum(feeds.values()))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 2, 3, 4), [1, 2, 7, 9]),
        (("N", "C", 3, 4), ["N", "C", 7, 9]),
        (("N", 2, "H", 4), None),
        (None, None),
    ],
    ids=str,
)
def test_what_parts_make(shape: Shape, expected: list[int | str] | None) -> None:
    node = own("Interleave", "a b", "made", strides=[2, 2], begins=[0, 1, 1, 0], ends=[2, 1])
    session = opened([node], {"a": shape, "b": shape}, "made")
    assert session.get_outputs()[0].shape == (expected or [])
    a = np.arange(1, 25, dtype=np.float32).reshape(1, 2, 3, 4)
    made = session.run(None, {"a": a, "b": -a})[0]
    assert made.shape == (1, 2, 7, 9)
    np.testing.assert_array_equal(made[:, :, :5:2, 1:8:2], a)
    np.testing.assert_array_equal(made[:, :, 1:6:2, :7:2], -a)
    assert np.count_nonzero(made) == 48


def test_what_is_pooled_has_the_shape_of_what_was() -> None:
    kernel = {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [1, 1], "begins": [0, 0]}
    pooled = ("N", 2, 3, 2)
    node = own("MaxPoolGrad", "x y g", "made", **kernel)
    session = opened([node], {"x": ("N", 2, 6, 4), "y": pooled, "g": pooled}, "made")
    assert session.get_outputs()[0].shape == ["N", 2, 6, 4]


PLACES = [
    # A chain: each result may take the place of the one before it.
    ("t u", "u v", "v w"),
    # What is read again later, twice by one node, or is an output keeps its own.
    ("t u", "t v", "u v"),
    ("t t", "t u", "u v"),
    # An input that repeats cannot be replaced.
    ("t row", "v row", "v t"),
    ("row t", "row v", "t w"),
]


@pytest.mark.parametrize("shape", [(3, 5), (0, 5), (1, 1), (70, 1000)], ids=str)
@pytest.mark.parametrize("plan", PLACES, ids=str)
def test_results_in_the_place_of_inputs(plan: tuple[str, ...], shape: tuple[int, int]) -> None:
    """Against the same steps as operators of the standard, which onnxruntime plans by itself."""
    first = [helper.make_node("Mul", ["x", "x"], ["t"]), helper.make_node("Sub", ["x", "row"], ["u"])]
    mine, theirs, values = [], [], {"t", "u", "row"}
    for k, takes in enumerate(plan):
        known = [name if name in values else f"s{k - 1}" for name in takes.split()]
        values |= {f"s{k}"}
        mine.append(elementwise(" ".join(known), f"s{k}", [KINDS["Mul"], 0, 1, -1, KINDS["Add"], 3, 0, -1]))
        theirs += [
            helper.make_node("Mul", known, [f"p{k}"]),
            helper.make_node("Add", [f"p{k}", known[0]], [f"s{k}"]),
        ]
    inputs: dict[str, Shape] = {"x": shape, "row": shape[1:]}
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    feeds = {"x": x, "row": np.arange(shape[1], dtype=np.float32)}
    outputs = ("s2", "u")
    found = opened([*first, *mine], inputs, *outputs).run(None, feeds)
    expected = opened([*first, *theirs], inputs, *outputs).run(None, feeds)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(feeds["x"], x)


@pytest.mark.parametrize("rows", [(1, 3), (3, 1)])
def test_a_shape_that_is_declared_wrong_is_no_wrong_answer(rows: tuple[int, int]) -> None:
    """Names of lengths are hints: where two that are called alike differ, the run fails or is right."""
    nodes = [
        helper.make_node("Neg", ["x"], ["t"]),
        helper.make_node("Neg", ["y"], ["u"]),
        elementwise("t u", "made", [KINDS["Mul"], 0, 1, -1]),
    ]
    session = opened(nodes, {"x": ("N", 4), "y": ("N", 4)}, "made")
    feeds = {k: np.full((n, 4), n + 1, np.float32) for k, n in zip("xy", rows, strict=True)}
    failed = ""
    try:
        made = session.run(None, feeds)[0]
    except Exception as error:  # onnxruntime raises many kinds
        failed = str(error)
    assert "hape" in failed or np.array_equal(made, feeds["x"] * feeds["y"])
