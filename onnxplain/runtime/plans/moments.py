"""Means, variances and their standard errors of samples that come in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array, FloatArray

__all__ = ["Moments"]


class Moments:
    """Sums of the powers of what samples differ from the first one, by element.

    Differences from one of the samples keep the digits that a large mean would swallow.

    Parameters
    ----------
    order
        The highest power: 2 for means and variances, 4 for the error of a variance.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self.n = 0
        self._first: Any = None
        self._sums: list[FloatArray] = []

    def add(self, samples: Array) -> None:
        """Add samples, (m, ...)."""
        block = samples.astype(np.float64)
        if not self.n:
            self._first = block[0].copy()
            self._sums = [np.zeros_like(self._first) for _ in range(self.order)]
        block -= self._first
        power = block.copy()
        for total in self._sums:
            total += power.sum(0)
            power *= block
        self.n += len(samples)

    @property
    def mean(self) -> FloatArray:
        """The mean, ``m``."""
        return np.asarray(self._first + self._sums[0] / self.n)

    @property
    def variance(self) -> FloatArray:
        """``mean (a - m)^2``, as large as the samples' own spread: not corrected for its bias."""
        shift = self._sums[0] / self.n
        return np.asarray(np.maximum(self._sums[1] / self.n - shift**2, 0))

    @property
    def error_of_mean(self) -> FloatArray:
        """The standard error of the mean, ``s / sqrt(n)`` with the unbiased s; NaN of one sample."""
        if self.n < 2:
            return np.full_like(self._first, np.nan)
        return np.asarray(np.sqrt(self.variance / (self.n - 1)))

    @property
    def error_of_variance(self) -> FloatArray:
        """The standard error of :attr:`variance`; NaN of one sample.

        The unbiased variance ``s^2`` of n independent samples has the variance
        ``(mu4 - s^4 (n - 3) / (n - 1)) / n``, with mu4 the fourth central moment, whatever their
        distribution; ours is ``(n - 1) / n`` times as large.
        """
        if self.n < 2:
            return np.full_like(self._first, np.nan)
        n = self.n
        one, two, three, four = (total / n for total in self._sums)
        fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
        unbiased = self.variance * n / (n - 1)
        spread = np.maximum(fourth - unbiased**2 * (n - 3) / (n - 1), 0) / n
        return np.asarray(np.sqrt(spread) * (n - 1) / n)
