"""Sensitivity (a) of Sundararajan et al. (2017)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.metrics.axioms.changed import targets
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Weight
from onnxplain.runtime import axes as moved

__all__ = ["SensitivityAxiom"]

#: Points that are explained at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class SensitivityAxiom(Metric):
    """How often a feature gets nothing that alone makes the difference (Sundararajan et al. 2017).

    Sensitivity (a): where an input differs from the baseline in one feature, and the score is another, that
    feature must get something.  For features i of a sample, the baseline with ``x_i`` in its place is
    explained; the value is the share, among the features with ``S(x' with x_i) != S(x')``, of those that get
    nothing.  Sensitivity (b) is :class:`~onnxplain.metrics.Dummy`.

    The method is given the metric's baselines if it takes any, and is told no others.

    Parameters
    ----------
    n_features
        How many features of a sample are tried; where there are more, some at even distances.
    eps
        What counts as nothing: of attributions, relative to the largest at that point; of differences between
        scores, relative to the larger score.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; neither changes anything here.
    """

    name: ClassVar[str] = "sensitivity_axiom"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    n_features: Count = 16
    eps: Weight = 1e-5

    def measure(self, trial: Trial) -> Measured:
        """Explain the baselines with one feature of the sample each."""
        n, players = trial.n, trial.players.count
        tried = np.unique(np.linspace(0, players - 1, min(self.n_features, players)).round().astype(np.int64))
        steps = len(tried)

        def kept(which: slice, rows: IntArray) -> Array:
            chosen = tried[which.start : which.stop]
            alone: Array = (np.arange(players) == chosen[:, None])[:, None, :]
            return np.repeat(alone, len(rows), axis=1)

        def empty(which: slice, rows: IntArray) -> Array:
            return np.zeros((which.stop - which.start, len(rows), players), bool)

        alone, none = trial.without(steps, kept), trial.without(1, empty)
        moves = np.abs(alone - none) > self.eps * np.maximum(np.maximum(np.abs(alone), np.abs(none)), 1e-12)
        moves &= trial.present[:, tried]
        gets = np.ones((n, steps), bool)
        asked = np.argwhere(moves)
        for first in range(0, len(asked), _AT_ONCE):
            some = asked[first : first + _AT_ONCE]
            gets[some[:, 0], some[:, 1]] = self._gets(trial, some[:, 0], tried[some[:, 1]])
        count = moves.sum(1)
        missed = (moves & ~gets).sum(1)
        value = np.where(count > 0, missed / np.maximum(count, 1), np.nan)
        still = np.flatnonzero(count == 0)
        notes: tuple[str, ...] = ()
        if still.size:
            notes = (f"no feature alone changes the score of sample {', '.join(map(str, still[:10]))}",)
        return self.result(value, extras={"differing": count, "missed": missed}, notes=notes)

    def _gets(self, trial: Trial, rows: IntArray, players: IntArray) -> FloatArray:
        """Tell whether the only feature that is there gets something, (m,)."""
        part = trial.problem.take(rows)
        who = np.arange(trial.players.count) == players[:, None]
        points = part.players.chosen(part.features, part.baselines, who[None])
        found = self._told(trial, part.baselines).explain(points, rows, target=targets(trial, rows))
        sums = np.zeros((len(rows), trial.players.count + 1))
        most = np.zeros(len(rows))
        for name, values in found.items():
            ids = np.broadcast_to(part.players.ids[name], values.shape).reshape(len(rows), -1)
            flat = np.abs(values).reshape(len(rows), -1)
            np.maximum.at(sums, (np.arange(len(rows))[:, None], ids), flat)
            most = np.maximum(most, flat.max(1, initial=0))
        return np.asarray(sums[np.arange(len(rows)), players] > self.eps * most)

    @staticmethod
    def _told(trial: Trial, baselines: Arrays) -> Trial:
        """Return the trial whose method takes the same baselines."""
        assert trial.method is not None
        axes = trial.posed.samples.layout.axes
        options = {k: v for k, v in trial.options.items() if k != "baselines"}
        if trial.method.takes_baselines:
            options["baselines"] = {k: moved.laid_out(v, axes[k]) for k, v in baselines.items()}
        return replace(trial, options=options)
