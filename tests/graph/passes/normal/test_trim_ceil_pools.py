"""Pooling with ``ceil_mode``: shapes, predictions and gradients are those of what onnxruntime computes."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

#: Size, kernel, stride, dilation, pads before and behind.
AXES = [
    (6, 2, 3, 1, 0, 0),
    (7, 2, 3, 1, 0, 0),
    (8, 1, 3, 1, 0, 0),
    (6, 2, 4, 1, 0, 1),
    (7, 2, 5, 1, 1, 1),
    (8, 2, 3, 1, 1, 1),
    (6, 3, 2, 1, 1, 1),
    (9, 2, 5, 3, 1, 0),
    (10, 2, 7, 2, 0, 1),
    (5, 2, 2, 1, 0, 0),
]
POOLS = {"MaxPool": {}, "AveragePool": {}, "LpPool": {"p": 2}, "counted": {"count_include_pad": 1}}


def proto(pool, rows, columns, size, *, head="", valid=False):
    """A pool between a convolution of one and a flat end."""
    op = "AveragePool" if pool == "counted" else pool
    attributes = {
        "kernel_shape": [rows[1], columns[1]], "strides": [rows[2], columns[2]], "ceil_mode": 1,
        "pads": [rows[4], columns[4], rows[5], columns[5]], **POOLS[pool],
    }  # fmt: skip
    if (rows[3], columns[3]) != (1, 1):
        attributes["dilations"] = [rows[3], columns[3]]
    if valid:
        del attributes["pads"]
        attributes["auto_pad"] = "VALID"
    nodes = [
        onnx.helper.make_node("Mul", ["x", "x"], ["s"]),
        onnx.helper.make_node(op, ["s"], ["p"], name="pool", **attributes),
        onnx.helper.make_node("Tanh", ["p"], ["t"]),
        onnx.helper.make_node("GlobalAveragePool", ["t"], ["g"]),
        onnx.helper.make_node("Flatten", ["g"], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes, "m", [onnx.helper.make_tensor_value_info("x", 1, ["N", 2, *size])],
        [onnx.helper.make_tensor_value_info("y", 1, ["N", 2])],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def slope(run, x, direction, step=2e-3):
    return (run(x + step * direction) - run(x - step * direction)).astype(np.float64) / (2 * step)


@pytest.mark.parametrize("known", [True, False], ids=["static", "symbolic"])
@pytest.mark.parametrize("valid", [False, True], ids=["pads", "VALID"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("axis", range(len(AXES)))
def test_what_onnxruntime_computes(axis, pool, valid, known, models) -> None:
    rows, columns = AXES[axis], AXES[(axis + 3) % len(AXES)]
    if valid:
        rows, columns = (*rows[:3], 1, 0, 0), (*columns[:3], 1, 0, 0)
    size = (rows[0], columns[0])
    model = proto(pool, rows, columns, size if known else ("H", "W"), valid=valid)
    try:
        plain = session(model)
    except Exception as error:
        pytest.skip(f"onnxruntime does not take it: {str(error)[:60]}")
    x = models.random(2, 2, *size, seed=axis)
    explainer = ox.Explainer(model)
    np.testing.assert_allclose(explainer.predict(x)["y"], plain.run(None, {"x": x})[0], rtol=1e-5, atol=1e-6)
    found = explainer(x, 1, ox.Saliency(abs=False))
    assert found.values.shape == x.shape
    direction = models.random(*x.shape, seed=99)
    expected = slope(lambda a: plain.run(None, {"x": a})[0][:, 1], x, direction)
    np.testing.assert_allclose((found.values * direction).sum((1, 2, 3)), expected, rtol=0.02, atol=2e-3)
    for method in ("lrp", "deep_lift")[: 1 if pool == "LpPool" else 2]:  # DeepLIFT refuses some by name
        assert explainer(x, 1, method).values.shape == x.shape


@pytest.mark.parametrize("pool", POOLS)
def test_shapes_are_those_of_the_run(pool, models) -> None:
    for rows, columns in itertools.product(AXES[:7], repeat=2):
        model = proto(pool, rows, columns, (rows[0], columns[0]))
        normal = normalize(load(model), expand=needs_body)
        value = next(v for n in normal.model.graph for v in n.outputs if v.name == "p")
        said = facts.dims(value)
        model.graph.output.append(onnx.ValueInfoProto(name="p"))
        made = session(model).run(["p"], {"x": models.random(1, 2, rows[0], columns[0])})[0]
        assert said is not None
        assert said[1:] == made.shape[1:], (rows, columns)


def test_pools_behind_pools(models) -> None:
    """The second sees the right size of the first; the head is as large as onnxruntime makes it."""
    model = models.make(
        """m (float[N, 1, 20] x) => (float[N, 3] y) {
          a = MaxPool<kernel_shape = [2], strides = [3], ceil_mode = 1>(x)
          b = AveragePool<kernel_shape = [1], strides = [2], ceil_mode = 1>(a)
          c = MaxPool<kernel_shape = [2], strides = [4], ceil_mode = 1>(b)
          g = GlobalMaxPool(c) f = Flatten(g) y = MatMul(f, w)
        }""",
        w=models.random(1, 3),
    )  # fmt: skip
    x = models.random(3, 1, 20)
    plain = session(model).run(None, {"x": x})[0]
    found = ox.explain(model, x, 1, method="lrp", composite="epsilon")
    np.testing.assert_allclose(found.predictions, plain, rtol=1e-5)
    np.testing.assert_allclose(found.values.sum((1, 2)), plain[:, 1], rtol=1e-3, atol=1e-4)


def test_indices_of_a_trimmed_pool(models) -> None:
    model = models.make(
        """m (float[N, 1, 6] x) => (float[N, 1, Z] y, int64[N, 1, Q] i) {
          y, i = MaxPool<kernel_shape = [2], strides = [3], ceil_mode = 1>(x)
        }"""
    )
    x = models.random(2, 1, 6)
    expected = session(model).run(None, {"x": x})
    found = ox.Explainer(model).predict(x)
    np.testing.assert_array_equal(found["y"], expected[0])
    np.testing.assert_array_equal(found["i"], expected[1])


def test_pools_that_are_counted_rightly_are_left_alone(models) -> None:
    model = proto("MaxPool", AXES[1], AXES[9], (7, 5))
    normal = normalize(load(model), expand=needs_body)
    (pool,) = (n for n in normal.model.graph if n.op_type == "MaxPool")
    assert facts.attr(pool, "ceil_mode") == 1
