"""The efficient model parameter randomisation test (Hedström et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.graph.redraw import Draw, Redraw, Redrawing
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.randomisation.models import fully_random
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed

__all__ = ["EfficientMPRT", "discrete_entropy"]


@dataclass(frozen=True)
class EfficientMPRT(Metric):
    """How much more complex explanations are once all weights are drawn anew (Hedström et al. 2024).

    With ``e`` the explanation, ``r`` that by the model with random weights, and ``H`` the entropy of the
    histogram of an explanation's numbers, ``(H(r) - H(e)) / H(e)``.  Two models are compared, and no layers.

    Parameters
    ----------
    n_bins
        Bins of the histogram, of equal width from an explanation's least number to its largest.
    redraw, draw, seed
        Which weights are drawn, and how; see :class:`~onnxplain.graph.redraw.Redrawing`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "efficient_mprt"
    higher_is_better: ClassVar[bool | None] = True
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (-1.0, np.inf)

    n_bins: Count = 100
    redraw: Redraw = "weights"
    draw: Draw = "permutation"
    seed: Seed = 0

    def measure(self, trial: Trial) -> Measured:
        """Compare entropies."""
        random = fully_random(trial.explainer, Redrawing(self.redraw, self.draw, self.seed))
        rows = np.arange(trial.n)
        found = self.prepare(trial.explained_by(random, {}, rows, trial.targets(rows)))
        before, after = (discrete_entropy(of, self.n_bins) for of in (trial.values, found))
        flat = np.flatnonzero(before == 0)
        rise = (after - before) / np.where(before > 0, before, np.nan)
        notes: tuple[str, ...] = ()
        if flat.size:
            shown = ", ".join(map(str, flat[:8])) + (", ..." if flat.size > 8 else "")
            notes = (f"the explanations of samples {shown} are constant; no rise can be told from there",)
        return self.result(rise, extras={"entropy": np.stack([before, after], 1)}, notes=notes)


def discrete_entropy(explanations: Mapping[str, FloatArray], n_bins: int) -> FloatArray:
    """Return the entropy, in nats, of the histogram of each explanation's numbers, (n,).

    Parameters
    ----------
    explanations
        (n, ...) by feature.
    n_bins
        Bins of equal width from the least number to the largest.
    """
    rows = np.concatenate([v.reshape(len(v), -1) for v in explanations.values()], axis=1)
    found = np.zeros(len(rows))
    for k, row in enumerate(rows.astype(np.float64)):
        size = np.abs(row).max(initial=0)
        counts, _ = np.histogram(row / size if size > 0 else row, bins=n_bins)
        shares = counts[counts > 0] / max(counts.sum(), 1)
        found[k] = max(-(shares * np.log(shares)).sum(), 0.0)
    return found
