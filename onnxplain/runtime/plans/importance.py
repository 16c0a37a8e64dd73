"""What the score gains from point to point of a path, shared out in the direction of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.problem import Problem

__all__ = ["Importance"]


@dataclass(frozen=True)
class Importance:
    """``sum_k (s_k+1 - s_k) g_k^2 / |g_k|^2`` over the points of a path, with their scores s and gradients g.

    Where a gradient is 0, the next point's stands for it.
    """

    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False: the first and the last point are the ends."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Importance:
        """Begin with zeros."""
        totals = {k: np.zeros(v.shape, np.float64) for k, v in problem.features.items()}
        return _Importance(problem, totals, checked)


@dataclass
class _Importance:
    problem: Problem
    totals: Arrays
    checked: bool
    first: FloatArray | None = None
    score: FloatArray | None = None
    shares: Arrays | None = None
    flat: Array | None = None

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        for k, score in enumerate(answers.score.astype(np.float64)):
            squares = {name: v[k].astype(np.float64) ** 2 for name, v in answers.values.items()}
            whole = np.asarray(sum(v.reshape(len(score), -1).sum(1) for v in squares.values()))
            over = np.where(whole > 0, whole, 1)
            shares = {name: (v.T / over).T for name, v in squares.items()}
            if self.score is None or self.shares is None or self.flat is None:
                self.first = score
            else:
                for name, total in self.totals.items():
                    mine = np.where(_wide(self.flat, total), shares[name], self.shares[name])
                    total += _wide(score - self.score, total) * mine
            self.score, self.shares, self.flat = score, shares, whole == 0

    def found(self) -> Found:
        assert self.score is not None
        assert self.first is not None
        values = {k: v.astype(self.problem.features[k].dtype) for k, v in self.totals.items()}
        return Found(values, self.score - self.first if self.checked else None)


def _wide(numbers: Array, like: Array) -> Array:
    """Return one number for each row in the shape of rows."""
    return numbers.reshape(-1, *(1,) * (like.ndim - 1))
