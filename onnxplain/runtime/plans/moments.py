"""Means, variances and their standard errors of samples that come in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.kernels import moments as kernels
from onnxplain.kernels.device_array import on_host, zeros

__all__ = ["Moments"]


class Moments:
    """Sums of the powers of what samples differ from the first one, by element.

    Differences from one of the samples keep the digits that a large mean would swallow.

    Parameters
    ----------
    order
        The highest power: 2 for means and variances, 4 for the error of a variance.
    squared
        Whether the moments are those of the samples' squares.
    """

    def __init__(self, order: int, *, squared: bool = False) -> None:
        self.order = order
        self.n = 0
        self._squared = squared
        self._first: Any = None  # as it is, float64
        self._sums: Any = None

    def add(self, samples: Array) -> None:
        """Add samples, (m, ...); what is summed is where these are."""
        if not self.n:
            self._sums = zeros((self.order, *samples.shape[1:]), samples)
            self._first = kernels.centred(samples[:1]).reshape(samples.shape[1:])
        kernels.add_powers(self._sums, self._first, samples, squared=self._squared)
        self.n += len(samples)

    def fetch(self) -> None:
        """Bring what was summed to the host."""
        self._first, self._sums = on_host(self._first), on_host(self._sums)

    @property
    def _origin(self) -> FloatArray:
        """What samples, or their squares, are counted from."""
        return np.asarray(self._first**2 if self._squared else self._first)

    @property
    def mean(self) -> FloatArray:
        """The mean, ``m``."""
        return np.asarray(self._origin + self._sums[0] / self.n)

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
