"""Concepts by their examples: toys on which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox

DIM = 6


@pytest.fixture(scope="module")
def explainer(models) -> ox.Explainer:
    """y0 grows with h0, falls with h1, and grows or falls with h2 as the sign of h3 has it; h = x."""
    up = np.zeros((DIM, 1), np.float32)
    up[:2, 0] = 1, -1
    pick = np.eye(DIM, dtype=np.float32)
    return ox.Explainer(
        models.make(
            f"""m (float[N, {DIM}] x) => (float[N, 2] y) {{
              h = MatMul(x, one)
              line = MatMul(h, up)
              a = MatMul(h, second)
              b = MatMul(h, third)
              both = Mul(a, b)
              y0 = Add(line, both)
              y1 = Neg(y0)
              y = Concat<axis = 1>(y0, y1)
            }}""",
            one=pick, up=up, second=pick[:, 2:3], third=pick[:, 3:4],
        )
    )  # fmt: skip


def examples(models, column: int | None = None, n: int = 30, seed: int = 0) -> np.ndarray:
    x = models.random(n, DIM, seed=seed)
    if column is not None:
        x[:, column] += 4
    return x


def run(explainer, models, **options):
    given = {
        "concepts": {
            "up": examples(models, 0, seed=1), "down": examples(models, 1, seed=2),
            "either": examples(models, 2, seed=3),
        },
        "random": examples(models, n=200, seed=4), "layer": "h", "n_runs": 30,
    }  # fmt: skip
    return ox.tcav(explainer, models.random(60, DIM, seed=5, scale=0.3), 0, **{**given, **options})


def test_what_the_score_grows_with(explainer, models) -> None:
    found = run(explainer, models)
    up, down, either = (found.row(name) for name in ("up", "down", "either"))
    assert up.score > 0.95
    assert down.score < 0.05
    assert 0.2 < either.score < 0.8
    assert up.significant
    assert down.significant
    assert either.p_value > 1e-3
    assert min(up.accuracy, down.accuracy, either.accuracy) > 0.85
    assert up.magnitude > 0.8
    assert down.magnitude < -0.8
    assert 0.1 < up.random < 0.9
    turned = ox.tcav(
        explainer, models.random(60, DIM, seed=5, scale=0.3), 1, layer="h", n_runs=30,
        concepts={"up": examples(models, 0, seed=1)}, random=examples(models, n=200, seed=4),
    )  # fmt: skip
    assert turned.row("up").score == pytest.approx(1 - up.score)


def test_sensitivities_are_directional_derivatives(explainer, models) -> None:
    found = run(explainer, models)
    x, step = models.random(60, DIM, seed=5, scale=0.3).astype(np.float64), 1e-2
    for concept in ("up", "either"):
        for k in (0, 9):
            v = found.vectors["h", concept][k]
            assert np.linalg.norm(v) == pytest.approx(1)
            ahead, behind = (
                explainer.predict((x + s * v).astype(np.float32))["y"][:, 0] for s in (step, -step)
            )
            np.testing.assert_allclose(
                found.sensitivities["h", concept][k], (ahead - behind) / (2 * step), rtol=1e-2, atol=1e-3
            )
        shares = (found.sensitivities["h", concept] > 0).mean(1)
        np.testing.assert_array_equal(found.scores["h", concept], shares)
    assert np.argmax(found.vectors["h", "up"].mean(0)) == 0


def test_p_values_are_welchs_times_the_number_of_tests(explainer, models) -> None:
    from scipy.stats import t

    found = run(explainer, models, layer=["h", "a"])
    assert len(found.rows) == 6
    for (layer, concept), p in found.p_values.items():
        own, null = found.scores[layer, concept], found.random_scores[layer]
        u, v = own.var(ddof=1) / 30, null.var(ddof=1) / 30
        freedom = (u + v) ** 2 / ((u**2 + v**2) / 29)  # Welch and Satterthwaite
        alone = 2 * t.sf(abs(own.mean() - null.mean()) / np.sqrt(u + v), freedom)
        assert p == pytest.approx(min(1, 6 * alone))
    row = found.row("either", "a")
    assert row.layer == "a"
    with pytest.raises(KeyError, match="'nothing' at h"):
        found.row("nothing", "h")


def test_same_seed_same_bits_whatever_the_block_size(explainer, models) -> None:
    first = run(explainer, models)
    again = run(explainer, models, internal_batch_size=7)
    other = run(explainer, models, seed=1)
    assert first.rows == again.rows
    for key, vectors in first.vectors.items():
        np.testing.assert_array_equal(vectors, again.vectors[key])
        assert not np.array_equal(vectors, other.vectors[key])


def test_random_sets_of_ones_own(explainer, models) -> None:
    sets = [examples(models, seed=20 + k) for k in range(5)]
    found = run(explainer, models, random=sets)
    assert found.scores["h", "up"].shape == found.random_scores["h"].shape == (5,)
    assert found.row("up").score > 0.95


def test_other_classifiers(explainer, models) -> None:
    from sklearn.linear_model import RidgeClassifier, SGDClassifier
    from sklearn.tree import DecisionTreeClassifier

    for made in (SGDClassifier(alpha=0.01), RidgeClassifier()):
        assert run(explainer, models, classifier=made).row("up").score > 0.9
    for wrong in (DecisionTreeClassifier(), SGDClassifier, "svm"):
        with pytest.raises(ox.errors.MethodError, match="classifier"):
            run(explainer, models, classifier=wrong)


def test_layers_of_any_shape_and_place(models) -> None:
    model = models.make(
        """m (float[N, 3, 6, 6] x) => (float[N, 2] y) {
          c = Conv(x, w) r = Relu(c)
          t = Transpose<perm = [1, 2, 3, 0]>(r) u = Transpose<perm = [3, 0, 1, 2]>(t)
          g = GlobalAveragePool(u) f = Flatten(g) y = MatMul(f, v)
        }""",
        w=models.random(4, 3, 3, 3), v=models.random(4, 2, seed=1),
    )  # fmt: skip
    red = models.random(12, 3, 6, 6, seed=2)
    red[:, 0] += 3
    found = ox.tcav(
        model, models.random(5, 3, 6, 6, seed=4), 1, layer=["r", "t"], concepts={"red": red},
        random=models.random(40, 3, 6, 6, seed=3), n_runs=4,
    )  # fmt: skip
    assert found.vectors["r", "red"].shape == (4, 64)
    np.testing.assert_allclose(found.vectors["r", "red"], found.vectors["t", "red"], atol=1e-3)
    assert found.scores["r", "red"].tolist() == found.scores["t", "red"].tolist()


def test_tables_and_pictures(explainer, models) -> None:
    found = run(explainer, models)
    head, *lines = str(found).splitlines()
    assert head.split() == ["layer", "concept", "TCAV", "+-", "random", "magnitude", "accuracy", "p"]
    assert len(lines) == 3
    assert lines[0].startswith("h      up")
    assert lines[0].endswith("*")
    figure = found.plot(title="Which concepts count")
    assert len(figure.axes[0].patches) == 3
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["up", "down", "either"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"concepts": {}}, ox.errors.DataInputError, "there are no concepts"),
        ({"concepts": np.ones((3, DIM))}, ox.errors.DataInputError, "examples by name"),
        ({"concepts": {"up": np.ones((0, DIM))}}, ox.errors.DataInputError, "concept 'up' is empty"),
        ({"concepts": {"up": np.ones((1, DIM))}}, ox.errors.DataInputError, "'up' holds 1 example; give"),
        ({"concepts": {"up": np.ones((5, 2))}}, ox.errors.DataInputError, "must have shape"),
        ({"random": None}, ox.errors.DataInputError, "one class"),
        ({"random": np.ones((4, DIM))}, ox.errors.DataInputError, "random holds 4 examples"),
        ({"random": [np.ones((4, DIM))] * 2}, ox.errors.DataInputError, "list of 2 sets"),
        ({"layer": "hh"}, ox.errors.DataInputError, "did you mean 'h'"),
        ({"layer": []}, ox.errors.DataInputError, "name a value"),
        ({"n_runs": 1}, ox.errors.MethodError, "n_runs is 1"),
        ({"alpha": 2}, ox.errors.MethodError, "alpha is 2"),
    ],
)
def test_mistakes_are_named(options, error, match, explainer, models) -> None:
    with pytest.raises(error, match=match):
        run(explainer, models, **options)


def test_examples_of_other_sizes(models) -> None:
    model = models.make(
        "m (float[N, 3, H, W] x) => (float[N, 3] y) { r = Relu(x) g = GlobalAveragePool(r) y = Flatten(g) }"
    )
    with pytest.raises(ox.errors.DataInputError, match=r"'r' makes 75 numbers.*'red', and 48 of an input"):
        ox.tcav(
            model, models.random(4, 3, 4, 4), 0, layer="r", concepts={"red": models.random(5, 3, 5, 5)},
            random=models.random(9, 3, 4, 4),
        )  # fmt: skip
