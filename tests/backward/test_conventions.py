"""Where a function has a kink, its gradient is a convention: these are ours."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from onnxplain.backward.adjoint import add_adjoint
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing.reference import CORRECTED

ort = pytest.importorskip("onnxruntime")


def gradient(nodes: str, x, shape: str = "N", **weights) -> list[np.ndarray]:
    """Gradient of the sum of y at x, on the reference evaluator and on onnxruntime."""
    x = np.asarray(x, np.float32)
    header = '<ir_version: 8, opset_import: ["" : 20]>'
    proto = onnx.parser.parse_model(f"{header} m (float[{shape}] x) => (y) {{ {nodes} }}")
    for name, content in weights.items():
        array = content if isinstance(content, np.ndarray) else np.float32(content)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    y = ReferenceEvaluator(proto).run(None, {"x": x})[0]
    proto.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("y", 1, [f"y{k}" for k in range(y.ndim)])
    )
    forward = normalize(load(proto))
    made = ir.to_proto(add_adjoint(forward.model, ["y"], ["x"], opset=forward.opset))
    feeds = {"x": x, "seed/y": np.ones_like(y)}
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return [ReferenceEvaluator(made, new_ops=CORRECTED).run(None, feeds)[1], session.run(None, feeds)[1]]


@pytest.mark.parametrize(
    ("nodes", "x", "expected"),
    [
        pytest.param("y = Relu(x)", [-1, 0, 2], [0, 0, 1], id="relu(0) = 0"),
        pytest.param("y = LeakyRelu<alpha = 0.1>(x)", [-1, 0, 2], [0.1, 1, 1], id="leaky_relu'(0) = 1"),
        pytest.param("y = ThresholdedRelu<alpha = 1.0>(x)", [0, 1, 2], [0, 0, 1], id="thresholded_relu"),
        pytest.param("y = Elu<alpha = 2.0>(x)", [0, 1], [1, 1], id="elu'(0) = 1"),
        pytest.param("y = Celu<alpha = 2.0>(x)", [0, 1], [1, 1], id="celu'(0) = 1"),
        pytest.param("y = Abs(x)", [-2, 0, 3], [-1, 0, 1], id="abs'(0) = 0"),
        pytest.param("y = Clip(x, low, high)", [-2, -1, 0, 1, 2], [0, 0, 1, 0, 0], id="clip' at a bound = 0"),
        pytest.param(
            "y = HardSigmoid<alpha = 0.5, beta = 0.5>(x)", [-1, 0, 1], [0, 0.5, 0], id="hard_sigmoid"
        ),
        pytest.param("y = HardSwish(x)", [-3, 0, 3], [0, 0.5, 1], id="hard_swish bends"),
        pytest.param("y = Shrink<lambd = 1.0>(x)", [-1, 1, 2], [0, 0, 1], id="shrink'(lambd) = 0"),
        pytest.param("y = Max(x, one)", [0, 1, 2], [0, 0.5, 1], id="max shares a tie"),
        pytest.param("y = Min(x, one)", [0, 1, 2], [1, 0.5, 0], id="min shares a tie"),
        pytest.param("y = Max(x, x)", [0, 1], [1, 1], id="max with itself"),
        pytest.param("y = ReduceMax(x)", [1, 3, 3], [0, 0.5, 0.5], id="reduce_max shares a tie"),
        pytest.param("y = ReduceMin(x)", [1, 1, 3, 1], [1 / 3, 1 / 3, 0, 1 / 3], id="reduce_min shares"),
        pytest.param("y = ReduceL1(x)", [-1, 0, 1], [-1, 0, 1], id="|0|_1' = 0"),
        pytest.param("y = ReduceProd(x)", [0, 2, 3], [6, 0, 0], id="prod with one zero"),
        pytest.param("y = ReduceProd(x)", [0, 0, 3], [0, 0, 0], id="prod with two zeros"),
        pytest.param("y = Pow(x, zero)", [0, 1], [0, 0], id="x^0 is constant at 0 too"),
        pytest.param("y = Pow(x, two)", [0, -1], [0, -2], id="a negative base"),
    ],
)
def test_at_the_kink(nodes, x, expected):
    constants = {"low": -1.0, "high": 1.0, "one": 1.0, "zero": 0.0, "two": 2.0}
    used = set(re.findall(r"\w+", nodes))
    for made in gradient(nodes, x, **{k: v for k, v in constants.items() if k in used}):
        np.testing.assert_allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param("y = MaxPool<kernel_shape = [2, 2]>(x)", [[1, 1, 0], [0, 0, 0]], id="MaxPool"),
        pytest.param("y = GlobalMaxPool(x)", [[1, 0, 0], [0, 0, 0]], id="GlobalMaxPool"),
    ],
)
def test_pooling_sends_everything_to_the_first_winner(nodes, expected):
    for made in gradient(nodes, np.ones((1, 1, 2, 3), np.float32), shape="1, 1, H, W"):
        np.testing.assert_array_equal(made[0, 0], expected)


def test_top_k_sends_each_value_to_where_it_was_found():
    for made in gradient("y, i = TopK(x, k)", [1, 3, 2], k=np.array([2])):
        np.testing.assert_array_equal(made, [0, 1, 1])


def test_scatter_max_shares_a_tie():
    nodes = 'y = ScatterElements<reduction = "max">(x, i, u)'
    for made in gradient(nodes, [1, 2, 3], i=np.array([0, 1]), u=np.array([1, 5], np.float32)):
        np.testing.assert_array_equal(made, [0.5, 0, 1])


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("x, b", [0.5, 0.5, 1.5, 1.5]),
        ("x, none, b", [1.5, 1.5, 0.5, 0.5]),
        ("x, low, b", [0.5, 1.5, 0.5, 0.5]),
    ],
)
def test_bounds_that_vary_get_what_they_hold_back(bounds, expected):
    nodes = f"b = ReduceMean<keepdims = 0>(x) y = Clip({bounds})".replace("none", "")
    for found in gradient(nodes, [0, 1, 3, 4], low=0.5):
        np.testing.assert_allclose(found, expected)


def test_a_fill_that_is_not_used_gets_nothing():
    """In the other modes the number is there, and no element is filled with it."""
    weights = {"p": np.array([1, 1]), "v": 0.5}
    found = gradient('y = Pad<mode = "reflect">(x, p, v)', [1, 2, 3, 4], "4", **weights)
    for made in found:
        np.testing.assert_array_equal(made, [1, 2, 2, 1])
