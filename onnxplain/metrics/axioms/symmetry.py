"""Symmetry: features that the model treats alike get the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from onnxplain.metrics.axioms.changed import (
    apart,
    changed,
    explained,
    refuse_inner,
    refuse_integers,
    refuse_masks,
)
from onnxplain.metrics.axioms.entrances import TWIN, twinned
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature

__all__ = ["Symmetry"]


@dataclass(frozen=True)
class Symmetry(Metric):
    """How differently two features are treated between which the model makes no difference.

    Each input gets a twin of the same shape, and the model takes the mean of the two, ``f((x + x') / 2)``: it
    is the same when an element and its twin change places.  At samples where the twins are equal, ``x' = x``,
    so should be their attributions (symmetry, as of Shapley values; Sundararajan et al. 2017 ask it of
    paths).  The value is the largest difference between an element's attribution and its twin's, relative
    to the largest attribution.

    Parameters
    ----------
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "symmetry"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    def measure(self, trial: Trial) -> Measured:
        """Explain the model of twins."""
        refuse_inner(trial)
        refuse_integers(trial, self.name)
        refuse_masks(trial, self.name)
        names = list(trial.features)
        other = changed(trial.explainer, ("twinned", *names), partial(twinned, names=names))
        assert other is not None
        like = {f"{k}{TWIN}": k for k in names}
        points = {**trial.features, **{twin: trial.features[k] for twin, k in like.items()}}
        options: dict[str, Any] = dict(trial.options)
        starts = options.get("baselines")
        if isinstance(starts, Mapping):
            options["baselines"] = {**starts, **{t: starts[k] for t, k in like.items() if k in starts}}
        found = self.prepare(by_feature(explained(trial, other, points, like=like, options=options)))
        own = {k: found[k] for k in names}
        twins = {k: found[twin] for twin, k in like.items()}
        return self.result(apart(twins, own))
