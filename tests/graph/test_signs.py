"""What is said to be non-negative is, for every operator spoken of, with odd attributes and numbers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.graph import signs
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.traits import Is, operators

SHAPE = (2, 4, 5, 6)
#: Constants for further inputs.
WEIGHTS: dict[str, Any] = {
    "zero": np.float32(0), "six": np.float32(6), "low": np.float32(-1), "minus": np.float32(-2),
    "half": np.float32(0.5), "rows": np.array([0, -1, 1]), "axes": np.array([1, -1]), "axis": np.array([1]),
    "shape": np.array([4, 2, -1]), "wide": np.array([2, 4, 5, 6]), "times": np.array([1, 2, 1, 1]),
    "start": np.array([-1]), "stop": np.array([-100]), "step": np.array([-2]), "ones": np.array([0, 0]),
    "place": np.array(1), "some": np.array([True, False, True, True]), "lengths": np.array([1, 2, 2, 1]),
    "spread": np.zeros(SHAPE, np.int64), "pairs": np.array([[0, 1], [1, 2]]),
    "truth": np.array([True, False] * 3),
    "pads": np.array([0, 0, 1, -1, 0, 0, 2, 1]),
    "positive": np.abs(np.random.default_rng(5).standard_normal((4, 1, 1))).astype(np.float32) + 0.1,
    "mixed": np.random.default_rng(6).standard_normal((4, 1, 1)).astype(np.float32),
}  # fmt: skip

#: By operator: its inputs, "x" for the value in question, and attributes that may be combined.
WINDOWS = {"kernel_shape": [[2, 2], [1, 3]], "pads": [[0, 0, 0, 0], [0, 1, 0, 1]],
           "strides": [[1, 1], [3, 2]], "ceil_mode": [0, 1]}  # fmt: skip
ROWS: dict[str, list[tuple[str, dict[str, list[Any]]]]] = {
    **{
        op: [("x", {})]
        for op in (
            *("Abs", "Acos", "Acosh", "Cosh", "Exp", "Relu", "Sigmoid", "Softplus", "Sqrt", "Identity"),
            *("Asin", "Asinh", "Atan", "Atanh", "Ceil", "Erf", "Floor", "HardSwish", "Mish", "Round", "Sign"),
            *("Sinh", "Softsign", "Tanh", "GlobalAveragePool", "GlobalMaxPool"),
        )
    },
    **{op: [("x", {"alpha": [-1.0, 0.0, 0.5, 2.0]})] for op in ("Elu", "LeakyRelu")},
    "Celu": [("x", {"alpha": [-1.0, 0.5, 2.0]})],
    "Gelu": [("x", {"approximate": ["none", "tanh"]})],
    "PRelu": [("x positive", {}), ("x mixed", {})],
    "Hardmax": [("x", {"axis": [0, -1]})],
    "CumSum": [("x place", {"exclusive": [0, 1], "reverse": [0, 1]})],
    "ReduceProd": [("x axes", {"keepdims": [0, 1]})],
    "CastLike": [("x half", {}), ("x place", {})],
    "Compress": [("x some", {"axis": [1]})],
    "GatherElements": [("x spread", {"axis": [0]})],
    "GatherND": [("x pairs", {})],
    "ReverseSequence": [("x lengths", {})],
    "ScatterElements": [("x spread wide_positive", {}), ("x spread wide_mixed", {})],
    "ScatterND": [("x pairs rows_positive", {}), ("x pairs rows_mixed", {})],
    "Trilu": [("x place", {"upper": [0, 1]})],
    "Where": [("truth x wide_positive", {}), ("truth x wide_mixed", {}), ("truth wide_mixed x", {})],
    "GlobalLpPool": [("x", {"p": [1, 2, 3]})],
    "HardSigmoid": [("x", {"alpha": [-1.0, 0.0, 3.0], "beta": [-2.0, 0.5, 2.0]})],
    "Softmax": [("x", {"axis": [0, 1, -1]})],
    "ThresholdedRelu": [("x", {"alpha": [-1.0, 0.0, 0.5]})],
    "Clip": [
        (i, {}) for i in ("x", "x zero", "x low", "x zero six", "x minus low", "x zero minus", "x  minus")
    ],
    "ReduceL1": [("x axes", {"keepdims": [0, 1]})],
    "ReduceL2": [("x axes", {"keepdims": [0, 1]})],
    "ReduceSumSquare": [("x axes", {"keepdims": [0, 1]})],
    "MaxPool": [("x", {**WINDOWS, "dilations": [[1, 1], [2, 1]]})],
    "AveragePool": [("x", {**WINDOWS, "count_include_pad": [0, 1]})],
    "LpPool": [("x", {"kernel_shape": [[2, 2]], "p": [1, 2, 3], "pads": [[0, 1, 0, 1]]})],
    "LRN": [("x", {"size": [1, 3], "alpha": [1e-4, 2.0, -3.0], "beta": [0.75, 1.0], "bias": [1.0, -5.0]})],
    "Dropout": [("x half", {})],
    "Reshape": [("x shape", {})],
    "Flatten": [("x", {"axis": [0, 2]})],
    "Squeeze": [("x", {})],
    "Unsqueeze": [("x axis", {})],
    "Transpose": [("x", {"perm": [[3, 1, 0, 2]]})],
    "Slice": [("x start stop axis step", {})],
    "Split": [("x", {"axis": [1], "num_outputs": [1]})],
    "Gather": [("x rows", {"axis": [0, 2]})],
    "Expand": [("x wide", {})],
    "Tile": [("x times", {})],
    "DepthToSpace": [("x", {"blocksize": [2], "mode": ["DCR", "CRD"]})],
    "SpaceToDepth": [("x", {"blocksize": [1]})],
    **{f"Reduce{of}": [("x axes", {"keepdims": [0, 1]})] for of in ("Mean", "Sum", "Max", "Min")},
    "Cast": [("x", {"to": [1, 11, 10, 3, 6]})],
    "Pad": [(i, {"mode": ["constant", "edge", "reflect"]}) for i in ("x pads", "x pads half", "x pads low")],
    **{
        op: [("x positive", {}), ("x mixed", {}), ("mixed x", {})]
        for op in ("Add", "Mul", "Sum", "Mean", "Max", "Min", "Div")
    },
    "Concat": [("x wide_positive", {"axis": [1]}), ("x wide_mixed", {"axis": [1]})],
}  # fmt: skip
WEIGHTS["wide_positive"] = np.broadcast_to(WEIGHTS["positive"], SHAPE).copy()
WEIGHTS["rows_positive"], WEIGHTS["rows_mixed"] = np.ones((2, 5, 6), "f"), np.full((2, 5, 6), -1, "f")
WEIGHTS["wide_mixed"] = np.broadcast_to(WEIGHTS["mixed"], SHAPE).copy()

#: Held to it by the standard's own cases in ``test_traits.py``; newer than the opset here, or seldom.
BY_THE_STANDARD = {
    "CenterCropPad",
    "Col2Im",
    "CumProd",
    "MaxRoiPool",
    "MaxUnpool",
    "Swish",
    "TensorScatter",
    "TopK",
}


def variants(op):
    for inputs, attributes in ROWS[op]:
        for values in itertools.product(*attributes.values()):
            yield inputs, dict(zip(attributes, values, strict=True))


def build(op, inputs, attributes, *, rectified):
    """Apply an operator to a value of any sign, or to one that is not negative."""
    names = ["x" if i == "x" and not rectified else "r" if i == "x" else i for i in inputs.split(" ")]
    nodes = [onnx.helper.make_node("Relu", ["x"], ["r"])] if rectified else []
    nodes.append(onnx.helper.make_node(op, names, ["y"], **attributes))
    graph = onnx.helper.make_graph(
        nodes, "m", [onnx.helper.make_tensor_value_info("x", 1, SHAPE)], [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(np.asarray(WEIGHTS[n]), n) for n in set(names) if n in WEIGHTS],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)


def spoken_of():
    return operators(some=Is.NON_NEGATIVE | Is.NON_NEGATIVE_IF_ALL | Is.NON_NEGATIVE_IF_ANY)


def test_every_operator_that_is_spoken_of_is_tried() -> None:
    assert set(ROWS) == spoken_of() - BY_THE_STANDARD
    assert set(signs._PROVIDED) <= set(ROWS)


@pytest.mark.parametrize("op", ROWS)
def test_what_is_said_is_so(op) -> None:
    x = 300 * np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    x[0, 0] = np.abs(x[0, 0]) / 1000
    x[1] /= 100
    claimed = total = 0
    for inputs, attributes in variants(op):
        for rectified in (False, True):
            proto = build(op, inputs, attributes, rectified=rectified)
            model = ir.from_proto(proto)
            infer_shapes(model)
            said = signs.non_negative(model.graph.outputs[0])
            claimed, total = claimed + said, total + 1
            if said:
                session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
                y = session.run(None, {"x": x})[0]
                assert not (y < 0).any(), f"{op}({inputs}) {attributes}"
    assert claimed, f"nothing is said of {op}"
    assert claimed < total or op in operators(Is.NON_NEGATIVE) - set(signs._PROVIDED)


def test_a_value_that_may_be_negative_is_shared_by_both_signs(models) -> None:
    """The branch for negative inputs of z+ may not be left out behind a threshold below 0."""
    text = "m (float[N, 6] x) => (float[N, 4] y) {{ h = {} z = Gemm(h, w) y = Identity(z) }}"
    x = models.random(5, 6, seed=3)
    model = models.make(text.format("ThresholdedRelu<alpha = -1.0>(x)"), w=models.random(6, 4))
    found = ox.explain(model, x, 1, method="lrp", composite="zplus", stabilizer=1e-9).values
    h, w = np.where(x > -1, x, 0), models.random(6, 4)
    parts = np.maximum(h * w[:, 1], 0)
    some = parts.any(1)  # where nothing contributes, all get the same
    assert some.sum() > 1
    expected = parts[some] / parts[some].sum(1, keepdims=True) * (h @ w)[some][:, [1]]
    np.testing.assert_allclose(found[some], expected, rtol=1e-3, atol=1e-4)
