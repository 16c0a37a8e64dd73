from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.graph import facts
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.lower import MaskByHardSigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(proto: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def masked(
    test: str, bound: float, kept: str = "g", shape: Sequence[int | str] = ("N", 2, 3, 3), dtype: int = 1
) -> onnx.ModelProto:
    real = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    nodes = [
        onnx.helper.make_node(test, ["y", "c"], ["m"]),
        onnx.helper.make_node("Where", ["m", *((kept, "zero") if kept == "g" else ("zero", "g"))], ["o"]),
    ]
    values = [onnx.helper.make_tensor_value_info(name, dtype, shape) for name in ("y", "g", "o")]
    weights = [onnx.numpy_helper.from_array(np.asarray(v, real), n) for n, v in (("c", bound), ("zero", 0))]
    graph = onnx.helper.make_graph(nodes, "m", values[:2], values[2:], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def pole(op: str, operands: int = 1) -> onnx.ModelProto:
    """Mask what may be infinite where the mask is 0."""
    proto = masked("Greater", 0.0)
    proto.graph.node[1].input[1] = "p"
    proto.graph.node.insert(0, onnx.helper.make_node(op, ["g", "y"][:operands], ["p"]))
    return proto


def lowered(proto: onnx.ModelProto, *, ours: bool = True) -> tuple[onnx.ModelProto, bool]:
    model = ir.from_proto(proto)
    if ours:
        for node in model.graph:
            node.metadata_props[facts.WRITTEN_KEY] = ""
    modified = MaskByHardSigmoid()(model).modified
    made = ir.to_proto(model)
    onnx.checker.check_model(made, full_check=True)
    return made, modified


@pytest.mark.parametrize("test", ["Greater", "Less"])
@pytest.mark.parametrize("bound", [0.0, 6.0, -1.0, 0.1, 1e-3, 1e7, -3.7])
def test_same_numbers_at_and_around_the_bound(test: str, bound: float) -> None:
    c = np.float32(bound)
    least = np.float32(2.0**-126)  # the smallest normal number
    near = [-least, least] if bound == 0 else [np.nextafter(c, np.float32(s)) for s in (-np.inf, np.inf)]
    y = np.array([c, -c, 0, 1, -1, 3e38, -3e38, np.inf, -np.inf, *near, 1e-30, -1e-30], np.float32)
    y = np.resize(y, (2, 2, 3, 3))
    g = np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    proto = masked(test, bound)
    made, modified = lowered(proto)
    assert modified
    assert [n.op_type for n in made.graph.node] == ["HardSigmoid", "Mul"]
    np.testing.assert_array_equal(run(made, {"y": y, "g": g})[0], run(proto, {"y": y, "g": g})[0])


@pytest.mark.parametrize(
    "proto",
    [
        masked("Greater", 0.0, shape=("N", 3)),
        masked("Greater", 0.0, dtype=onnx.TensorProto.DOUBLE),
        masked("Greater", 0.0, kept="other"),
        masked("GreaterOrEqual", 0.0),
        masked("Greater", 1e30),
        pole("Reciprocal"),
        pole("Log"),
        pole("Div", 2),
    ],
    ids=[
        *("rank", "double", "kept where false", "greater or equal", "too large"),
        *("reciprocal", "logarithm", "quotient"),
    ],
)
def test_left_alone(proto: onnx.ModelProto) -> None:
    assert not lowered(proto)[1]


def test_the_models_own_nodes_are_left_alone() -> None:
    assert not lowered(masked("Greater", 0.0), ours=False)[1]


def test_a_mask_used_twice_stays_for_its_other_user() -> None:
    proto = masked("Greater", 0.0)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("m", onnx.TensorProto.BOOL, ("N", 2, 3, 3)))
    made, modified = lowered(proto)
    assert modified
    assert sorted(n.op_type for n in made.graph.node) == ["Greater", "HardSigmoid", "Mul"]


def test_whole_gradient_is_bitwise_equal(models: Any) -> None:
    source = normalize(ir.from_proto(models.conv()))
    program = build(source, Question("y", ("x",)))
    plain = ir.to_proto(program.model)
    made, modified = lowered(plain, ours=False)  # the marks are there
    assert modified
    assert "Where" not in [n.op_type for n in made.graph.node]
    feeds = {"x": models.random(3, 2, 8, 8), "target": np.array([0, 1, 3])}
    np.testing.assert_array_equal(run(made, feeds)[-1], run(plain, feeds)[-1])
