"""Points and weights of Gauss and Legendre, beside NumPy's, mpmath's and what they must integrate exactly."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.methods.quadrature import gauss_legendre

SIZES = (*range(1, 40), 63, 64, 99, 100, 199, 200, 300, 301, 499, 500)

# n, which point, point, weight: by mpmath, 40 digits
KNOWN = (
    (64, 0, -0.99930504173577213946, 0.0017832807216964329473),
    (64, 7, -0.92956917213193957582, 0.017951715775697343085),
    (64, 16, -0.68523631305423324256, 0.035472213256882383811),
    (500, 0, -0.99998845675221295665, 0.000029623644485482837152),
    (500, 7, -0.99881651678494779779, 0.00030522629426718179039),
    (500, 125, -0.70432696769244192824, 0.0044558203892112806588),
    (501, 0, -0.9999885027410988876, 0.000029505622606229047552),
    (501, 7, -0.99882123092472006917, 0.00030401073284557183906),
    (501, 125, -0.70544338321208796094, 0.0044399854851235980611),
)


def test_beside_numpy() -> None:
    """NumPy's own weights nearest the ends lose digits, 2e-14 at n = 500; the others agree to 1e-14."""
    for n in SIZES:
        points, weights = gauss_legendre(n)
        expected, expected_weights = np.polynomial.legendre.leggauss(n)
        np.testing.assert_allclose(points, expected, rtol=0, atol=1e-15)
        ends = 3 if n > 300 else 0
        inner = slice(ends, n - ends)
        np.testing.assert_allclose(weights[inner], expected_weights[inner], rtol=0, atol=1e-14)


@pytest.mark.parametrize(("n", "k", "point", "weight"), KNOWN)
def test_beside_mpmath(n, k, point, weight) -> None:
    points, weights = gauss_legendre(n)
    assert abs(points[k] - point) < 2e-16
    assert abs(points[-1 - k] + point) < 2e-16
    assert abs(weights[k] - weight) < 2e-16
    assert weights[k] == weights[-1 - k]


@pytest.mark.parametrize("n", [1, 2, 3, 50, 500, 501, 600, 1001, 4000])
def test_polynomials_are_integrated_exactly(n) -> None:
    """All degrees up to 2 n - 1, in powers and in Legendre polynomials."""
    points, weights = gauss_legendre(n)
    assert (np.diff(points) > 0).all()
    assert (weights > 0).all()
    assert abs(weights.sum() - 2) < 1e-14
    for degree in {0, 1, 2, 3, n // 2 * 2, 2 * n - 2, 2 * n - 1, n - 1} & set(range(2 * n)):
        exact = 0 if degree % 2 else 2 / (degree + 1)
        assert abs(weights @ points**degree - exact) < 5e-15
    for degree in {1, 2, n, 2 * n - 1} & set(range(1, 2 * n)):
        assert abs(weights @ np.polynomial.legendre.Legendre.basis(degree)(points)) < 1e-12


@pytest.mark.parametrize("n", [10_000, 99_999])
def test_many_points(n) -> None:
    points, weights = gauss_legendre(n)
    assert (np.diff(points) > 0).all()
    for wave in (1, 100.5, 0.9 * n, 1.9 * n):
        assert abs(weights @ np.cos(wave * points) - 2 * np.sin(wave) / wave) < 1e-12
    assert abs(weights @ np.cos(2.1 * n * points) - 2 * np.sin(2.1 * n) / (2.1 * n)) > 1e-6, "no further"


def test_points_are_computed_once_and_cannot_be_spoiled(models) -> None:
    gauss_legendre.cache_clear()
    for _ in range(3):
        found = ox.explain(models.tanh(), models.random(1, 5), 1, method="integrated_gradients", n_steps=3000)
    assert gauss_legendre.cache_info().misses == 1
    assert found.relative_delta.max() < 1e-5
    with pytest.raises(ValueError, match="read-only"):
        gauss_legendre(3000)[0][0] = 1
