"""Consistency by plain loops over pairs of samples, and where it is known."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError, OptionError
from onnxplain.metrics import Consistency

WAYS = ("top_n_sign", "sign", "rank", "floating_points", "first_n_sign")


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp())


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(40, 5, seed=12)


def discrete(a: np.ndarray, way: str, n: int) -> tuple:
    """What two explanations must have in common, in words and numbers."""
    if way == "top_n_sign":
        chosen = sorted(range(len(a)), key=lambda k: (-abs(a[k]), k))[:n]
        return tuple(sorted((k, np.sign(a[k])) for k in chosen))
    if way == "rank":
        return tuple(sorted(range(len(a)), key=lambda k: (-a[k], k)))
    if way == "floating_points":
        return tuple(round(float(e), n) for e in a)
    return tuple(np.sign(a) if way == "sign" else np.sign(a[:n]))


@pytest.mark.parametrize("n", [1, 2, None])
@pytest.mark.parametrize("way", WAYS)
def test_consistency_is_its_formula(mlp, x, way, n) -> None:
    attributions = np.random.default_rng(1).choice([-2.04, -1, 0.1, 0.104, 3], (40, 5))
    predicted = mlp.predict(x)["y"].argmax(1)
    count = n or (2 if way == "floating_points" else 5)
    keys = [discrete(a, way, count) for a in attributions]
    expected = []
    for i in range(40):
        same = [j for j in range(40) if j != i and keys[j] == keys[i]]
        right = sum(predicted[j] == predicted[i] for j in same)
        expected.append(right / len(same) if same else np.nan)
    found = Consistency(way, n)(mlp, x, 0, attributions=attributions)
    np.testing.assert_array_equal(found.values, expected)
    np.testing.assert_array_equal(found.extras["predicted"], predicted)
    alone = int(np.isnan(expected).sum())
    assert bool(found.notes) == (alone > 0)
    assert all(f"of {alone} of 40 samples" in note for note in found.notes)


@pytest.mark.parametrize("way", WAYS)
def test_what_tells_classes_apart_is_consistent_and_what_is_constant_is_not(mlp, x, way) -> None:
    predicted = mlp.predict(x)["y"].argmax(1)
    perfect = np.eye(5)[predicted] * 2 - 1
    np.testing.assert_array_equal(Consistency(way, 4)(mlp, x, 0, attributions=perfect).values, 1)
    constant = Consistency(way)(mlp, x, 0, attributions=np.ones((40, 5))).values
    share = np.bincount(predicted)[predicted]
    np.testing.assert_allclose(constant, (share - 1) / 39)
    if way == "floating_points":
        random = np.random.default_rng(0).standard_normal((40, 5))
        assert np.isnan(Consistency(way)(mlp, x, 0, attributions=random).values).all()


def test_magnitudes_tell_nothing_by_their_signs(mlp, x) -> None:
    signed = mlp(x, 1, "input_x_gradient")
    constant = Consistency("first_n_sign")(mlp, x, 0, attributions=np.ones((40, 5))).values
    magnitudes = Consistency("first_n_sign", absolute=True)(mlp, x, 0, attributions=signed).values
    np.testing.assert_array_equal(magnitudes, constant)
    assert not np.array_equal(Consistency("first_n_sign")(mlp, x, 0, attributions=signed).values, constant)


def test_minus_zero_is_zero(mlp, x) -> None:
    some = np.where(np.arange(40)[:, None] % 2, -0.001, 0.001) * np.ones(5)
    found = Consistency("floating_points")(mlp, x, 0, attributions=some)
    assert set(found.extras["explanation"]) == {0}


def test_methods_tokens_and_single_scores(models) -> None:
    tokens = ox.Explainer(models.tokens())
    ids = np.arange(12).reshape(4, 3) % 5
    inputs = {"ids": ids, "mask": np.ones_like(ids)}
    assert Consistency("sign")(tokens, inputs, 0, "input_x_gradient").values.shape == (4,)
    with pytest.raises(MethodError, match="'y' is a single score; name an output"):
        Consistency()(ox.Explainer(models.single()), models.random(3, 4), None, "saliency")
    with pytest.raises(OptionError, match="'top_n_sign', 'sign'"):
        Consistency("signs")
