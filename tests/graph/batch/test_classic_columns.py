"""How many scores classical models give a row is known, so that they stay in batches when reshaped."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import onnxplain as ox


def tree(ids: list[int], labels: list[int], post: str = "NONE") -> onnx.NodeProto:
    count = len(ids)
    return helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", classlabels_int64s=labels,
        post_transform=post, nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[0.5, 0.0, 0.0], nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0], class_treeids=[0] * 2 * count, class_ids=ids * 2,
        class_nodeids=[1] * count + [2] * count, class_weights=np.linspace(0.1, 0.9, 2 * count).tolist(),
    )  # fmt: skip


def linear(rows: int, labels: list[int]) -> onnx.NodeProto:
    return helper.make_node(
        "LinearClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", classlabels_ints=labels,
        coefficients=np.arange(1.0, 3 * rows + 1).tolist(), intercepts=[0.0] * rows,
        post_transform="LOGISTIC",
    )  # fmt: skip


CLASSIFIERS = {
    "one score of two classes": tree([0], [0, 1]),
    "the second of two classes": tree([1], [0, 1], "LOGISTIC"),
    "two": tree([0, 1], [0, 1]),
    "three": tree([0, 1, 2], [0, 1, 2]),
    "two of three": tree([0, 1], [0, 1, 2]),
    "one of one": tree([0], [7]),
    "linear, one row": linear(1, [0, 1]),
    "linear, two rows": linear(2, [0, 1]),
    "linear, three rows": linear(3, [0, 1, 2]),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores_that_are_reshaped_stay_with_their_samples(name) -> None:
    node = CLASSIFIERS[name]
    labels = next(a.ints for a in node.attribute if a.name.startswith("classlabels"))
    graph = helper.make_graph(
        [node, helper.make_node("Reshape", ["p", "s"], ["y"])], "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([-1, len(labels)]), "s")],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((4, 3), np.float32)
    (expected,) = session.run(None, {"x": x})
    assert expected.shape == (4, len(labels))
    found = ox.explain(model, x, [0, 0, 0, 0], method="feature_ablation")
    assert found.values.shape == x.shape
    np.testing.assert_allclose(found.predictions, expected, rtol=1e-5, atol=1e-6)
    assert not found.notes, "no note says that the arrays are one sample"
