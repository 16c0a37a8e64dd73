"""Feature permutation: values from other samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain._types import Arrays
from onnxplain.backward.asks import Scores
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.players import Players
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed
from onnxplain.runtime.plans.combinations import Differences
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.plans.swapped import Swapped
from onnxplain.runtime.problem import Problem

__all__ = ["FeaturePermutation"]


@dataclass(frozen=True)
class FeaturePermutation(Method):
    """Feature permutation: what the score loses when a player's values are another sample's.

    ``A_i = mean over k of S(x) - S(x with i from sample pi_k(x))``.  Without ``baselines`` the samples of the
    call are permuted, as in Captum (there once, and never left as they are); the numbers then depend on which
    samples are given together.  With rows as ``baselines``, values are drawn from these, the same for all
    samples.

    Parameters
    ----------
    n_repeats
        Permutations (or draws) for each player; 1 is Captum's.
    seed
        Same seed, same bits.

    Notes
    -----
    The standard error of the mean over repeats is in ``extras["standard_error"]``, unless there is one only.

    Raises
    ------
    DataInputError
        If there is a single sample, and no rows to draw from.
    """

    name: ClassVar[str] = "feature_permutation"
    cost: ClassVar[str] = "n_repeats forwards for each player, and 1"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    n_repeats: Count = 5
    seed: Seed = 0

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players | None]:
        """Swap values with rows of the background; the samples of a call are not known to a file."""
        if len(next(iter(background.values()), ())) < 2:
            raise MethodError(
                "feature_permutation swaps values among the samples of a call, which a file cannot permute; "
                "give rows to draw from, at least two (baselines=ox.Background(rows))"
            )
        points = Swapped(self.n_repeats, self.seed, background, False)
        return Plan(points, Scores(), Differences(self.n_repeats), "feature permutation"), players

    def attribute(self, problem: Problem) -> Found:
        """Swap the values of one player after the other."""
        rows = problem.background or {k: v[:1] for k, v in problem.baselines.items()}
        within = len(next(iter(rows.values()), ())) < 2
        if within and any(v.astype(bool).any() for v in rows.values()):
            raise DataInputError(
                "there is one row to draw from; give at least two rows as baselines, leave them out to "
                "permute the samples of the call, or use feature_ablation, which puts one row there"
            )
        if within and problem.n < 2:
            raise DataInputError(
                "feature_permutation needs at least two samples, whose values are swapped; give more, or "
                "rows to draw from: baselines=ox.Background(rows)"
            )
        points = Swapped(self.n_repeats, self.seed, problem.features if within else rows, within)
        return run(Plan(points, Scores(), Differences(self.n_repeats), "feature permutation"), problem)
