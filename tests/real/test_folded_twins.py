"""A trained network of Keras, as tf2onnx wrote it, and with its layers put together by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnxplain as ox

pytestmark = pytest.mark.models


def folded_by_hand(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the season classifier as two one-dimensional convolutions and a dense layer."""
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    nodes = {o: n for n in model.graph.node for o in n.output}

    def constant(node: onnx.NodeProto) -> np.ndarray:
        return next(weights[i] for i in node.input if i in weights)

    def varied(node: onnx.NodeProto) -> str:
        return next(i for i in node.input if i not in weights)

    made = {}
    for k, relu in enumerate(n for n in model.graph.node if n.op_type == "Relu"):
        add = nodes[relu.input[0]]
        mul = nodes[varied(add)]
        bias = nodes[varied(mul)]
        conv = nodes[nodes[varied(bias)].input[0]]
        assert [n.op_type for n in (add, mul, bias, conv)] == ["Add", "Mul", "Add", "Conv"]
        scale, w = constant(mul).ravel(), weights[conv.input[1]]
        made[f"w{k}"] = w[:, :, 0] * scale[:, None, None]
        made[f"b{k}"] = constant(bias).ravel() * scale + constant(add).ravel()
    last = next(n for n in model.graph.node if n.op_type == "MatMul")
    made["v"], made["c"] = weights[last.input[1]], constant(nodes[model.graph.node[-1].input[0]]).ravel()
    name, out = model.graph.input[0].name, model.graph.output[0].name
    graph = [
        helper.make_node("Transpose", [name], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w0", "b0"], ["a0"]),
        helper.make_node("Relu", ["a0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["a1"]),
        helper.make_node("Relu", ["a1"], ["r1"]),
        helper.make_node("GlobalMaxPool", ["r1"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["z"]),
        helper.make_node("Softmax", ["z"], [out]),
    ]
    stored = [numpy_helper.from_array(a.astype(np.float32), k) for k, a in made.items()]
    return helper.make_model(
        helper.make_graph(graph, "season", [model.graph.input[0]], [model.graph.output[0]], stored),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=8,
    )  # fmt: skip


@pytest.mark.parametrize("composite", ["epsilon_plus", "deep_taylor", "epsilon_plus_flat", "zplus"])
def test_season_is_explained_like_its_twin(composite, real_model) -> None:
    model = real_model("season")
    twin = folded_by_hand(onnx.load(model.path))
    x = next(iter(model.feeds.values()))
    found, wanted = (ox.explain(m, x, 0, method=ox.LRP(composite)) for m in (model.path, twin))
    np.testing.assert_allclose(found.score, wanted.score, rtol=1e-5)
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-4 * np.abs(wanted.values).max())


def test_deep_taylor_conserves_on_season(real_model) -> None:
    model = real_model("season")
    x = next(iter(model.feeds.values()))
    scores = ox.Explainer(model.path)(x, [0], method="saliency").score
    target = 0 if scores[0] > 0 else 1
    found = ox.explain(model.path, x, target, method=ox.LRP("deep_taylor"))
    assert found.relative_delta.max() < 1e-3
