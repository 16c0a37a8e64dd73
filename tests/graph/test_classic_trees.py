"""The last step of ensembles of trees, written out: the same numbers as onnxruntime's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.trees import find

X = np.array([[-1.0], [0.0], [0.5], [3.0]], np.float32)
STUMP = {
    "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [0.25, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "nodes_hitrates": [3.0, 2.0, 1.0],
}  # fmt: skip
ONE, TWO, THREE = [0], [0, 1], [0, 1, 2]


def model_of(
    op: str, post: str, ids: list[int], weights: list[float], count: int, **more: Any
) -> onnx.ModelProto:
    """Return a stump; ``weights`` are those of both leaves, one for each of ``ids``."""
    kind = "class" if "Classifier" in op else "target"
    attributes = STUMP | more | {
        "post_transform": post, f"{kind}_treeids": [0] * len(weights), f"{kind}_ids": ids * 2,
        f"{kind}_nodeids": [1] * len(ids) + [2] * len(ids), f"{kind}_weights": weights,
    }  # fmt: skip
    attributes["classlabels_strings" if kind == "class" else "n_targets"] = (
        [f"class{k}" for k in range(count)] if kind == "class" else count
    )
    names = ["label", "y"] if kind == "class" else ["y"]
    types = {"label": onnx.TensorProto.STRING, "y": onnx.TensorProto.FLOAT}
    node = helper.make_node(op, ["x"], names, domain="ai.onnx.ml", **attributes)
    outputs = [helper.make_tensor_value_info(n, types[n], [None] * (1 + (n == "y"))) for n in names]
    table = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([node], "g", [table], outputs)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"])
@pytest.mark.parametrize(
    ("op", "ids", "weights", "count", "more"),
    [
        ("TreeEnsembleRegressor", ONE, [0.3, 0.7], 1, {}),
        ("TreeEnsembleRegressor", TWO, [0.3, 0.7, 0.1, 0.4], 2, {"base_values": [0.1, 0.2]}),
        ("TreeEnsembleClassifier", THREE, [0.3, 0.7, 0.2, 0.1, 0.2, 0.5], 3, {}),
        ("TreeEnsembleClassifier", TWO, [0.3, 0.7, 0.2, 0.1], 2, {}),
        ("TreeEnsembleClassifier", TWO, [0.3, 0.7, 0.2, 0.1], 2, {"base_values": [0.1, 0.2]}),
        ("TreeEnsembleClassifier", ONE, [0.3, -0.7], 2, {}),
        ("TreeEnsembleClassifier", [1], [0.3, 0.7], 2, {"base_values": [0.1]}),
    ],
)
def test_the_same_numbers_as_the_kernel(
    op: str, post: str, ids: list[int], weights: list[float], count: int, more: dict[str, Any]
) -> None:
    if post == "PROBIT" and len(ids) == 1 and count == 2:
        pytest.skip("onnxruntime does not define it")
    given = model_of(op, post, ids, weights, count, **more)
    made = normalize(load(given)).model
    theirs, ours = (
        ort.InferenceSession(p.SerializeToString()).run(None, {"x": X}) for p in (given, ir.to_proto(made))
    )
    assert [list(a) for a in theirs[:-1]] == [list(a) for a in ours[:-1]]
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("post", "closing"), [("LOGISTIC", "Sigmoid"), ("SOFTMAX", "Softmax")])
def test_raw_scores_become_a_value_of_their_own(post: str, closing: str) -> None:
    given = model_of("TreeEnsembleClassifier", post, THREE, [0.3, 0.7, 0.2, 0.1, 0.2, 0.5], 3)
    made = normalize(load(given)).model
    assert closing in [n.op_type for n in made.graph]
    raw = [e for node, e in find(made.graph) if node.op_type == "TreeEnsembleRegressor"]
    assert [e.post_transform for e in raw] == ["NONE"]
    assert raw[0].covers is not None


def test_shapes_are_known_behind_trees() -> None:
    made = normalize(load(model_of("TreeEnsembleClassifier", "NONE", THREE, [0.0] * 6, 3))).model
    label, scores = made.graph.outputs
    assert facts.rank(label) == 1
    assert facts.dims(scores)[1] == 3
    assert scores.dtype == ir.DataType.FLOAT
