"""Consistency (Dasgupta et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.errors import MethodError
from onnxplain.metrics.base import Metric
from onnxplain.metrics.neighbours import look_inside
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["Consistency"]


@dataclass(frozen=True)
class Consistency(Metric):
    """Whether samples with the same explanation get the same prediction (Dasgupta et al. 2022).

    Of the other samples whose explanation is the same, the share that is predicted the same, which is the
    output's highest entry.  Explanations are made discrete first; in a batch of a few samples hardly two are
    the same unless they are made coarse, so give many.

    Parameters
    ----------
    discretise
        What of an explanation must be the same: ``"top_n_sign"``, which n features have the largest
        magnitudes, and their signs; ``"sign"``, all signs; ``"rank"``, the order of all attributions;
        ``"floating_points"``, all attributions rounded to n digits behind the point; ``"first_n_sign"``, the
        signs of the first n features, which is what Quantus computes by the name ``top_n_sign``.
    n
        See ``discretise``.  None: 2 digits, or 5 features (all where there are fewer).
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.  Without signs, ``"top_n_sign"`` is which features they are.

    Notes
    -----
    A sample whose explanation no other shares has no value; Quantus gives it 0.  ``extras["explanation"]``,
    (N,), tells by number which explanation each has, and ``extras["predicted"]`` what is predicted.
    """

    name: ClassVar[str] = "consistency"
    higher_is_better: ClassVar[bool | None] = True
    apart: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    discretise: Literal["top_n_sign", "sign", "rank", "floating_points", "first_n_sign"] = "top_n_sign"
    n: Count | None = None

    def measure(self, trial: Trial) -> Measured:
        """Compare all pairs of samples."""
        if np.prod(trial.posed.about.shape, dtype=np.int64) == 1:
            raise MethodError(
                f"consistency compares what is predicted, and '{trial.posed.question.output}' is a single "
                "score; name an output with an entry for each class (output=...)"
            )
        predicted = look_inside(trial, (), trial.features, np.arange(trial.n))[1]
        label = self.labels(trial.flat)
        alike = (label == label[:, None]) & ~np.eye(trial.n, dtype=bool)
        agreeing = (alike & (predicted == predicted[:, None])).sum(1)
        others = alike.sum(1)
        values = np.where(others > 0, agreeing / np.maximum(others, 1), np.nan)
        notes = unsaid(
            others == 0,
            "no other sample has the same explanation; make them coarser (a smaller n), or give more samples",
        )
        extras: dict[str, Array] = {"explanation": label, "predicted": predicted}
        return self.result(values, extras=extras, notes=notes)

    def labels(self, values: FloatArray) -> IntArray:
        """Return a number for each explanation, (n, D), the same for equal ones, int64 (n,)."""
        seen: dict[bytes, int] = {}
        rows = (row.tobytes() for row in self.discrete(values))
        return np.array([seen.setdefault(row, len(seen)) for row in rows], np.int64)

    def discrete(self, values: FloatArray) -> Array:
        """Return what of explanations must be the same, in rows."""
        signs = np.sign(values).astype(np.int8)
        if self.discretise == "sign":
            return signs
        if self.discretise == "rank":
            return np.asarray(np.argsort(-values, axis=1, kind="stable"))
        if self.discretise == "floating_points":
            rounded = values.round(2 if self.n is None else self.n)
            return np.asarray(np.where(rounded == 0, 0.0, rounded))  # -0 is 0
        count = min(5 if self.n is None else self.n, values.shape[1])
        if self.discretise == "first_n_sign":
            return np.asarray(signs[:, :count])
        first = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
        top: Array = np.zeros_like(signs)
        np.put_along_axis(top, first, np.take_along_axis(signs, first, axis=1), axis=1)
        return top
