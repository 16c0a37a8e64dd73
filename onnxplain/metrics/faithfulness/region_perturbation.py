"""Region perturbation (Samek et al. 2017) and selectivity (Montavon et al. 2018): patch by patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import IntArray
from onnxplain.features.players import Players
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import Order, area, gone_after, nobody, ranks, way
from onnxplain.metrics.playing import in_patches
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed
from onnxplain.runtime.problem import Problem

__all__ = ["RegionPerturbation", "Selectivity"]


@dataclass(frozen=True)
class RegionPerturbation(Metric):
    """How far the score falls while patches are taken away, in order (Samek et al. 2017).

    With ``x_k`` the sample without its first k patches, by the sum of their attributions, the value is the
    area over the perturbation curve (AOPC)::

        1 / (L + 1) sum over k = 0..L of S(x) - S(x_k).

    Most relevant first (``"morf"``), a faithful explanation makes it high; least relevant first (``"lerf"``),
    low.  Patches are squares of images, cubes of volumes, pieces of series, channels together; where there is
    neither space nor time, and no ``feature_mask`` is given, features leave one by one.

    Quantus gives the curve without its first point, and calls lower values better, whatever the order.

    Parameters
    ----------
    patch_size
        Of a patch along each axis; where these do not fill the image, those at its borders are cut.
    order
        ``"morf"``, ``"lerf"``, or ``"random"``: one order, drawn for all samples, to compare with.
    regions_evaluation
        How many patches are taken away, L (all if there are fewer).
    seed
        Same seed, same random order.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "region_perturbation"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    usual_mask: ClassVar[str | None] = "patches"

    patch_size: Count = 8
    order: Order | Literal["random"] = "morf"
    regions_evaluation: Count = 100
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        better = {"morf": True, "lerf": False, "random": None}[self.order]
        object.__setattr__(self, "higher_is_better", better)

    def players(self, problem: Problem) -> Players | None:
        """Return patches."""
        return in_patches(problem, self.patch_size)

    def measure(self, trial: Trial) -> Measured:
        """Take patches away in order."""
        counts, at = way(trial, in_step=1)
        counts, at = counts[:, : self.regions_evaluation + 1], at[:, : self.regions_evaluation + 1]
        scores = gone_after(trial, self._places(trial), counts)
        fallen = scores[:, :1] - scores
        sizes = trial.present.sum(1)
        last = np.minimum(sizes, self.regions_evaluation)
        own = np.arange(fallen.shape[1]) <= last[:, None]  # others may have more
        values = np.where(sizes > 0, (fallen * own).sum(1) / (last + 1), np.nan)
        curves = {"perturbation": Curve(at, fallen, what="fall of the score")}
        return self.result(values, curves=curves, notes=nobody(trial))

    def _places(self, trial: Trial) -> IntArray:
        if self.order != "random":
            return ranks(trial, descending=self.order == "morf")
        drawn = uniforms(self.seed, 0, 0, 1, trial.players.count)
        return ranks(trial, weights=np.repeat(drawn, trial.n, 0))


@dataclass(frozen=True)
class Selectivity(Metric):
    """The area under the score while patches are taken away, the most important first (Montavon et al. 2018).

    With ``x_k`` the sample without its first k patches, by the sum of their attributions, the curve is
    ``S(x_k)``, and the value its mean over the way, by the trapezoidal rule.  A faithful explanation makes it
    fall early.  Patches are those of :class:`RegionPerturbation`.

    Quantus's curve begins behind the first patch, and its area is the sum over steps of width 1.

    Parameters
    ----------
    patch_size
        Of a patch along each axis; where these do not fill the image, those at its borders are cut.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "selectivity"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    usual_mask: ClassVar[str | None] = "patches"

    patch_size: Count = 8

    def players(self, problem: Problem) -> Players | None:
        """Return patches."""
        return in_patches(problem, self.patch_size)

    def measure(self, trial: Trial) -> Measured:
        """Take patches away in order."""
        counts, at = way(trial, in_step=1)
        scores = gone_after(trial, ranks(trial), counts)
        return self.result(area(at, scores), curves={"selectivity": Curve(at, scores)}, notes=nobody(trial))
