"""The standard errors of SmoothGrad and its relatives are those of what is returned."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime.plans.moments import Moments

KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")


@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_is_the_spread_over_seeds(kind, n, models) -> None:
    """y = x^3 / 3: skew gradients, of which no two kinds have the same error."""
    model = models.make(
        "m (float[N, 2] x) => (float[N, 2] y) { a = Mul(x, x) b = Mul(a, x) y = Div(b, c) }", c=3.0
    )
    explainer, x = ox.Explainer(model), np.array([[0.7, 2.0]], np.float32)
    rounds = [
        explainer(x, 1, ox.SmoothGrad(n_samples=n, stdevs=0.4, nt_type=kind, seed=seed))
        for seed in range(250)
    ]
    values = np.array([r.values[0, 1] for r in rounds], np.float64)
    errors = np.array([r.extras["standard_error"]["x"][0, 1] for r in rounds])
    typical = np.sqrt((errors**2).mean())
    assert typical == pytest.approx(values.std(ddof=1), rel=0.35)
    assert not rounds[0].extras["standard_error"]["x"][0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_tells_no_error(kind, models) -> None:
    method = ox.SmoothGrad(n_samples=1, stdevs=0.4, nt_type=kind)
    found = ox.explain(models.tanh(), models.random(2, 5), 0, method=method)
    assert np.isnan(found.extras["standard_error"]["x"]).all()
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_moments_are_those_of_all_samples_at_once(offset) -> None:
    samples = np.random.default_rng(0).gamma(2.0, size=(37, 3, 2)) + offset
    moments = Moments(4)
    for block in np.array_split(samples, [1, 5, 20]):
        moments.add(block)
    centred = samples - samples.mean(0)
    np.testing.assert_allclose(moments.mean, samples.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.variance, (centred**2).mean(0), rtol=1e-9)
    np.testing.assert_allclose(moments.error_of_mean, samples.std(0, ddof=1) / np.sqrt(37), rtol=1e-9)
    s2, mu4 = samples.var(0, ddof=1), (centred**4).mean(0)
    np.testing.assert_allclose(
        moments.error_of_variance, np.sqrt((mu4 - 34 / 36 * s2**2) / 37) * 36 / 37, rtol=1e-6
    )
