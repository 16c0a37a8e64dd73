"""Exact Shapley values of tree ensembles: against brute force, each kernel against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.errors import DataInputError, MethodError
from onnxplain.graph.trees import Ensemble, parse
from onnxplain.kernels import trees
from onnxplain.kernels.ensemble import paths
from tests.helpers.tree_models import (
    brute_force,
    classic,
    interventional_game,
    model_of,
    node_of,
    path_game,
    rows,
    unified,
)

REGRESSOR = "TreeEnsembleRegressor"
INDICES = ("shapley", "banzhaf")
PLAYERS = {
    "each its own": None,
    "groups": np.array([0, 1, 0, 2, 2, 1]),
    "absent ones": np.array([4, 1, 1, 6, 2, 2]),
}


def forest(rng: np.random.Generator, columns: int = 6, **more: Any) -> Ensemble:
    attrs = classic(rng, REGRESSOR, columns=columns, **more)
    return parse(node_of(model_of(REGRESSOR, attrs, columns)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("which", PLAYERS)
def test_interventional_is_brute_force(rng: np.random.Generator, which: str, index: str) -> None:
    ensemble = forest(rng, depth=6, trees=4, targets=2, aggregate_function="AVERAGE")
    X, background = rows(rng, 5, 6), rows(rng, 9, 6)
    players = PLAYERS[which]
    owners = np.arange(6) if players is None else players
    found = trees.interventional(ensemble, X, background, players, index=index)
    assert found.shape == (5, owners.max() + 1, 2)
    for x, values in zip(X, found, strict=True):
        game = interventional_game(ensemble, x, background, owners)
        np.testing.assert_allclose(values, brute_force(game, owners.max() + 1, index), rtol=0, atol=1e-10)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("which", PLAYERS)
def test_path_dependent_is_brute_force(rng: np.random.Generator, which: str, index: str) -> None:
    ensemble = forest(rng, depth=6, trees=4, targets=2, covers=True)
    X, players = rows(rng, 5, 6), PLAYERS[which]
    owners = np.arange(6) if players is None else players
    found = trees.path_dependent(ensemble, X, players, index=index)
    for x, values in zip(X, found, strict=True):
        game = path_game(ensemble, x, ensemble.covers, owners)
        np.testing.assert_allclose(values, brute_force(game, owners.max() + 1, index), rtol=0, atol=1e-10)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("game", ["interventional", "path"])
def test_interactions_are_brute_force(rng: np.random.Generator, game: str, index: str) -> None:
    ensemble = forest(rng, depth=6, trees=3, covers=True)
    X, background = rows(rng, 3, 6), rows(rng, 7, 6)
    owners = np.array([0, 1, 2, 3, 4, 1])
    given = {"background": background} if game == "interventional" else {}
    found = trees.interactions(ensemble, X, owners, index=index, **given)
    for x, values in zip(X, found, strict=True):
        worth = (
            interventional_game(ensemble, x, background, owners)
            if given
            else path_game(ensemble, x, ensemble.covers, owners)
        )
        expected = brute_force(worth, 5, index, order=2) / 2
        single = brute_force(worth, 5, index)
        expected[np.arange(5), np.arange(5)] = single - expected.sum(axis=1)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10)


def test_ten_columns(rng: np.random.Generator) -> None:
    ensemble = forest(rng, columns=10, depth=9, trees=2)
    x, background = rows(rng, 1, 10), rows(rng, 3, 10)
    found = trees.interventional(ensemble, x, background)[0]
    expected = brute_force(interventional_game(ensemble, x[0], background, np.arange(10)), 10)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(12))
def test_random_ensembles_of_version_five(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = int(rng.integers(1, 7))
    attrs = unified(
        rng, trees=int(rng.integers(1, 5)), depth=int(rng.integers(1, 8)), columns=columns, targets=2
    )
    ensemble = parse(node_of(model_of("TreeEnsemble", attrs, columns, opset=5)))
    X, background = rows(rng, 4, columns), rows(rng, 5, columns)
    covers = trees.count_covers(ensemble, background)
    owners = rng.integers(0, 3, columns)
    for found, game in (
        (trees.interventional(ensemble, X, background, owners, 3),
         lambda x: interventional_game(ensemble, x, background, owners)),
        (trees.path_dependent(ensemble, X, owners, 3, covers),
         lambda x: path_game(ensemble, x, covers, owners)),
    ):  # fmt: skip
        for x, values in zip(X, found, strict=True):
            np.testing.assert_allclose(values, brute_force(game(x), 3), rtol=0, atol=1e-10)


def test_they_add_up(rng: np.random.Generator) -> None:
    ensemble = forest(rng, columns=20, depth=12, trees=10)
    X, background = rows(rng, 40, 20), rows(rng, 60, 20)
    found = trees.interventional(ensemble, X, background)
    wide = ensemble.exact()
    expected = trees.predict(wide, ensemble.columns(X)) - trees.predict(
        wide, ensemble.columns(background)
    ).mean(0)
    np.testing.assert_allclose(found.sum(axis=1), expected, rtol=0, atol=1e-9)


def test_two_classes_from_one_score(rng: np.random.Generator) -> None:
    attrs = classic(rng, "TreeEnsembleClassifier", targets=2, votes=[0], covers=True)
    ensemble = parse(node_of(model_of("TreeEnsembleClassifier", attrs, 4)))
    X = rows(rng, 6, 4)
    for found in (trees.path_dependent(ensemble, X), trees.interventional(ensemble, X, X)):
        assert found.shape == (6, 4, 2)
        np.testing.assert_array_equal(found[..., 0], -found[..., 1])
    assert trees.interactions(ensemble, X).shape == (6, 4, 4, 2)


def test_covers_count_rows(rng: np.random.Generator) -> None:
    ensemble = forest(rng)
    found = trees.count_covers(ensemble, rows(rng, 100, 6))
    inner = np.flatnonzero(ensemble.feature >= 0)
    np.testing.assert_array_equal(found[ensemble.roots], 100)
    np.testing.assert_array_equal(
        found[inner], found[ensemble.true_child[inner]] + found[ensemble.false_child[inner]]
    )
    assert sum(found[leaf] for leaf, _ in paths(ensemble)) == 100 * ensemble.roots.size


@pytest.mark.parametrize("call", [
    lambda e, X: trees.interventional(e, X, X),
    lambda e, X: trees.path_dependent(e, X),
    lambda e, X: trees.interactions(e, X, background=X),
])  # fmt: skip
def test_what_is_no_sum_is_refused(rng: np.random.Generator, call: Any) -> None:
    ensemble = forest(rng, aggregate_function="MAX", covers=True)
    with pytest.raises(MethodError, match=r"'forest': its trees are aggregated by MAX.*kernel_shap"):
        call(ensemble, rows(rng, 3, 6))


def test_what_does_not_fit_is_named(rng: np.random.Generator) -> None:
    ensemble, X = forest(rng), rows(rng, 3, 6)
    needed = ensemble.n_columns
    with pytest.raises(DataInputError, match=f"X has {needed - 1} columns.* at least {needed}"):
        trees.predict(ensemble, X[:, : needed - 1])
    with pytest.raises(DataInputError, match="must be a table"):
        trees.predict(ensemble, X[0])
    with pytest.raises(DataInputError, match="background is empty"):
        trees.interventional(ensemble, X, X[:0])
    with pytest.raises(DataInputError, match="background has 7 columns, X has 6"):
        trees.interventional(ensemble, X, np.zeros((2, 7)))
    with pytest.raises(DataInputError, match="one whole number for each of the 6"):
        trees.interventional(ensemble, X, X, [0, 1])
    with pytest.raises(DataInputError, match="must lie in 0 to 1; they go from 0 to 5"):
        trees.interventional(ensemble, X, X, np.arange(6), 2)
    with pytest.raises(MethodError, match="index must be one of"):
        trees.interventional(ensemble, X, X, index="owen")
    with pytest.raises(MethodError, match="does not say how much data"):
        trees.path_dependent(ensemble, X)
    with pytest.raises(DataInputError, match=r"covers must be one finite number.*\(3,\)"):
        trees.path_dependent(ensemble, X, covers=np.ones(3))
    with pytest.raises(DataInputError, match="count covers with is empty"):
        trees.count_covers(ensemble, X[:0])


def test_no_rows(rng: np.random.Generator) -> None:
    ensemble, X = forest(rng, covers=True), rows(rng, 3, 6)
    assert trees.interventional(ensemble, X[:0], X).shape == (0, 6, 1)
    assert trees.path_dependent(ensemble, X[:0]).shape == (0, 6, 1)
    assert trees.predict(ensemble, X[:0]).shape == (0, 1)
