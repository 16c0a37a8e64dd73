"""How far methods agree: against plain loops, and where they must agree or contradict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import spearmanr

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, TargetError
from onnxplain.evaluation.comparison import AGREEMENTS, agreements


@dataclass(frozen=True)
class Minus(ox.Method):
    """Minus input times gradient."""

    name: ClassVar[str] = "minus"

    def attribute(self, problem: Any) -> ox.Found:
        found = ox.InputXGradient().attribute(problem)
        return ox.Found({k: -v for k, v in found.values.items()})


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(5, 2, 8, 8, seed=11)


def test_measures_are_their_formulas(models) -> None:
    first, second = models.random(3, 20, seed=1).astype(float), models.random(3, 20, seed=2).astype(float)
    first[:, :4], second[:, 2:6] = 0, 0
    found = agreements([first, None, second], 0.25)
    for row in range(3):
        a, b = first[row], second[row]
        told = [k for k in range(20) if a[k] or b[k]]
        expected = {
            "spearman": spearmanr(a, b).statistic,
            "cosine": sum(a * b) / np.sqrt(sum(a * a) * sum(b * b)),
            "overlap": len(set(np.argsort(-abs(a))[:5]) & set(np.argsort(-abs(b))[:5])) / 5,
            "signs": sum(np.sign(a[k]) == np.sign(b[k]) for k in told) / len(told),
        }
        for kind, value in expected.items():
            assert found[kind][row, 0, 2] == pytest.approx(value), kind
            assert found[kind][row, 2, 0] == found[kind][row, 0, 2]
            assert found[kind][row, 0, 0] == pytest.approx(1)
            assert np.isnan(found[kind][row, 1]).all()


def test_the_same_agrees_and_its_opposite_does_not(conv, x) -> None:
    methods = {"one": "input_x_gradient", "two": ox.InputXGradient(), "minus": Minus(), "trees": "tree_shap"}
    found = ox.compare(conv, x, 1, methods, top=0.2)
    for kind in AGREEMENTS:
        means = found.mean(kind)
        assert found.values[kind].shape == (5, 4, 4)
        assert means[0, 1] == pytest.approx(1)
        assert means[0, 2] == pytest.approx({"overlap": 1, "signs": 0}.get(kind, -1))
        assert np.isnan(means[3]).all()
    assert found.errors["trees"].startswith("MethodError: the model has no trees")
    assert repr(found) == "Comparison(4 methods x 5 samples, 1 failed)"
    assert "failed: trees" in str(found)
    assert "-1.00" in found.table("cosine")
    assert len(found.shown["one"]) == 5


def test_blocks_change_nothing(conv, x) -> None:
    methods = ["saliency", "lrp", ("integrated_gradients", {"baselines": x[::-1].copy(), "n_steps": 4})]
    runs = [ox.compare(conv, x, [0, 1, 2, 3, 0], methods, block_size=k) for k in (None, 2)]
    for kind in AGREEMENTS:
        np.testing.assert_allclose(runs[0].values[kind], runs[1].values[kind], rtol=1e-3, atol=1e-3)


def test_channels_are_summed_up(conv, x) -> None:
    found = ox.compare(conv, x, 1, ["input_x_gradient", "lrp"])
    maps = [conv(x, 1, k).values.sum(1).reshape(5, -1) for k in ("input_x_gradient", "lrp")]
    expected = [spearmanr(a, b).statistic for a, b in zip(*maps, strict=True)]
    np.testing.assert_allclose(found.values["spearman"][:, 0, 1], expected, atol=1e-6)


def test_pictures(conv, x) -> None:
    found = ox.compare(conv, x, 1, ["saliency", "lrp"])
    assert len(found.plot(title="all").axes) >= 4
    for kind in AGREEMENTS:
        found.plot(kind)
    assert len(found.plot("maps").axes) == 3 * 5
    with pytest.raises(MethodError, match="kind is 'pie'"):
        found.plot("pie")
    with pytest.raises(MethodError, match="kind is 'all'"):
        found.mean("all")


def test_what_does_not_fit_is_told(conv, x, models) -> None:
    with pytest.raises(MethodError, match="none of the methods can work here"):
        ox.compare(conv, x, 1, ["tree_shap"])
    with pytest.raises(TargetError):
        ox.compare(conv, x, 9, ["saliency"])
    with pytest.raises(MethodError, match="top is 2"):
        ox.compare(conv, x, 1, ["saliency"], top=2)
    found = ox.compare(conv, x, 1, ["saliency", ("layer_activation", {"layer": "r1"})])
    assert "the method explains r1 (8, 8), and the first one x (8, 8)" in found.errors["layer_activation"]
    tokens = ox.Explainer(models.tokens())
    given = {"ids": np.array([[1, 2, 3, 4, 5, 6]] * 2), "mask": np.ones((2, 6), np.int64)}
    assert not ox.compare(tokens, given, 0, ["saliency", "feature_ablation"]).errors
    with pytest.raises(DataInputError):
        ox.compare(conv, x[:, :1], 1, ["saliency"])
