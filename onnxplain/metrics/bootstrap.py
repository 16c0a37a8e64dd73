"""How surely a mean over samples is known."""

from __future__ import annotations

import numpy as np

from onnxplain._types import FloatArray

__all__ = ["bootstrap"]


def bootstrap(
    values: FloatArray, level: float = 0.95, *, n_resamples: int = 2000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of confidence intervals of means: the percentile bootstrap over samples.

    Parameters
    ----------
    values
        (n,) or (n, K), of two samples or more; the K quantities are drawn together.
    level
        Confidence.
    n_resamples
        How often samples are drawn anew, with replacement.
    seed
        Same seed, same interval.
    """
    n = len(values)
    generator = np.random.default_rng(seed)
    means = np.array([values[generator.integers(n, size=n)].mean(0) for _ in range(n_resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
