"""Surrogates of tables: linear models of what columns are, not of who is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.drawn_rows import Column
from onnxplain.runtime.plans.links import LINKS, Link
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.plans.surrogate import Fit, Regression, fit
from onnxplain.runtime.problem import Problem

__all__ = ["Cut", "TableFit"]

#: What a linear model is made of: bins of quantiles, or standardised numbers.
Cut = Literal["quartile", "decile", "gaussian"]
_PIECES = {"quartile": 4, "decile": 10}


@dataclass(frozen=True, eq=False)
class TableFit:
    """Fits, for each row, a linear model to the scores of drawn rows, near ones weighing more.

    Attributes
    ----------
    columns, drawn
        What the rows are drawn from, and what was drawn, (K,) by column.
    cut
        The variables: whether a value lies in the same bin as the row's own (texts and flags: whether it is
        the same); or the number itself in standard deviations from the mean.
    width
        Of the kernel ``exp(-d^2 / 2 width^2)``, d the Euclidean distance of variables; None:
        ``0.75 sqrt(P)``.
    regression, alpha, num_features
        See :func:`~onnxplain.runtime.plans.surrogate.fit`.
    link
        What is made of the scores before.
    """

    columns: tuple[Column, ...]
    drawn: tuple[Array, ...]
    cut: Cut
    width: float | None
    regression: Regression
    alpha: float
    num_features: int | None
    link: Link = "identity"
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return True: the row itself is a point of its fit."""
        return True

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Fitting:
        """Begin with no scores."""
        return _Fitting(self, problem, np.zeros((count, problem.n)))

    def fitted(self, row: list[Array], score: float, scores: FloatArray) -> tuple[Fit, FloatArray]:
        """Fit one row; returns the bounds of its bins, (P, 2), too: NaN where there are none."""
        variables = np.empty((1 + len(scores), len(self.columns)))
        bounds = np.full((len(self.columns), 2), np.nan)
        for k, (column, drawn, own) in enumerate(zip(self.columns, self.drawn, row, strict=True)):
            if not column.ordered:
                variables[0, k], variables[1:, k] = 1, drawn == own
            elif self.cut == "gaussian":
                rows = column.rows.astype(np.float64)
                spread = rows.std() or 1.0
                variables[0, k], variables[1:, k] = (
                    (own - rows.mean()) / spread,
                    (drawn - rows.mean()) / spread,
                )
            else:
                edges = _edges(column.rows, _PIECES[self.cut])
                bins = np.searchsorted(edges, drawn)
                at = int(np.searchsorted(edges, own))
                variables[0, k], variables[1:, k] = 1, bins == at
                closed = np.concatenate([[-np.inf], edges, [np.inf]])
                bounds[k] = closed[at], closed[at + 1]
        distance = np.square(variables - variables[:1]).sum(1)
        width = 0.75 * np.sqrt(len(self.columns)) if self.width is None else self.width
        weights = np.exp(-distance / (2 * width**2))
        wide = np.concatenate([[score], scores])[:, None]
        return fit(variables, wide, weights, self.regression, self.alpha, self.num_features), bounds


@dataclass
class _Fitting:
    way: TableFit
    problem: Problem
    scores: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.scores[steps] = answers.score

    def found(self) -> Found:
        features, way = self.problem.features, self.way
        of = LINKS[way.link]
        own, scores = of(self.problem.scores().astype(np.float64)), of(self.scores)
        flat = {k: v.reshape(len(v), -1) for k, v in features.items()}
        made = [
            way.fitted([flat[c.name][row, c.place] for c in way.columns], own[row], scores[:, row])
            for row in range(self.problem.n)
        ]

        def by_feature(numbers: FloatArray) -> dict[str, Array]:
            """From (n, P) to (n, ...) by feature."""
            sizes = np.cumsum([v.shape[1] for v in flat.values()])[:-1]
            parts = np.split(numbers, sizes, axis=1)
            return {
                k: p.reshape(v.shape).astype(float_like(v))
                for (k, v), p in zip(features.items(), parts, strict=True)
            }

        fits, bounds = [f for f, _ in made], np.stack([b for _, b in made])
        errors = None
        if all(f.errors is not None for f in fits):
            errors = by_feature(np.concatenate([np.asarray(f.errors) for f in fits]))
        extras: dict[str, object] = {
            "intercept": np.concatenate([f.intercept for f in fits]),
            "r2": np.concatenate([f.r2 for f in fits]),
        }
        if way.cut != "gaussian":
            extras |= {"above": by_feature(bounds[..., 0]), "at_most": by_feature(bounds[..., 1])}
        return Found(by_feature(np.concatenate([f.slopes for f in fits])), errors=errors, extras=extras)


def _edges(rows: Array, pieces: int) -> FloatArray:
    """Return the inner edges of bins that hold equally many rows; equal ones are one."""
    return np.unique(np.percentile(rows.astype(np.float64), np.linspace(0, 100, pieces + 1)[1:-1]))
