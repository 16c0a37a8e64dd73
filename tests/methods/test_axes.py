"""Samples and channels lie where the graph has them, not where their lengths suggest."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import facts, made

import onnxplain as ox

ROWS = [n for n, kind in ox.METHODS.items() if kind().reads_rows() and not facts(n).only and facts(n).apart]


@pytest.mark.parametrize("name", ROWS)
def test_samples_may_lie_last_without_baselines(name, models) -> None:
    explainer = ox.Explainer(models.batch_last())
    x = {"x": models.random(3, 5, seed=5), "aside": models.random(5, 3, seed=6)}
    found = explainer(x, 1, made(name))
    zeros = {"x": np.zeros((1, 5)), "aside": np.zeros((5, 1))}
    for key, values in explainer(x, 1, made(name), baselines=zeros).arrays.items():
        np.testing.assert_array_equal(found.arrays[key], values)
    wrong = {"x": np.zeros((1, 5)), "aside": np.zeros((4, 2))}
    with pytest.raises(ox.errors.DataInputError, match=r"shape \(4, 2\), but .* of shape \(5, M\)"):
        explainer(x, 1, made(name), baselines=wrong)


@pytest.fixture(scope="module")
def conv(models):
    """Its values r2 and p1 are (6, 4, 4) per sample: as wide as images with an alpha channel are deep."""
    return ox.Explainer(models.conv())


def test_a_unit_is_a_channel(conv, models) -> None:
    x = models.random(2, 2, 8, 8, seed=5)
    r2 = conv(x, None, "layer_activation", layer="r2").values
    for k in range(6):
        np.testing.assert_allclose(
            conv(x, ox.Unit(k), "saliency", output="r2").score, r2[:, k].mean((1, 2)), rtol=1e-5
        )
    with pytest.raises(ox.errors.TargetError, match=r"with 6 units along axis 0"):
        conv(x, ox.Unit(6), "saliency", output="r2")


@pytest.mark.parametrize("name", ["blur_ig", "meaningful_perturbation", "xrai"])
def test_space_inside_is_told_by_the_graph(name, conv, models) -> None:
    x = models.random(2, 2, 8, 8, seed=5)
    own = {"baselines": ox.Blur(1.0, axes=(2, 3))} if name == "meaningful_perturbation" else {}
    told = conv(x, 1, made(name, axes=(2, 3)), wrt="p1", **own)
    own = {"baselines": ox.Blur(1.0)} if own else {}
    np.testing.assert_array_equal(conv(x, 1, made(name), wrt="p1", **own).values, told.values)


def test_channels_last_need_no_square(models) -> None:
    model = models.make(
        """m (float[N, 8, 6, 2] x) => (float[N, 3] y) {
          t = Transpose<perm = [0, 3, 1, 2]>(x) c = Conv(t, w) r = Relu(c)
          g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, v)
        }""",
        w=models.random(4, 2, 3, 3, seed=1), v=models.random(4, 3, seed=2),
    )  # fmt: skip
    x, explainer = models.random(2, 8, 6, 2, seed=3), ox.Explainer(model)
    for blur in (ox.Blur, ox.Mean):
        told, found = (explainer(x, 1, "idgi", baselines=b) for b in (blur(axes=(1, 2)), blur()))
        np.testing.assert_array_equal(found.values, told.values)


def test_regions_read_baselines_as_the_inner_method(conv, models) -> None:
    x, starts = models.random(3, 2, 8, 8, seed=5), models.random(3, 2, 8, 8, seed=6)
    inner = ox.IntegratedGradients(n_steps=5)
    method = made("xrai", method=inner)
    together = conv(x, 1, method, baselines=starts).values
    alone = [conv(x[k : k + 1], 1, method, baselines=starts[k]).values[0] for k in range(3)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-6)
    expected = made("xrai", method=ox.ExpectedGradients(n_samples=3))
    rows = conv(x, 1, expected, baselines=ox.Background(starts)).values
    np.testing.assert_array_equal(conv(x, 1, expected, baselines=starts).values, rows)


@pytest.mark.parametrize("name", ["eigen_cam", "visual_backprop", "layer_activation"])
@pytest.mark.parametrize("smooth", [False, True])
def test_where_no_score_matters_none_is_named(name, smooth, conv, models) -> None:
    x = models.random(2, 2, 8, 8, seed=5)
    method = made(name, layer="r2") if name == "layer_activation" else made(name)
    method = ox.SmoothGrad(method, n_samples=2) if smooth else method
    found = conv(x, None, method)
    for target in (0, 3):
        np.testing.assert_array_equal(conv(x, target, method).values, found.values)
