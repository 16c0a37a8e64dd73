"""What formulas of relevance rules are written in, as NumPy."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-6


def pos(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


def neg(a: np.ndarray) -> np.ndarray:
    return np.minimum(a, 0)


def stab(z: np.ndarray, epsilon: float = EPSILON) -> np.ndarray:
    """z + eps sign z, where 0 counts as positive."""
    return z + epsilon * np.where(z < 0, -1.0, 1.0)


def shared(contributions: np.ndarray, total: np.ndarray, R: np.ndarray) -> np.ndarray:
    """sum_k c_kj / stab(total_k) R_k, for contributions (out, in)."""
    return contributions.T @ (R / stab(total))


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """Relative to the largest number expected, which must not be nothing."""
    scale = float(np.abs(expected).max())
    assert scale > 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def mlp_by_hand(models, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return w, b, v, c of the zoo's dense network, its hidden sums and their ReLU, in float64."""
    w, v, b, c = (
        models.random(*shape, seed=k).astype(np.float64)
        for k, shape in enumerate([(5, 8), (8, 3), (8,), (3,)], 1)
    )
    a = x.astype(np.float64) @ w + b
    return w, b, v, c, a, pos(a)
