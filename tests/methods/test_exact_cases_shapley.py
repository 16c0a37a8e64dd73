"""Shapley values that are known exactly, and standard errors that tell how well others are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from kinds import made

import onnxplain as ox
from onnxplain.runtime.plans.games.every import PAIRS, Every
from onnxplain.runtime.plans.games.regression import Regression
from onnxplain.runtime.plans.games.strata import Strata, _distinct
from onnxplain.runtime.plans.games.walks import Walks, shuffled

SAMPLED = ("shapley_value_sampling", "permutation_shapley", "kernel_shap", "regression_adjusted_shapley")
EXACT = ("exact_shapley", "kernel_shap", "regression_adjusted_shapley", "shapley_interactions")


@pytest.fixture(scope="module")
def multilayer(models) -> ox.Explainer:
    return ox.Explainer(
        models.make(
            """m (float[N, 3] x) => (float[N, 2] y) {
              a = Gemm<transB = 1>(x, w, b) h = Relu(a) y = Gemm<transB = 1>(h, v, c)
            }""",
            w=np.ones((4, 3), np.float32), b=[-10.0, 1, 1, 1], v=np.ones((2, 4), np.float32), c=[-1.0, 1],
        )
    )  # fmt: skip


X = np.array([[20.0, 50.0, 30.0]], np.float32)


@pytest.mark.parametrize("name", EXACT)
def test_multilayer(name, multilayer) -> None:
    found = multilayer(X, 0, name)
    np.testing.assert_allclose(found.values, [[230 / 3, 590 / 3, 350 / 3]], rtol=1e-5)
    np.testing.assert_allclose(found.reference, [390], rtol=1e-6)
    groups = multilayer(X, 0, name, feature_mask=np.array([0, 0, 1]))
    np.testing.assert_allclose(groups.values, [[275, 275, 115]], rtol=1e-5)
    np.testing.assert_allclose(groups.delta, [0], atol=1e-4)
    assert not found.extras["standard_error"]["x"].any()


def test_multilayer_by_walks(multilayer) -> None:
    """Two of the three orders of a pair with its reverse are enough for pairs; sampling comes near."""
    found = multilayer(X, 0, ox.ShapleyValueSampling(n_samples=6000))
    error = found.extras["standard_error"]["x"]
    assert (np.abs(found.values - [[230 / 3, 590 / 3, 350 / 3]]) < 4 * error).all()
    assert (error < 0.2).all()
    assert (error > 0).all()
    groups = multilayer(X, 0, "partition_shap", hierarchy=((0, 1), 2))
    np.testing.assert_allclose(groups.values, [[80 - 2.5, 195 + 2.5, 115]], rtol=1e-5)


def additive(models):
    """A sum of functions of single inputs, and a constant."""
    body = "a = Mul(x, x) b = Sin(x) c = Add(a, b) d = MatMul(c, w) y = Add(d, one)"
    return models.make(f"m (float[N, 14] x) => (float[N, 2] y) {{ {body} }}", w=models.random(14, 2), one=1.0)


@pytest.mark.parametrize("name", [*SAMPLED, "partition_shap"])
def test_additive_games_are_exact(name, models) -> None:
    """Whatever is drawn, and without error; against rows of a background, too."""
    x, rows = models.random(3, 14, seed=1), models.random(4, 14, seed=2)
    options = {} if name in SAMPLED[:2] else {"n_samples": 60}
    found = ox.explain(additive(models), x, 1, method=name, baselines=rows, **options)
    w = models.random(14, 2)[:, 1]
    known = w * (x**2 + np.sin(x) - (rows**2 + np.sin(rows)).mean(0))
    np.testing.assert_allclose(found.values, known, atol=2e-5)
    np.testing.assert_allclose(found.extras["standard_error"]["x"], 0, atol=2e-5)


def brute(v, players: int) -> np.ndarray:
    """Average over all orders."""
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        for k, player in enumerate(order):
            values[player] += v(order[: k + 1]) - v(order[:k])
    return values / math.factorial(players)


def test_one_hot_block_is_one_player(models) -> None:
    """A category's columns come and go together, against every row of the background."""
    model = models.mlp()
    x, rows = models.random(2, 5, seed=2), models.random(3, 5, seed=3)
    x[:, 2:] = np.eye(3)[[0, 2]]
    rows[:, 2:] = np.eye(3)[[1, 1, 0]]
    blocks = [[0], [1], [2, 3, 4]]
    explainer = ox.Explainer(model)

    def score(z: np.ndarray) -> np.ndarray:
        return explainer.predict(z)["y"][:, 1].astype(np.float64)

    def value(kept) -> float:
        z = rows.copy()
        columns = [c for k in kept for c in blocks[k]]
        z[:, columns] = x[0, columns]
        return float(score(z).mean())

    known = brute(value, 3)[[0, 1, 2, 2, 2]]
    mask = np.array([0, 1, 2, 2, 2])
    for name in (*EXACT, "partition_shap"):
        options = {"hierarchy": (0, 1, 2)} if name == "partition_shap" else {}
        found = explainer(x, 1, name, baselines=rows, feature_mask=mask, **options)
        np.testing.assert_allclose(found.values[0], known, atol=1e-5)
        np.testing.assert_allclose(found.reference[0], score(x)[0] - score(rows).mean(), rtol=1e-5)


