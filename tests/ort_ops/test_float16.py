"""``ai.onnxplain::ElementwiseFloat16``: the steps in float32, and the result alone rounded to float16."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from onnxplain.graph import facts
from onnxplain.graph.passes.lower import DOMAIN, FuseElementwise
from onnxplain.graph.passes.lower.fuse_elementwise import KINDS

HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
ADD, MUL, DIV, NEG = (KINDS[k] for k in ("Add", "Mul", "Div", "Neg"))


def run(graphs, feeds: dict[str, np.ndarray], program: list[int]) -> np.ndarray:
    return graphs.run(graphs.fused("".join(feeds), program, (3.0,), "ElementwiseFloat16"), feeds)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that all bits are the same, but of what is not a number."""
    assert found.dtype == expected.dtype == np.float16
    assert found.shape == expected.shape
    wrong = (found.view(np.uint16) != expected.view(np.uint16)) & ~(np.isnan(found) & np.isnan(expected))
    assert not wrong.any(), (found[wrong][:5], expected[wrong][:5])


def test_every_number_comes_through(graphs) -> None:
    same(run(graphs, {"x": HALVES}, [NEG, 0, -1, -1, NEG, 2, -1, -1]), HALVES)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
def test_one_step_is_rounded_as_numpy_does(kind, graphs) -> None:
    """Denormal numbers, ties, overflow: what two random bit patterns make."""
    rng = np.random.default_rng(1)
    x, y = HALVES, rng.permutation(HALVES)
    step = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[kind]
    with np.errstate(all="ignore"):
        expected = step(x.astype(np.float32), y.astype(np.float32)).astype(np.float16)
    same(run(graphs, {"x": x, "y": y}, [KINDS[kind], 0, 1, -1]), expected)


def test_only_the_result_is_rounded(graphs) -> None:
    """3 x y / y is finite, although 3 x y is none of float16's numbers."""
    x, y = np.full((2, 3), 300, np.float16), np.full((3,), 400, np.float16)
    program = [MUL, 0, 1, -1, MUL, 3, 2, -1, DIV, 4, 1, -1]
    same(run(graphs, {"x": x, "y": y}, program), np.full((2, 3), 900, np.float16))


@pytest.mark.parametrize(
    "shapes", [((3, 4, 5), (4, 1)), ((2, 3, 1, 7), (1, 3, 5, 1)), ((70001,), (1,)), ((0, 3), (3,))]
)
def test_it_broadcasts(shapes, graphs) -> None:
    rng = np.random.default_rng(2)
    x, y = (rng.normal(size=shape).astype(np.float16) for shape in shapes)
    wide = x.astype(np.float32) * y.astype(np.float32)
    same(run(graphs, {"x": x, "y": y}, [MUL, 0, 1, -1, ADD, 3, 0, -1]), (wide + x).astype(np.float16))


def test_types_are_not_mixed(graphs) -> None:
    """What onnxruntime is given of another type is refused when it loads."""
    node = graphs.fused("x", [NEG, 0, -1, -1], operator="ElementwiseFloat16")
    with pytest.raises(Exception, match="Type"):
        graphs.session(node, "x", "made", np.float32)


def quotient(kind: int) -> ir.Model:
    """r / (z + epsilon), and its masked half, as a walk back writes it."""
    info = {n: helper.make_tensor_value_info(n, kind, ["N", 4]) for n in ("r", "z", "made")}
    held = [helper.make_tensor(n, kind, [], [v]) for n, v in (("epsilon", 0.5), ("zero", 0.0))]
    nodes = [
        helper.make_node("Add", ["z", "epsilon"], ["below"]),
        helper.make_node("Div", ["r", "below"], ["ratio"]),
        helper.make_node("Greater", ["z", "zero"], ["active"]),
        helper.make_node("Where", ["active", "ratio", "zero"], ["made"]),
    ]
    graph = helper.make_graph(nodes, "g", [info["r"], info["z"]], [info["made"]], held)
    for name, of in (("below", kind), ("ratio", kind), ("active", TensorProto.BOOL)):
        graph.value_info.append(helper.make_tensor_value_info(name, of, ["N", 4]))
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    for node in model.graph:
        node.metadata_props[facts.WRITTEN_KEY] = ""
    return model


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("kind", "operator"), [(TensorProto.FLOAT, "Elementwise"), (TensorProto.FLOAT16, "ElementwiseFloat16")]
)
def test_groups_of_one_type_are_fused(kind, operator, device) -> None:
    model = quotient(kind)
    FuseElementwise(device)(model)
    assert [(n.domain, n.op_type) for n in model.graph] == [(DOMAIN, operator)]


def test_groups_of_two_types_are_not() -> None:
    model = quotient(TensorProto.FLOAT16)
    next(v for n in model.graph for v in n.outputs if v.name == "below").dtype = ir.DataType.FLOAT
    FuseElementwise()(model)
    assert [n.op_type for n in model.graph] == ["Add", "Div", "ElementwiseFloat16"]
