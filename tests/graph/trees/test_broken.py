"""Ensembles that cannot be followed are refused by name; what only looks odd is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain.errors import InvalidModelError
from onnxplain.graph.trees import Mode, parse
from onnxplain.kernels.trees import predict
from tests.helpers.tree_models import model_of, node_of, run

REGRESSOR = "TreeEnsembleRegressor"


def stump(**change: Any) -> dict[str, Any]:
    """Two comparisons and three leaves."""
    return {
        "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_EQ", "LEAF", "LEAF", "LEAF"],
        "nodes_values": [0.5, 1.0, 0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 3, 0, 0, 0], "nodes_falsenodeids": [2, 4, 0, 0, 0], "n_targets": 1,
        "target_treeids": [0] * 3, "target_nodeids": [2, 3, 4], "target_ids": [0] * 3,
        "target_weights": [1.0, 2.0, 3.0], **change,
    }  # fmt: skip


def both_leaves(**change: Any) -> dict[str, Any]:
    """The same as version 5 writes it."""
    given = {
        "tree_roots": [0], "nodes_featureids": [0, 1], "nodes_modes": [0, 4], "nodes_splits": [0.5, 1.0],
        "nodes_truenodeids": [1, 0], "nodes_falsenodeids": [2, 1], "nodes_trueleafs": [0, 1],
        "nodes_falseleafs": [1, 1], "leaf_targetids": [0, 0, 0], "leaf_weights": [2.0, 3.0, 1.0],
        "n_targets": 1, **change,
    }  # fmt: skip
    kinds = {"nodes_modes": TensorProto.UINT8, "nodes_splits": TensorProto.FLOAT}
    kinds |= {"leaf_weights": TensorProto.FLOAT, "membership_values": TensorProto.FLOAT}
    return {k: helper.make_tensor(k, kinds[k], [len(v)], v) if k in kinds else v for k, v in given.items()}


def test_both_ways_of_writing_are_read() -> None:
    X = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0]], np.float32)
    for op, attrs, opset in ((REGRESSOR, stump(), 3), ("TreeEnsemble", both_leaves(), 5)):
        model = model_of(op, attrs, 2, opset=opset)
        np.testing.assert_array_equal(predict(parse(node_of(model)), X)[:, 0], [2.0, 3.0, 1.0])
        np.testing.assert_array_equal(run(model, X)[:, 0], [2.0, 3.0, 1.0])


@pytest.mark.parametrize(("change", "words"), [
    ({"nodes_truenodeids": [1, 7, 0, 0, 0]}, "a true child in tree 0 is node 7, which does not exist"),
    ({"nodes_falsenodeids": [-1, 4, 0, 0, 0]}, "a false child in tree 0 is node -1, which does not exist"),
    ({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "node 0 of tree 0 leads to itself"),
    ({"nodes_truenodeids": [1, 1, 0, 0, 0]}, "node 1 of tree 0 leads to itself"),
    ({"nodes_modes": ["BRANCH_LEQ", "BRANCH_NEAR", "LEAF", "LEAF", "LEAF"]}, "unknown mode 'BRANCH_NEAR'"),
    ({"nodes_nodeids": [0, 1, 2, 3, 3]}, "node 3 of tree 0 appears twice"),
    ({"nodes_values": [0.5, float("nan"), 0, 0, 0]}, "the threshold of node 1 of tree 0 is NaN"),
    ({"nodes_featureids": [0, -3, 0, 0, 0]}, "node 1 of tree 0 asks for column -3"),
    ({"nodes_values": [0.5]}, "nodes_values has 1 entries"),
    ({"nodes_hitrates": [0.5]}, "nodes_hitrates has 1 entries"),
    ({"target_nodeids": [2, 3, 9]}, "place of a weight.*is node 9, which does not exist"),
    ({"target_ids": [0, 0, 1]}, "target_ids has 1, but there are 1 targets"),
    ({"target_weights": [1.0, 2.0, float("inf")]}, "the weight of node 4 of tree 0 is inf"),
    ({"target_weights": [1.0]}, "target_weights has 1 entries"),
    ({"n_targets": 0}, "n_targets is 0"),
    ({"base_values": [1.0, 2.0]}, "base_values has 2 entries for 1 scores"),
    ({"base_values": [float("nan")]}, "base_values has nan"),
    ({"aggregate_function": "MEDIAN"}, "aggregate_function is 'MEDIAN'; known are"),
    ({"post_transform": "TANH"}, "post_transform is 'TANH'; known are"),
    ({name: [] for name in stump() if name.startswith("nodes_")}, "it has no nodes"),
])  # fmt: skip
def test_classic(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=f"TreeEnsembleRegressor node 'forest': .*{words}.*export"):
        parse(node_of(model_of(REGRESSOR, stump(**change), 2)))


@pytest.mark.parametrize(("change", "words"), [
    ({"nodes_truenodeids": [2, 0]}, "the true child of node 0 is node 2, which does not exist"),
    ({"nodes_falsenodeids": [5, 1]}, "the false child of node 0 is leaf 5, which does not exist"),
    ({"nodes_truenodeids": [0, 0]}, "node 0 leads to itself"),
    ({"nodes_modes": [0, 9]}, "unknown mode 9"),
    ({"nodes_modes": [0, 6]}, "membership_values has 0 sets for 1 nodes"),
    ({"nodes_splits": [float("nan"), 1.0]}, "the threshold of node 0 is NaN"),
    ({"tree_roots": [3]}, "tree_roots has 3, which does not exist"),
    ({"leaf_targetids": [0, 0, 4]}, "leaf_targetids has 4, but there are 1 targets"),
    ({"leaf_weights": [1.0]}, "leaf_weights has 1 entries"),
    ({"aggregate_function": 7}, "aggregate_function is '7'"),
])  # fmt: skip
def test_unified(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=f"TreeEnsemble node 'forest': .*{words}"):
        parse(node_of(model_of("TreeEnsemble", both_leaves(**change), 2, opset=5)))


def test_classes_must_be_named() -> None:
    attrs = {k.replace("target_", "class_"): v for k, v in stump().items() if k != "n_targets"}
    with pytest.raises(InvalidModelError, match="names no classes"):
        parse(node_of(model_of("TreeEnsembleClassifier", attrs, 2)))


def chain(values: list[float], last: str = "LEAF") -> dict[str, Any]:
    """Compare a column with each of the values in turn; equal ones all go to the same node."""
    n = len(values)
    inner = 1 if last == "BRANCH_GT" else 0
    total = n + 2 + 2 * inner
    return {
        "nodes_treeids": [0] * total, "nodes_nodeids": list(range(total)),
        "nodes_featureids": [0] * n + [1] * (total - n),
        "nodes_modes": ["BRANCH_EQ"] * n + [last, "LEAF"] + ["LEAF"] * 2 * inner,
        "nodes_values": [*values, 0.5] + [0.0] * (total - n - 1),
        "nodes_truenodeids": [n] * n + [n + 2 if inner else 0] + [0] * (total - n - 1),
        "nodes_falsenodeids": [*range(1, n), n + 1] + [n + 3 if inner else 0] + [0] * (total - n - 1),
        "target_treeids": [0] * total, "target_nodeids": list(range(total)), "target_ids": [0] * total,
        "target_weights": list(map(float, range(total))), "n_targets": 1,
    }  # fmt: skip


@pytest.mark.parametrize("last", ["LEAF", "BRANCH_GT"])
def test_chains_of_equal_values_become_one_question(last: str) -> None:
    model = model_of(REGRESSOR, chain([3.0, 1.0, 7.0], last), 2)
    ensemble = parse(node_of(model))
    assert ensemble.mode[0] == Mode.MEMBER
    np.testing.assert_array_equal(ensemble.members, [1.0, 3.0, 7.0])
    assert (ensemble.mode != Mode.LEAF).sum() == (1 if last == "LEAF" else 2)
    X = np.array([[v, w] for v in (0, 1, 2, 3, 7, np.nan) for w in (0, 1)], np.float32)
    np.testing.assert_array_equal(predict(ensemble, X), run(model, X))


def shared(depth: int) -> Callable[[], Any]:
    """Each node's two children are the same node."""
    inner = list(range(depth))
    return lambda: parse(node_of(model_of(REGRESSOR, {
        "nodes_treeids": [0] * (depth + 1), "nodes_nodeids": [*inner, depth],
        "nodes_featureids": [*inner, 0], "nodes_modes": ["BRANCH_LT"] * depth + ["LEAF"],
        "nodes_values": [0.0] * (depth + 1), "nodes_truenodeids": [*range(1, depth + 1), 0],
        "nodes_falsenodeids": [*range(1, depth + 1), 0], "n_targets": 1,
        "target_treeids": [0], "target_nodeids": [depth], "target_ids": [0], "target_weights": [1.0],
    }, depth)))  # fmt: skip


