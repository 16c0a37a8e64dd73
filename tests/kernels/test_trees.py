"""Exact Shapley values of tree ensembles: against brute force, each kernel against its definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxplain.errors import DataInputError, MethodError
from onnxplain.graph.trees import parse
from onnxplain.kernels import has_core, tree_dispatch, tree_numpy, trees
from onnxplain.kernels.ensemble import Mode, paths
from tests.helpers.tree_models import (
    brute_force,
    classic,
    deep,
    forest,
    interventional_game,
    model_of,
    node_of,
    path_game,
    rows,
    unified,
    with_sets,
)

INDICES = ("shapley", "banzhaf")
PLAYERS = {
    "each its own": None,
    "groups": np.array([0, 1, 0, 2, 2, 1]),
    "absent ones": np.array([4, 1, 1, 6, 2, 2]),
}


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


@pytest.mark.parametrize("columns", [5, 64])
def test_depth_64(rng: np.random.Generator, columns: int) -> None:
    ensemble = deep(rng, 64, columns)
    X, background = rng.normal(size=(30, columns)), rng.normal(size=(50, columns))
    covers = trees.count_covers(ensemble, background)
    exact, table = ensemble.exact(), ensemble.columns(X)
    mean = trees.predict(exact, ensemble.columns(background)).mean(0)
    owners = np.arange(columns, dtype=np.int32)
    for index in INDICES:
        found = trees.interventional(ensemble, X, background, index=index)
        expected = tree_numpy.values(ensemble, table, ensemble.columns(background), owners, columns, index, 1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        by_covers = trees.path_dependent(ensemble, X, covers=covers, index=index)
        expected = tree_numpy.path_dependent(ensemble, table, covers, owners, columns, index, 1)
        np.testing.assert_allclose(by_covers, expected, rtol=0, atol=1e-12)
        if index == "shapley":
            for values in (found, by_covers):
                np.testing.assert_allclose(
                    values.sum(1), trees.predict(exact, table) - mean, rtol=0, atol=1e-9
                )


def test_too_many_players_on_a_path_are_refused(rng: np.random.Generator) -> None:
    if not has_core():
        pytest.skip("NumPy's definition has no limit")
    ensemble, X = deep(rng, 65, 65), np.zeros((2, 65))
    with pytest.raises(MethodError, match=r"'forest': a path asks for columns of more than 64 players; use"):
        trees.interventional(ensemble, X, X + 9.0)
    assert trees.interventional(ensemble, X, X + 9.0, np.arange(65) // 2).shape == (2, 33, 1)


@pytest.mark.parametrize("order", [1, 2])
def test_compiled_is_its_definition(rng: np.random.Generator, order: int) -> None:
    ensemble = forest(rng, columns=9, depth=8, trees=3, targets=3).as_sum()
    X, background = ensemble.columns(rows(rng, 40, 9)), ensemble.columns(rows(rng, 30, 9))
    owners = np.array([0, 1, 2, 3, 3, 4, 5, 6, 6], np.int32)
    covers = trees.count_covers(ensemble, background)
    np.testing.assert_array_equal(covers, tree_numpy.count(ensemble, background))
    np.testing.assert_array_equal(tree_dispatch.scores(ensemble, X), tree_numpy.scores(ensemble, X))
    for absent, game in ((background, tree_numpy.values), (covers, tree_numpy.path_dependent)):
        found = tree_dispatch.values(ensemble, X, absent, owners, 8, "shapley", order)
        np.testing.assert_allclose(
            found, game(ensemble, X, absent, owners, 8, "shapley", order), rtol=0, atol=1e-12
        )


GAMES = [(game, order) for game in ("background", "covers") for order in (1, 2)]


def compare_by_paths(rng: np.random.Generator, monkeypatch: Any, game: str, order: int, drawn: Any) -> None:
    """Hold the stages of the GPU, run on the CPU in the place of the GPU, to the kernel of the CPU."""
    core = tree_dispatch.core
    if core is None:
        pytest.skip("needs the compiled module")
    ensemble, columns = drawn[0].as_sum(), drawn[1]
    X, background = ensemble.columns(rows(rng, 70, columns)), ensemble.columns(rows(rng, 50, columns))
    absent = background if game == "background" else trees.count_covers(ensemble, background)
    owners = np.maximum(np.arange(columns, dtype=np.int32) - 1, 0)
    given = (ensemble, X, absent, owners, columns - 1)
    expected = [tree_dispatch.values(*given, index, order) for index in INDICES]
    calls: list[int] = []

    def stages(*arguments: Any) -> None:
        calls.append(1)
        core.tree_values_by_paths(*arguments)

    gpu = SimpleNamespace(
        built_with_cuda=True, cuda_device_count=lambda: 1, Trees=core.Trees,
        cuda=SimpleNamespace(tree_values=stages),
    )  # fmt: skip
    monkeypatch.setattr(tree_dispatch, "core", gpu)
    for index, told in zip(INDICES, expected, strict=True):
        found = tree_dispatch.values(*given, index, order, "cuda")
        np.testing.assert_allclose(found, told, rtol=0, atol=1e-13)
    assert len(calls) == 2


@pytest.mark.parametrize(("game", "order"), GAMES)
def test_path_by_path_with_an_entry_for_each_mask(
    rng: np.random.Generator, monkeypatch: Any, game: str, order: int
) -> None:
    drawn = forest(rng, targets=2, columns=8, depth=9, trees=4), 8
    compare_by_paths(rng, monkeypatch, game, order, drawn)


@pytest.mark.parametrize(("game", "order"), GAMES)
def test_path_by_path_with_an_entry_for_each_row(
    rng: np.random.Generator, monkeypatch: Any, game: str, order: int
) -> None:
    drawn = forest(rng, targets=2, columns=40, depth=13, trees=1), 40
    compare_by_paths(rng, monkeypatch, game, order, drawn)


@pytest.mark.parametrize(("game", "order"), GAMES)
def test_path_by_path_with_sets_of_members(
    rng: np.random.Generator, monkeypatch: Any, game: str, order: int
) -> None:
    ensemble = with_sets(rng)
    assert (ensemble.mode == Mode.MEMBER).any()
    compare_by_paths(rng, monkeypatch, game, order, (ensemble, 6))


def test_rows_do_not_depend_on_each_other(rng: np.random.Generator) -> None:
    ensemble = forest(rng, columns=9, depth=10, trees=5, covers=True)
    X, background = rows(rng, 90, 9), rows(rng, 30, 9)
    for call in (
        lambda X: trees.interventional(ensemble, X, background),
        lambda X: trees.path_dependent(ensemble, X),
        lambda X: trees.interactions(ensemble, X, background=background),
    ):
        np.testing.assert_array_equal(call(X), np.concatenate([call(x[None]) for x in X]))