def test_log_odds_are_additive_where_they_are_the_game(models) -> None:
    """Of a probability, whose log-odds are linear."""
    w = models.random(1, 6)
    model = models.make(
        "m (float[N, 6] x) => (float[N, 1] y) { a = MatMul(x, w) y = Sigmoid(a) }", w=w.T.copy()
    )
    x = models.random(2, 6, seed=4)
    for name in ("exact_shapley", "permutation_shapley", "kernel_shap", "partition_shap"):
        found = ox.explain(model, x, None, method=name, link="logit")
        np.testing.assert_allclose(found.values, w * x, atol=1e-4)
    with pytest.raises(ox.errors.NotFiniteError, match=r"logit.*probabilities.*through_softmax=True"):
        ox.explain(models.mlp(), 9 * models.random(1, 5), 1, method="exact_shapley", link="logit")


def test_owen_values_of_a_coalition_structure(multilayer, models) -> None:
    """All orders in which parts stay together, for any hierarchy; walks come near."""
    x = models.random(1, 5, seed=2)
    explainer = ox.Explainer(models.mlp())

    def value(kept) -> float:
        z = np.zeros_like(x)
        z[:, list(kept)] = x[:, list(kept)]
        return float(explainer.predict(z)["y"][0, 1])

    hierarchy = ((0, (3, 1)), (2, 4))
    orders = [
        o
        for o in itertools.permutations(range(5))
        if all(
            max(o.index(k) for k in part) - min(o.index(k) for k in part) == len(part) - 1
            for part in ([0, 1, 3], [1, 3], [2, 4])
        )
    ]
    known = np.zeros(5)
    for order in orders:
        for k, player in enumerate(order):
            known[player] += (value(order[: k + 1]) - value(order[:k])) / len(orders)
    found = explainer(x, 1, "partition_shap", hierarchy=hierarchy)
    np.testing.assert_allclose(found.values[0], known, atol=1e-5)
    assert not found.extras["standard_error"]["x"].any()
    drawn = explainer(x, 1, "partition_shap", hierarchy=hierarchy, n_samples=8, tol=1e-9)
    assert drawn.extras["n_samples"].tolist() == [8]
    assert np.abs(drawn.values.sum() - known.sum()) < 1e-5