def test_shared_nodes_are_copied_as_long_as_they_can_be() -> None:
    ensemble = shared(5)()
    assert (ensemble.mode == Mode.LEAF).sum() == 32
    np.testing.assert_array_equal(predict(ensemble, np.zeros((2, 5))), [[1.0], [1.0]])
    with pytest.raises(InvalidModelError, match="more ways than can be followed"):
        shared(40)()


def test_trees_and_nodes_may_have_any_numbers() -> None:
    tree, number = 7 - 2**62, [2**40, -3, 5, 2**62, 11]
    places = dict(zip(range(5), number, strict=True))
    change = {
        "nodes_treeids": [tree] * 5, "nodes_nodeids": number, "target_treeids": [tree] * 3,
        "nodes_truenodeids": [places[k] for k in (1, 3, 0, 0, 0)],
        "nodes_falsenodeids": [places[k] for k in (2, 4, 0, 0, 0)],
        "target_nodeids": [places[k] for k in (2, 3, 4)],
    }  # fmt: skip
    X = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0]], np.float32)
    ensemble = parse(node_of(model_of(REGRESSOR, stump(**change), 2)))
    np.testing.assert_array_equal(predict(ensemble, X)[:, 0], [2.0, 3.0, 1.0])


@pytest.mark.parametrize(("rates", "kept"), [
    ([10.0, 6.0, 4.0, 1.0, 5.0], True), ([1.0] * 5, False), ([10.0, 6.0, 4.0, 0.0, 6.0], False),
])  # fmt: skip
def test_hitrates_are_covers_where_they_add_up(rates: list[float], kept: bool) -> None:
    covers = parse(node_of(model_of(REGRESSOR, stump(nodes_hitrates=rates), 2))).covers
    assert (covers is not None) == kept
    if covers is not None:
        assert sorted(covers) == sorted(rates)
