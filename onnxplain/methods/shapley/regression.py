"""Shapley values by regression over coalitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.errors import MethodError
from onnxplain.methods.shapley.game import SOLVED, Game, few
from onnxplain.methods.shapley.permutation import MORE
from onnxplain.options import Count, Positive, Seed
from onnxplain.runtime.plans.games.every import Every
from onnxplain.runtime.plans.games.regression import Regression
from onnxplain.runtime.plans.games.settle import Design
from onnxplain.runtime.plans.games.strata import Sampling, Strata

__all__ = ["KernelShap", "RegressionAdjustedShapley"]


@dataclass(frozen=True)
class _Sampled(Game):
    cost: ClassVar[str] = "n_samples forwards, times background rows"
    folds: ClassVar[int] = 1
    n_samples: Count | None = None
    sampling: Sampling = "leverage"
    tol: Positive | None = None
    seed: Seed = 0

    @property
    def stop(self) -> float | None:
        """The tolerance."""
        return self.tol

    def design(self, players: int) -> Design:
        """Draw pairs of coalitions, or take all of them where that is no more.

        Raises
        ------
        DataInputError
            If there are too many players for a regression.
        MethodError
            If there are fewer pairs than players.
        """
        few(players, SOLVED, self.name, "solves for all players at once")
        samples = self.n_samples or (2 * players + 2048) * (1 if self.tol is None else MORE)
        every = Every(players) if players <= 20 else None
        if every is not None and (every.count(players) <= samples if self.tol is None else players < 3):
            return every
        if samples < 2 * players:
            raise MethodError(
                f"{self.name} cannot tell {players} players apart by n_samples={samples} coalitions; give at "
                f"least {2 * players}, put elements together (feature_mask=), or use permutation_shapley"
            )
        first = None if self.tol is None else players + 64
        strata = Strata(players, samples // 2, self.sampling, self.seed, first)
        return Regression(strata.remembered(), self.folds)


@dataclass(frozen=True)
class KernelShap(_Sampled):
    """KernelSHAP (Lundberg & Lee 2017): Shapley values as weighted least squares over coalitions.

    ``A = argmin sum_S k(S) (v(S) - v({}) - sum_{i in S} A_i)^2`` with ``sum A_i = v(N) - v({})`` and
    Shapley's kernel ``k(S) = (P - 1) / (C(P, |S|) |S| (P - |S|))``.  Coalitions come in pairs with their
    complements (Covert & Lee 2021), without replacement and so many of each size; sizes of few coalitions are
    exhausted.
    Exact for additive scores, for those whose players interact in pairs only, and where ``n_samples`` is
    enough for all coalitions.

    Parameters
    ----------
    link
        ``"identity"`` or ``"logit"``, see :class:`ExactShapley`.
    n_samples
        Coalitions.  None: ``2 P + 2048`` for P players, and with ``tol`` at most 100 times as many.
    sampling
        ``"leverage"``: all sizes equally often (Musco & Witter 2025); ``"kernel"``: as the kernel weighs
        them.
    tol, seed
        As of :class:`ShapleyValueSampling`; so are ``extras``.  Standard errors come from the pairs'
        residuals, spread within sizes; there are none where values are exact.

    Raises
    ------
    DataInputError
        If there are more than 4,096 players.
    MethodError
        If ``n_samples`` is less than twice the number of players.
    NotFiniteError
        If a score has no log-odds.
    """

    name: ClassVar[str] = "kernel_shap"


@dataclass(frozen=True)
class RegressionAdjustedShapley(_Sampled):
    """Regression-adjusted sampling (Witter et al. 2025): a linear fit, and an unbiased estimate of its error.

    ``A = A(f) + sum_S w(S) (v(S) - f(S)) / chance(S)``: f is the fit of :class:`KernelShap` to four fifths of
    the pairs, A(f) its own Shapley values, and the sum, over the other fifth, an unbiased estimate of the
    Shapley values of what it misses; the mean over the five ways to cut.  Unlike KernelSHAP's, the mean over
    seeds is the Shapley value itself.

    Parameters
    ----------
    link, n_samples, sampling, tol, seed
        As of :class:`KernelShap`; so is what is raised.
    """

    name: ClassVar[str] = "regression_adjusted_shapley"
    folds: ClassVar[int] = 5