def test_hierarchies_that_are_found(models) -> None:
    """By a background's correlations; by places, along the longest axis, in each sample's own segments."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50, 3)).astype(np.float32)[:, [0, 1, 0, 2, 1]]
    rows += 0.1 * rng.normal(size=rows.shape).astype(np.float32)
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5, seed=2)
    found = explainer(x, 1, "partition_shap", baselines=rows, hierarchy="correlation")
    pairs = ((0, 2), (1, 4), 3)
    trees = [((pairs[a], pairs[b]), pairs[3 - a - b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    alike = [explainer(x, 1, ox.PartitionShap(hierarchy=t), baselines=rows).values for t in trees]
    assert min(float(np.abs(a - found.values).max()) for a in alike) < 1e-5
    linkage = np.array([[0, 2, 0.1, 2], [1, 4, 0.2, 2], [5, 6, 0.8, 4], [3, 7, 0.9, 5]])
    given = explainer(x, 1, ox.PartitionShap(hierarchy=linkage), baselines=rows)
    np.testing.assert_allclose(given.values, alike[0], atol=1e-5)
    with pytest.raises(ox.errors.DataInputError, match=r"correlation.*3 rows of a background"):
        explainer(x, 1, "partition_shap", hierarchy="correlation")
    for wrong in ((0, 1), ((0, 1), (2, 5), (3, 4)), linkage[:3], linkage[::-1]):
        with pytest.raises(ox.errors.MethodError, match=r"hierarchy|linkage"):
            explainer(x, 1, ox.PartitionShap(hierarchy=wrong))
    own = np.array([[3, 0, 1, 2, 4], [4, 2, 1, 0, 3]])  # the same places by other numbers
    plain = explainer(x, 1, "partition_shap").values
    np.testing.assert_allclose(explainer(x, 1, "partition_shap", feature_mask=own).values, plain, atol=1e-6)


@pytest.mark.parametrize("index", PAIRS)
def test_interactions(index, models) -> None:
    """By their definitions: discrete derivatives, and the weighted fit of a game of pairs."""
    players, rng = 5, np.random.default_rng(3)
    game = rng.normal(size=32)
    member = (np.arange(32)[:, None] >> np.arange(players) & 1).astype(bool)
    solved = Every(players, index).solve(game[1:-1, None], game[:1], game[31:])
    pairs, at = solved.extras["interactions"][0], lambda kept: game[sum(1 << k for k in kept)]
    np.testing.assert_allclose(solved.values[0], brute(at, players))
    np.testing.assert_allclose(pairs, pairs.T)
    np.testing.assert_allclose(pairs.sum(1), solved.values[0])
    if index == "fsii":
        columns = [*range(players), *itertools.combinations(range(players), 2)]
        design = np.stack([member[:, [c] if isinstance(c, int) else list(c)].all(1) for c in columns], 1)
        size = member.sum(1)
        weight = np.array([1e7 if s in (0, 5) else 1 / (math.comb(5, s) * s * (5 - s)) for s in size])
        root = np.sqrt(weight)[:, None]
        fit = np.linalg.lstsq(root * design, root[:, 0] * (game - game[0]), rcond=None)[0]
        np.testing.assert_allclose(np.diag(pairs), fit[:5], atol=1e-5)
        np.testing.assert_allclose(
            [2 * pairs[i, j] for i, j in itertools.combinations(range(5), 2)], fit[5:], atol=1e-5
        )
        return
    for i, j in itertools.combinations(range(players), 2):
        rest = [k for k in range(players) if k not in (i, j)]
        total = 0.0
        for size in range(4):
            weight = 2 / (5 * math.comb(4, size)) if index == "stii" else 1 / (4 * math.comb(3, size))
            for kept in itertools.combinations(rest, size):
                total += weight * (at((*kept, i, j)) - at((*kept, i)) - at((*kept, j)) + at(kept))
        np.testing.assert_allclose(2 * pairs[i, j], total)


PLAYERS = 8
MEMBER = (np.arange(2**PLAYERS)[:, None] >> np.arange(PLAYERS) & 1).astype(np.float64)


def steep(sets: np.ndarray) -> np.ndarray:
    """A game that is not additive: products, a threshold and saturation."""
    rng = np.random.default_rng(5)
    w, pairs, mixed = rng.normal(size=8), rng.normal(size=(8, 8)), rng.normal(size=(8, 4))
    s = sets.astype(np.float64)
    return s @ w + np.einsum("ki,ij,kj->k", s, pairs, s) / 2 + np.tanh(s @ mixed).sum(1) + (s.sum(1) > 4)


GAME = steep(MEMBER)
TRUTH = Every(PLAYERS).solve(GAME[1:-1, None], GAME[:1], GAME[-1:]).values[0]


def designs(budget: int, seed: int):
    """The designs of all sampled methods, for about so many coalitions."""
    orders = budget // (PLAYERS - 1)
    yield "walks", Walks(PLAYERS, lambda k: shuffled(PLAYERS, seed, k), orders, False)
    yield "both ways", Walks(PLAYERS, lambda k: shuffled(PLAYERS, seed, k), orders // 2, True)
    yield "leverage", Regression(Strata(PLAYERS, budget // 2, "leverage", seed))
    yield "kernel", Regression(Strata(PLAYERS, budget // 2, "kernel", seed))
    yield "adjusted", Regression(Strata(PLAYERS, budget // 2, "leverage", seed), folds=5)


def estimates(budget: int, seeds: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By design: errors made, and standard errors told, (seeds, players) each."""
    made: dict[str, list] = {}
    for seed in range(seeds):
        for name, design in designs(budget, seed):
            draw = design.draw(0)
            scores = steep(draw.kept(PLAYERS, slice(0, draw.count(PLAYERS))))[:, None]
            solved = design.solve(scores, GAME[:1], GAME[-1:])
            np.testing.assert_allclose(solved.values.sum(), GAME[-1] - GAME[0])
            made.setdefault(name, []).append((solved.values[0] - TRUTH, solved.errors[0]))
    return {k: tuple(np.array(v).swapaxes(0, 1)) for k, v in made.items()}


