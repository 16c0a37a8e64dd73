"""What is made of one tree's answer alone becomes a tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pipelines
import pytest

import onnxplain as ox
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from tests.helpers.tree_models import classic

X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
REGRESSOR, CLASSIFIER = "TreeEnsembleRegressor", "TreeEnsembleClassifier"


def model_of(
    models: Any, body: str, op: str = REGRESSOR, targets: int = 1, trees: int = 1
) -> onnx.ModelProto:
    """Two ensembles, (N, targets) s and t (and their labels), and what ``body`` makes y of them."""
    rng = np.random.default_rng(3)
    model = models.make(
        f"m (float[N, 4] x) => (float[N, {targets}] y) {{ {body} }}", domain="ai.onnx.ml",
        one=1.0, two=2.0, rows=np.array([0]), kept=np.array([-1, targets]), table=[[4.0], [1.0], [7.0]],
    )  # fmt: skip
    for name in ("t", "s"):
        outputs = [f"{name}_label", name] if op == CLASSIFIER else [name]
        attributes = classic(rng, op, targets=targets, trees=trees)
        model.graph.node.insert(
            0, onnx.helper.make_node(op, ["x"], outputs, name, domain="ai.onnx.ml", **attributes)
        )
    return model


def folded(model: onnx.ModelProto) -> int:
    """Return how many trees were written."""
    return sum("/leaves/" in (n.name or "") for n in normalize(load(model)).model.graph)


@pytest.mark.parametrize(
    ("body", "op", "targets"),
    [
        ("a = Exp(s) b = Abs(t) y = Add(a, b)", REGRESSOR, 1),
        ("a = Exp(s) b = Mul(a, s) d = Less(s, one) c = Where(d, s, b) y = Sub(c, t)", REGRESSOR, 3),
        ("a = Softmax(s) b = Softmax(t) y = Sum(a, b, t)", REGRESSOR, 3),
        ("a = Transpose(s) e = Exp(a) b = Transpose(t) c = Add(e, b) y = Transpose(c)", REGRESSOR, 2),
        ("p = Sigmoid(s) q = Sigmoid(t) r = Mul(q, two) y = Add(p, r)", CLASSIFIER, 3),
        ("g = Gather(table, s_label) h = Gather(table, t_label) i = Add(g, h) z = Sub(s, s) y = Add(i, z)",
         CLASSIFIER, 3),
    ],
)  # fmt: skip
def test_sums_of_what_trees_make(body: str, op: str, targets: int, models) -> None:
    model = model_of(models, body, op, targets)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": X})
    assert folded(model) >= 1
    explainer = ox.Explainer(model)
    np.testing.assert_allclose(explainer.predict(X)["y"], expected, rtol=3e-7, atol=1e-7)
    target = None if targets == 1 else 1
    found = explainer(X[:4], target, "tree_shap", baselines=X[4:])
    brute = pipelines.brute_force(
        lambda x: session.run(None, x)[0][:, target or 0], {"x": X[:4]}, {"x": X[4:]}
    )
    np.testing.assert_allclose(found.values, brute, rtol=0, atol=3e-6)
    assert np.abs(brute).max() > 0.1


@pytest.mark.parametrize(
    ("body", "trees"),
    [
        ("a = Mul(s, two) y = Add(a, t)", 1),  # linear as it is
        ("y = Sigmoid(s)", 1),  # what closes a score stays in sight
        ("a = Exp(s) b = Exp(t) y = Add(a, b)", 2),  # of several trees each
        ("m = ReduceMax(s, rows) a = Exp(m) y = Add(a, t)", 1),  # rows are not kept apart
        ("a = Mul(s, t) y = Exp(a)", 1),  # of two trees together
    ],
)  # fmt: skip
def test_what_stays(body: str, trees: int, models) -> None:
    assert folded(model_of(models, body, trees=trees)) == 0
