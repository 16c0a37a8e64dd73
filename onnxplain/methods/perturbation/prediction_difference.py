"""Prediction difference analysis: windows drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from onnxplain._types import Arrays
from onnxplain.backward.asks import Scores
from onnxplain.errors import MethodError
from onnxplain.features.gaussians import Gaussian, fit
from onnxplain.features.places import space
from onnxplain.features.players import Players
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.redrawn import Evidence, Redrawn
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.plans.windows import Windows
from onnxplain.runtime.problem import Problem

__all__ = ["PredictionDifference"]

_Padding = Annotated[int, Field(ge=0, le=10**6, description="a whole number from 0")]
_Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]


@dataclass(frozen=True)
class PredictionDifference(Method):
    """Prediction difference analysis (Zintgraf et al. 2017): what is lost when a window could be anything.

    ``A_i = mean over windows w that cover i of D(S(x), mean_k S(x with w drawn anew, k))``, where D is the
    difference, or that of ``log2 (S / (1 - S))`` (weight of evidence, for probabilities).

    * ``sampler="marginal"``: w is what a row of the background has there.
    * ``sampler="conditional"``: w is drawn from a Gaussian, given what lies around it in x.  The Gaussian
      is of patches, the window and ``padding`` on each side of it, and fitted to all patches of all rows of
      the background, wherever they lie; draws are cut to the range of its values.

    Without a background, each sample's baseline is the only row: then this is occlusion.

    Parameters
    ----------
    sliding_window_shapes, strides
        As of :class:`Occlusion`.
    n_samples
        Draws for each window, the same for all samples.
    sampler
        See above.
    padding
        See above; None: a patch is the whole sample, as in tables.
    evidence
        D: ``"difference"`` or ``"log_odds"``.  Probabilities count as at least 2^-24 away from 0 and 1 (the
        paper corrects them by the number of training images).
    shrinkage
        What part of the patches' covariances is taken away, so that few rows do.
    seed
        Same seed, same bits.

    Notes
    -----
    The standard error over draws is in ``extras["standard_error"]``, by input.

    Raises
    ------
    MethodError
        If odds are asked for, and a score is no probability.
    DataInputError
        If windows do not fit, or a Gaussian cannot be fitted: inputs are not of floats, the patch is too
        large, there is only one.
    """

    name: ClassVar[str] = "prediction_difference"
    cost: ClassVar[str] = "n_samples forwards for each window, and 1"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    sliding_window_shapes: Count | tuple[Count, ...] | tuple[tuple[Count, ...], ...] | None = None
    strides: Count | tuple[Count, ...] | tuple[tuple[Count, ...], ...] | None = None
    n_samples: Count = 10
    sampler: Literal["marginal", "conditional"] = "marginal"
    padding: _Padding | None = 2
    evidence: Literal["difference", "log_odds"] = "difference"
    shrinkage: _Share = 0.05
    seed: Seed = 0

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players | None]:
        """Draw windows out of rows of the background."""
        if self.sampler != "marginal":
            raise MethodError(
                "prediction_difference draws windows given what lies around them in each sample, which no "
                "file holds; take sampler='marginal', or use the Explainer"
            )
        return self._drawn(Windows(self.sliding_window_shapes, self.strides), background, {}), players

    def _drawn(self, windows: Windows, rows: Arrays, gaussians: dict[str, Gaussian]) -> Plan:
        points = Redrawn(windows, self.n_samples, self.seed, rows, gaussians)
        evidence = Evidence(windows, self.n_samples, self.evidence)
        return Plan(points, Scores(), evidence, "prediction difference")

    def attribute(self, problem: Problem) -> Found:
        """Draw one window after the other anew."""
        windows = Windows(self.sliding_window_shapes, self.strides)
        slides = windows.over(problem.features)
        rows, gaussians = problem.background, {}
        if self.sampler == "conditional":
            for name, own in slides.items():
                chosen, pad = space(own.shape), self.padding
                around = tuple(
                    length if pad is None or k not in chosen else min(length, w + 2 * pad)
                    for k, (length, w) in enumerate(zip(own.shape, own.window, strict=True))
                )
                gaussians[name] = fit(
                    rows.get(name, problem.baselines[name][:1]), around, self.shrinkage, f"'{name}'"
                )
        return run(self._drawn(windows, rows, gaussians), problem)
