"""Sensitivity indices of the score under masks: Sobol's, and those of Hilbert-Schmidt independence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from onnxplain._types import Arrays
from onnxplain.backward.asks import Scores
from onnxplain.errors import MethodError
from onnxplain.features.players import Players, tiled
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed
from onnxplain.runtime.plans.designs import Binary, Design, Designed, Measured, Replicas
from onnxplain.runtime.plans.masks import refuse_mixing
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["HSICIndices", "SobolIndices"]


@dataclass(frozen=True)
class SobolIndices(Method):
    """Total Sobol indices (Fel et al. 2021): the share of the score's variance that i has part in.

    ``T_i = E[Var(S | all but m_i)] / Var(S)``, with S the score at ``m x + (1 - m) b`` and each cell's m even
    between 0 and 1; by Jansen's estimate ``sum_k (S(A_k) - S(A_k with B's i))^2 / (2 N Var(S(A)))`` over the
    rows of a scrambled Sobol sequence (A, B).  Never negative; they sum to 1 if cells do not act together,
    and to more if they do.

    Parameters
    ----------
    n_samples
        Rows N, a power of 2.
    grid_size
        Cells along each axis of space, channels together; an axis that is no longer has one for each place.
        Each cell is a player; ``feature_mask`` takes their place.
    seed
        Same seed, same bits.

    Notes
    -----
    The standard error, in ``extras["standard_error"]``, is that of independent rows: the sequence's own is
    smaller.

    Raises
    ------
    DataInputError
        If an input is not made of floats.
    """

    name: ClassVar[str] = "sobol_indices"
    cost: ClassVar[str] = "n_samples forwards for each player, and n_samples"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    n_samples: Count = 32
    grid_size: Count = 8
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_uneven(self, self.n_samples)

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players | None]:
        """Ask at all points of the design."""
        refuse_mixing(features, "use hsic_indices, where they stay or leave as a whole")
        return _planned(Replicas(self.n_samples, self.seed), self.grid_size, players, features)

    def attribute(self, problem: Problem) -> Found:
        """Ask at all points of the design."""
        refuse_mixing(problem.features, "use hsic_indices, where they stay or leave as a whole")
        return _over_players(Replicas(self.n_samples, self.seed), self.grid_size, problem, "Sobol indices")


@dataclass(frozen=True)
class HSICIndices(Method):
    """HSIC indices (Novello et al. 2022): how much the score depends on whether i is kept.

    ``trace(K_i H L H) / N^2``, with ``K_i(m, m') = [m_i = m_i'] - 1/2`` over N masks of cells that are kept
    or not, L a Gaussian kernel of their scores, and H which centres.  0 if the score does not depend on i,
    but for a bias of the order of 1/N; never negative, and no share of anything.

    Parameters
    ----------
    n_samples
        Masks N, a power of 2.
    grid_size, seed
        As of :class:`SobolIndices`.

    Notes
    -----
    The kernel is as wide as the median distance of two scores (Gretton's usual choice; Xplique takes the
    median score).  Players are kept as a whole, so inputs may be of any type.
    """

    name: ClassVar[str] = "hsic_indices"
    cost: ClassVar[str] = "n_samples forwards"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    n_samples: Count = 512
    grid_size: Count = 8
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_uneven(self, self.n_samples)

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players | None]:
        """Ask at all points of the design."""
        return _planned(Binary(self.n_samples, self.seed), self.grid_size, players, features)

    def attribute(self, problem: Problem) -> Found:
        """Ask at all points of the design."""
        return _over_players(Binary(self.n_samples, self.seed), self.grid_size, problem, "HSIC indices")


def _over_players(design: Design, grid_size: int, problem: Problem, what: str) -> Found:
    """Run a design over who plays: cells of a grid, if the user has not said."""
    players = problem.grouping or tiled(grid_size, problem.features)
    return run(Plan(Designed(design), Scores(), Measured(design), what), replace(problem, grouping=players))


def _planned(
    design: Design, grid_size: int, players: Players | None, features: Arrays
) -> tuple[Plan, Players]:
    """Return a design over who plays, as files have it."""
    return Plan(Designed(design), Scores(), Measured(design)), players or tiled(grid_size, features)


def _refuse_uneven(method: Method, samples: int) -> None:
    """Refuse a number of points that the sequence does not spread evenly."""
    if samples < 2 or samples & (samples - 1):
        near = max(2, 1 << (samples.bit_length() - 1))
        raise MethodError(
            f"{type(method).__name__}: n_samples is {samples}; the sequence is even for powers of 2 only: "
            f"give {near} or {2 * near}"
        )
