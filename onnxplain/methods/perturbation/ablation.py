"""Taking features away, one player after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.backward.asks import Scores
from onnxplain.methods.base import Method
from onnxplain.runtime.plans.combinations import Differences
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.points import WithoutOne

__all__ = ["FeatureAblation"]


@dataclass(frozen=True)
class FeatureAblation(Method):
    """Feature ablation: what the score loses without a player, ``A_i = S(x) - S(x without i)``.

    A player is an element of the input, or what has one number in ``feature_mask``; its elements get the same
    attribution.  The baseline stands where it is taken away (0, or the empty text).  Only scores are asked
    for, so any model will do: trees, texts, integers, steps.  It takes a forward pass for each player.
    """

    name: ClassVar[str] = "feature_ablation"
    cost: ClassVar[str] = "1 forward for each player, and 1"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan(self) -> Plan:
        """Take each player away alone."""
        return Plan(WithoutOne(), Scores(), Differences(), "feature ablation")
