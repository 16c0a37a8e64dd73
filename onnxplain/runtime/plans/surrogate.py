"""Surrogates: weighted linear models, fitted to the scores of points by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.coalitions import Draw, Played, Solved, Solver
from onnxplain.runtime.plans.links import LINKS, Link

__all__ = ["Cosine", "Fit", "Halves", "Regression", "Surrogate", "Uniform", "fit", "refuse_many"]

#: Numbers that a fit may hold at once.
_LARGEST = 1 << 27

#: How a surrogate is fitted.
Regression = Literal["ridge", "lasso"]


@dataclass(frozen=True)
class Seeded:
    """Coalitions that a seed decides.

    Attributes
    ----------
    samples
        How many.
    seed
        Same seed, same bits.
    """

    samples: int
    seed: int

    def count(self, players: int) -> int:
        """Return how many there are."""
        return self.samples


class Halves(Seeded):
    """Coalitions in which each player stays with probability 1/2, by itself."""

    def kept(self, players: int, which: slice) -> Array:
        """Return some of them, bool (m, players)."""
        return np.asarray(uniforms(self.seed, 0, which.start, which.stop - which.start, players) < 0.5)


class Uniform(Seeded):
    """Coalitions of which first the size is drawn, each from 0 to P - 1 alike, and then who stays."""

    def kept(self, players: int, which: slice) -> Array:
        """Return some of them, bool (m, players)."""
        drawn = uniforms(self.seed, 0, which.start, which.stop - which.start, players + 1)
        ranks = drawn[:, 1:].argsort(1, kind="stable").argsort(1, kind="stable")
        return np.asarray(ranks < np.floor(drawn[:, :1] * players))


@dataclass(frozen=True)
class Cosine:
    """Weighs coalitions by their cosine distance d from that of all: ``exp(-d^2 / (2 width^2))``.

    ``d = 1 - sqrt(kept / players)``.

    Attributes
    ----------
    width
        Of the kernel.
    """

    width: float

    def __call__(self, kept: Array, players: int) -> FloatArray:
        """Return weights, (K,), from how many stay, (K,), of all players."""
        distance = 1 - np.sqrt(kept / max(players, 1))
        return np.asarray(np.exp(-(distance**2) / (2 * self.width**2)))


@dataclass(frozen=True, eq=False)
class Fit:
    """Linear models of P variables, one for each of n rows.

    Attributes
    ----------
    slopes
        (n, P).
    intercept
        (n,).
    errors
        (n, P): standard errors of the slopes, whatever the spread at each point (the sandwich estimator);
        None of a lasso.
    r2
        (n,): the part of the scores' weighted variance that the model explains; 1 where there is none.
    """

    slopes: FloatArray
    intercept: FloatArray
    errors: FloatArray | None
    r2: FloatArray


@dataclass(frozen=True)
class Surrogate(Solver):
    """Fits a linear model to the scores of coalitions, near ones weighing more.

    Attributes
    ----------
    draw
        Which coalitions.
    weigh
        From the number of those who stay, (K,), and of all players, to weights, (K,).
    regression, alpha, num_features
        See :func:`fit`.
    link
        What is made of the scores before.
    """

    draw: Draw
    weigh: Callable[[Array, int], FloatArray]
    regression: Regression = "ridge"
    alpha: float = 1.0
    num_features: int | None = None
    link: Link = "identity"

    def linear(self, played: Played) -> Solved:
        """Fit, of scores whose link was taken already."""
        return replace(self, link="identity").solve(played)

    def solve(self, played: Played) -> Solved:
        """Fit; the row itself counts as a coalition of all."""
        count = played.players
        refuse_many(len(played.scores), count)
        drawn = self.draw.kept(count, slice(0, len(played.scores)))
        kept = np.concatenate([np.ones((1, count), bool), drawn]).astype(np.float64)
        scores = LINKS[self.link](np.concatenate([played.full[None], played.scores]))
        made = fit(
            kept, scores, self.weigh(kept.sum(1), count), self.regression, self.alpha, self.num_features
        )
        extras = {"intercept": made.intercept, "r2": made.r2}
        return Solved(made.slopes, made.errors, extras=extras)


def refuse_many(samples: int, players: int) -> None:
    """Refuse a fit that would not fit the memory.

    Raises
    ------
    MethodError
        If there are too many numbers.
    """
    if samples * players > _LARGEST:
        raise MethodError(
            f"a linear model of {players} players would be fitted to {samples} samples, too many numbers for "
            "the memory; join players by feature_mask= ('segments', 'tokens', 'columns', or integers), or "
            "draw fewer samples"
        )


def fit(
    variables: FloatArray,
    scores: FloatArray,
    weights: FloatArray,
    regression: Regression = "ridge",
    alpha: float = 1.0,
    num_features: int | None = None,
) -> Fit:
    """Fit weighted linear models with intercepts.

    Parameters
    ----------
    variables
        (K, P).
    scores
        (K, n): of each point, for n rows.
    weights
        (K,).
    regression
        ``"ridge"`` adds ``alpha |slopes|^2`` to the weighted sum of squares (0: least squares); ``"lasso"``
        adds ``alpha |slopes|_1`` to half the weighted mean of squares.
    alpha
        See ``regression``.
    num_features
        Fit anew with only so many variables: those of the largest slopes of the first fit.  None: all.
    """
    slopes, intercept = _fitted(variables, scores, weights, regression, alpha)
    errors = None if regression == "lasso" else _errors(variables, scores, weights, slopes, intercept, alpha)
    if num_features is not None and num_features < variables.shape[1]:
        chosen = np.argsort(-np.abs(slopes), axis=1, kind="stable")[:, :num_features]
        slopes, few = np.zeros_like(slopes), None if errors is None else np.zeros_like(errors)
        for row, own in enumerate(chosen):
            made = fit(variables[:, own], scores[:, row : row + 1], weights, regression, alpha)
            slopes[row, own], intercept[row] = made.slopes[0], made.intercept[0]
            if few is not None and made.errors is not None:
                few[row, own] = made.errors[0]
        errors = few
    left = scores - variables @ slopes.T - intercept
    mean = np.average(scores, axis=0, weights=weights)
    spread = weights @ (scores - mean) ** 2
    unexplained = weights @ left**2
    r2 = np.where(spread > 0, 1 - unexplained / np.where(spread > 0, spread, 1), 1.0)
    return Fit(slopes, intercept, errors, r2)


def _fitted(
    variables: FloatArray, scores: FloatArray, weights: FloatArray, regression: Regression, alpha: float
) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import Lasso, LinearRegression, Ridge

    if regression == "lasso":
        model = Lasso(alpha=alpha) if alpha else LinearRegression()
    else:
        model = Ridge(alpha=alpha, solver="cholesky") if alpha else LinearRegression()
    made = model.fit(variables, scores, sample_weight=weights)
    rows, count = scores.shape[1], variables.shape[1]
    return np.array(made.coef_).reshape(rows, count), np.array(made.intercept_).reshape(rows)


def _errors(
    variables: FloatArray,
    scores: FloatArray,
    weights: FloatArray,
    slopes: FloatArray,
    intercept: FloatArray,
    alpha: float,
) -> FloatArray:
    """Return standard errors: of ``slopes = H scores``, ``sqrt(sum_k H_ik^2 r_k^2)``."""
    samples = len(variables)
    root = np.sqrt(weights)[:, None]
    centred = (variables - np.average(variables, axis=0, weights=weights)) * root
    wide = centred.shape[1] > samples
    sizes, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    small = sizes <= 1e-12 * sizes.max(initial=0.0)
    shrunk = np.where(small, 0.0, 1 / np.where(small, 1.0, sizes + alpha))
    inverse = (vectors * shrunk) @ vectors.T
    hat = (centred.T @ inverse if wide else inverse @ centred.T) * root.T
    free = samples - 1 - float((np.where(small, 0.0, sizes) * shrunk).sum())
    residual = scores - variables @ slopes.T - intercept
    if free <= 0:
        return np.full(slopes.shape, np.nan)
    return np.asarray(np.sqrt((hat**2 @ residual**2) * samples / free).T)
