"""The arrays predict what onnxruntime predicts, at the thresholds too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.errors import NotExplainableError
from onnxplain.graph.trees import parse
from onnxplain.kernels.trees import predict
from tests.helpers.tree_models import classic, model_of, node_of, rows, run, unified

TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
REGRESSOR, CLASSIFIER = "TreeEnsembleRegressor", "TreeEnsembleClassifier"


def compare(op: str, attrs: dict[str, Any], X: Any, transform: str = "NONE", opset: int = 3) -> None:
    model = model_of(op, attrs, X.shape[1], X.dtype, opset)
    with np.errstate(over="ignore"):
        found = predict(parse(node_of(model)), X)
    expected = run(model, X)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if transform == "NONE":
        np.testing.assert_array_equal(found, expected)
    elif transform == "PROBIT":  # its formula loses digits, all of them near 0 and 1
        apart = (expected > -1.5) & (expected < 1.5)
        np.testing.assert_allclose(found[apart], expected[apart], rtol=0, atol=3e-4)
    else:
        np.testing.assert_allclose(found, expected, rtol=3e-7, atol=2e-7)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def table(rng: np.random.Generator) -> Any:
    return rows(rng, 200, 4).astype(np.float32)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 3])
def test_regressors(
    rng: np.random.Generator, table: Any, targets: int, transform: str, aggregate: str
) -> None:
    more = {"post_transform": transform, "aggregate_function": aggregate, "base_values": [0.25] * targets}
    compare(REGRESSOR, classic(rng, REGRESSOR, targets=targets, **more), table, transform)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("base", [(), (0.5,), (0.5, 0.75)], ids=len)
@pytest.mark.parametrize("votes", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("positive", [False, True])
def test_two_classes(
    rng: np.random.Generator, table: Any, votes: Any, base: Any, transform: str, positive: bool
) -> None:
    attrs = classic(rng, CLASSIFIER, targets=2, votes=votes, post_transform=transform, base_values=list(base))
    if positive:
        attrs["class_weights"] = np.abs(attrs["class_weights"]).tolist()
    if transform == "PROBIT" and votes == (0,) and len(base) < 2:
        with pytest.raises(NotExplainableError, match="PROBIT of one score"):
            parse(node_of(model_of(CLASSIFIER, attrs, 4)))
    else:
        compare(CLASSIFIER, attrs, table, transform)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("votes", [(0, 1, 2), (0, 2)], ids=str)
@pytest.mark.parametrize("base", [[], [0.5, 0.25, 1.0]], ids=len)
def test_three_classes(rng: np.random.Generator, table: Any, votes: Any, base: Any, transform: str) -> None:
    attrs = classic(rng, CLASSIFIER, targets=3, votes=votes, post_transform=transform, base_values=base)
    compare(CLASSIFIER, attrs, table, transform)


def test_votes_for_one_of_two_classes_here_and_there_are_refused(rng: np.random.Generator) -> None:
    attrs = classic(rng, CLASSIFIER, targets=2)
    del attrs["class_treeids"][1], attrs["class_nodeids"][1], attrs["class_ids"][1], attrs["class_weights"][1]
    assert parse(node_of(model_of(CLASSIFIER, attrs, 4))).n_outputs == 2  # another tree always votes
    attrs = classic(rng, CLASSIFIER, targets=2, trees=1)
    del attrs["class_treeids"][1], attrs["class_nodeids"][1], attrs["class_ids"][1], attrs["class_weights"][1]
    with pytest.raises(NotExplainableError, match="first of two classes alone"):
        parse(node_of(model_of(CLASSIFIER, attrs, 4)))


@pytest.mark.parametrize("transform", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unified(rng: np.random.Generator, table: Any, dtype: Any, transform: int) -> None:
    attrs = unified(rng, trees=5, targets=3, dtype=dtype, post_transform=transform)
    compare("TreeEnsemble", attrs, table.astype(dtype), TRANSFORMS[transform], 5)


@pytest.mark.parametrize("aggregate", range(4))
def test_aggregates_of_unified(rng: np.random.Generator, table: Any, aggregate: int) -> None:
    compare("TreeEnsemble", unified(rng, aggregate_function=aggregate), table, opset=5)


@pytest.mark.parametrize("op", [REGRESSOR, CLASSIFIER])
@pytest.mark.parametrize("tensors", [False, True])
def test_double_inputs(rng: np.random.Generator, op: str, tensors: bool) -> None:
    X = rows(rng, 200, 4)
    compare(op, classic(rng, op, targets=3, double=tensors), X)


def test_integers_are_compared_as_floats(rng: np.random.Generator) -> None:
    X = rng.integers(0, 4, (50, 4))
    X[0] = 2**53 + 1
    compare(CLASSIFIER, classic(rng, CLASSIFIER, targets=3), X)


def test_versions_before_tensors(rng: np.random.Generator, table: Any) -> None:
    compare(REGRESSOR, classic(rng, REGRESSOR), table, opset=1)


def test_one_target_leaves_without_a_weight(rng: np.random.Generator, table: Any) -> None:
    attrs = classic(rng, REGRESSOR)
    leaf = attrs["target_nodeids"][0]
    at = next(k for k, name in enumerate(attrs["nodes_nodeids"]) if name == leaf)
    attrs["nodes_values"][at] = 5.0
    for name in ("treeids", "nodeids", "ids", "weights"):
        del attrs[f"target_{name}"][0]
    compare(REGRESSOR, attrs, table)
