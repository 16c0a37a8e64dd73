"""Shapley values by random orders of players."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from onnxplain.methods.shapley.game import Game
from onnxplain.options import Count, Positive, Seed
from onnxplain.runtime.plans.games.walks import Walks, shuffled

__all__ = ["PermutationShapley", "ShapleyValueSampling"]

#: With a tolerance, at most so many times the usual budget.
MORE = 100


@dataclass(frozen=True)
class ShapleyValueSampling(Game):
    """Shapley values by sampling (Castro et al. 2009): what players add as they come in random orders.

    ``A_i = mean_k v(players up to i in order k) - v(those before i)``; the values of each order sum to the
    whole difference, so their mean does.

    Parameters
    ----------
    link
        ``"identity"`` or ``"logit"``, see :class:`ExactShapley`.
    n_samples
        Orders.  None: 25, and with ``tol`` at most 2,500.
    antithetic
        Whether every second order is the last one backwards (an odd number is rounded up): the errors of
        both often cancel.
    tol
        Stop for a row once the standard errors of all players are at most this part of the largest magnitude
        of its values; a result's notes say where ``n_samples`` came first.  At least 16 samples are drawn.
    seed
        Same seed, same bits.

    Notes
    -----
    ``extras["standard_error"]`` holds the standard error of each value, NaN after a single sample (an order,
    or a pair of them); ``extras["n_samples"]``, with ``tol``, how many coalitions each row was asked for.

    Raises
    ------
    NotFiniteError
        If a score has no log-odds.
    """

    name: ClassVar[str] = "shapley_value_sampling"
    cost: ClassVar[str] = "n_samples x players forwards, times background rows"
    n_samples: Count | None = None
    antithetic: bool = False
    tol: Positive | None = None
    seed: Seed = 0

    @property
    def stop(self) -> float | None:
        """The tolerance."""
        return self.tol

    def design(self, players: int) -> Walks:
        """Walk along random orders."""
        orders = self.n_samples or (25 if self.tol is None else 25 * MORE)
        samples = -(-orders // 2) if self.antithetic else orders
        order = partial(shuffled, players, self.seed)
        return Walks(players, order, samples, self.antithetic, self.tol is not None)


@dataclass(frozen=True)
class PermutationShapley(Game):
    """Shapley values by random orders, each walked forward and backward (Mitchell et al. 2022).

    What :class:`ShapleyValueSampling` finds with ``antithetic=True``, counted as shap's PermutationExplainer
    counts.  Exact where players interact in pairs at most.

    Parameters
    ----------
    link
        ``"identity"`` or ``"logit"``, see :class:`ExactShapley`.
    npermutations
        Orders, walked twice each.  None: 10, and with ``tol`` at most 1,000.
    tol, seed
        As of :class:`ShapleyValueSampling`; so are ``extras``.

    Raises
    ------
    NotFiniteError
        If a score has no log-odds.
    """

    name: ClassVar[str] = "permutation_shapley"
    cost: ClassVar[str] = "2 x npermutations x players forwards, times background rows"
    npermutations: Count | None = None
    tol: Positive | None = None
    seed: Seed = 0

    @property
    def stop(self) -> float | None:
        """The tolerance."""
        return self.tol

    def design(self, players: int) -> Walks:
        """Walk along random orders, and back."""
        orders = self.npermutations or (10 if self.tol is None else 10 * MORE)
        return Walks(players, partial(shuffled, players, self.seed), orders, True, self.tol is not None)