def test_standard_errors_cover_the_truth() -> None:
    """Intervals of 95 %, of 200 seeds, over all players; and nothing is biased."""
    for name, (off, error) in estimates(140, 200).items():
        covered = np.abs(off) <= 1.96 * error
        assert 0.90 <= covered.mean() <= 0.98, (name, covered.mean())
        bias = np.abs(off.mean(0)) / (off.std(0) / np.sqrt(len(off)))
        assert bias.max() < 4, (name, bias)


def test_errors_fall_with_the_root_of_the_budget() -> None:
    """By four times the orders, half the error; regressions, which draw without replacement, gain more."""
    few, many = estimates(56, 40), estimates(224, 40)
    for name in few:
        ratio = np.sqrt((few[name][0] ** 2).mean() / (many[name][0] ** 2).mean())
        assert 1.6 < ratio < (2.5 if name in ("walks", "both ways") else 20), (name, ratio)
    assert (many["leverage"][0] ** 2).mean() < (many["walks"][0] ** 2).mean() / 4


def test_pairs_are_drawn_once_and_small_sizes_first() -> None:
    for players, pairs in ((7, 30), (12, 200), (30, 900), (300, 700)):
        strata = Strata(players, pairs, "leverage", 3, first=pairs // 3)
        drawn = [strata.drawn(k) for k in range(len(strata.counts))]
        sets = np.concatenate([d[0] for d in drawn])
        both = np.concatenate([sets, ~sets])
        assert len(np.unique(both, axis=0)) == 2 * len(sets)
        assert abs(len(sets) - pairs) <= players // 2
        assert (strata.counts[-1] >= np.minimum(2, strata.population)).all()
    exhausted = Strata(12, 200, "kernel", 3)
    assert exhausted.counts[0][0] == 12
    assert exhausted.counts[0].sum() == 200
    every = Strata(7, 63, "leverage", 3).drawn(0)[0]
    assert len(np.unique(every, axis=0)) == 63


@pytest.mark.parametrize("name", ["shapley_value_sampling", "permutation_shapley", "kernel_shap"])
def test_who_brings_the_baseline_gets_nothing(name, models) -> None:
    """Exactly 0, however few coalitions are drawn; and nobody else's share is the noisier for it."""
    x = models.random(3, 5)
    x[0, [1, 3]] = 0
    x[2] = 0
    found = ox.explain(models.mlp(), x, 1, made(name))
    assert not found.values[0, [1, 3]].any()
    assert found.values[0, [0, 2, 4]].all()
    assert not found.values[2].any()
    assert np.abs(found.delta).max() < 1e-5
    alone = ox.explain(models.mlp(), x[:1], 1, made(name))
    np.testing.assert_array_equal(alone.values[0], found.values[0])


@pytest.mark.parametrize("population", [0, 1, 2, 7, 100])
def test_numbers_come_in_one_order_however_many_are_drawn(population) -> None:
    order = _distinct((0, 3), population, population)
    assert sorted(order) == list(range(population))
    for count in range(population):
        np.testing.assert_array_equal(_distinct((0, 3), population, count), order[:count])


def test_every_order_of_numbers_is_as_likely() -> None:
    found = np.stack([_distinct((seed,), 5, 5) for seed in range(4000)])
    for place in found.T:
        np.testing.assert_allclose(np.bincount(place) / 4000, 1 / 5, atol=0.03)


@pytest.mark.parametrize("samples", [16, 20, 24, 32])
@pytest.mark.parametrize("name", ["kernel_shap", "regression_adjusted_shapley"])
def test_small_budgets_leave_no_fit_undone(name, samples, models) -> None:
    """As few coalitions as are taken: some draws do not tell all players apart."""
    explainer, x = ox.Explainer(models.linear(models.random(1, 8))), models.random(1, 8, seed=1)
    for seed in range(100):
        found = explainer(x, 0, name, n_samples=samples, seed=seed)
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_an_order_is_the_least_that_is_asked(models) -> None:
    explainer, x = ox.Explainer(models.linear(models.random(1, 8))), models.random(1, 8, seed=1)
    with pytest.raises(ox.errors.MethodError, match=r"14 coalitions.*not n_samples=13; give at least 14"):
        explainer(x, 0, "partition_shap", n_samples=13)
    explainer(x, 0, "partition_shap", n_samples=14)
