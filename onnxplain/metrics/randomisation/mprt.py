"""The model parameter randomisation test (Adebayo et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.explainer import Explainer
from onnxplain.graph.redraw import Draw, Order, Redraw, Redrawing
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.likeness import Likeness, Similarity
from onnxplain.metrics.randomisation.models import drawn_layers, fully_random, random_models
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Seed

__all__ = ["MPRT"]


@dataclass(frozen=True)
class MPRT(Metric):
    """How alike explanations stay while the model's layers are drawn anew (Adebayo et al. 2018).

    With ``e`` the explanation, and ``e_l`` that of the same target by the model whose layers up to the l-th
    hold random weights, the curve is ``similarity(e, e_l)``, l = 0 being the model itself.  An explanation
    that shows what was learned changes: the similarity falls to that of explanations that have nothing in
    common but the sample.

    Parameters
    ----------
    layer_order
        ``"top_down"`` draws layers from the output on, those before staying random ("cascading");
        ``"bottom_up"`` from the input on; ``"independent"`` each layer alone.
    similarity
        How explanations are compared: ``"spearman"``, ``"pearson"``, ``"kendall_tau"``, ``"cosine"``,
        ``"ssim"`` or ``"hog"`` (images); see :class:`~onnxplain.metrics.likeness.Likeness`.
    value
        ``"mean"``: the curve's mean without its beginning; ``"last"``: its end.
    skip_layers
        Draw all layers at once, and look at nothing in between.
    redraw, draw, seed
        Which weights are drawn, and how; see :class:`~onnxplain.graph.redraw.Redrawing`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    """

    name: ClassVar[str] = "mprt"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    layer_order: Order = "top_down"
    similarity: Similarity = "spearman"
    value: Literal["mean", "last"] = "mean"
    skip_layers: bool = False
    redraw: Redraw = "weights"
    draw: Draw = "permutation"
    seed: Seed = 0
    absolute: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.skip_layers and self.layer_order == "independent":
            raise MethodError(
                "skip_layers draws all layers at once, and layer_order='independent' never does"
            )

    def measure(self, trial: Trial) -> Measured:
        """Explain by each of the models."""
        likeness = Likeness(self.similarity, trial)
        first = self.first(trial)
        names, curve = ["(none)"], [likeness(first, first)]
        how = Redrawing(self.redraw, self.draw, self.seed)
        total = 1 if self.skip_layers else len(drawn_layers(trial.explainer, self.layer_order, how))
        with trial.problem.driver.bar(total, "drawing layers") as bar:
            for name, explainer in self.models(trial):
                names.append(name)
                curve.append(likeness(first, self.explained(trial, explainer)))
                bar.update()
        values = np.stack(curve, axis=1)
        at = np.arange(len(names), dtype=np.float64)
        drawn = Curve(at, values, "layers drawn anew", self.similarity, tuple(names))
        found = values[:, 1:].mean(1) if self.value == "mean" else values[:, -1]
        return self.result(found, curves={"layers": drawn}, notes=_notes(first))

    def models(self, trial: Trial) -> Iterator[tuple[str, Explainer]]:
        """Yield the layers and the models whose weights are drawn up to there."""
        how = Redrawing(self.redraw, self.draw, self.seed)
        if self.skip_layers:
            yield "(all)", fully_random(trial.explainer, how)
        else:
            yield from random_models(trial.explainer, self.layer_order, how)

    def first(self, trial: Trial) -> dict[str, FloatArray]:
        """Return the explanations of the model itself, as they are compared."""
        return trial.values

    def explained(self, trial: Trial, explainer: Explainer) -> dict[str, FloatArray]:
        """Return the explanations of another model, as they are compared."""
        rows = np.arange(trial.n)
        return self.prepare(trial.explained_by(explainer, {}, rows, trial.targets(rows)))


def _notes(first: Mapping[str, Array]) -> tuple[str, ...]:
    """Say of which samples the explanation shows nothing, so that nothing can change."""
    rows = np.concatenate([v.reshape(len(v), -1) for v in first.values()], axis=1)
    blank = np.flatnonzero(np.ptp(rows, axis=1) == 0)
    if not blank.size:
        return ()
    shown = ", ".join(map(str, blank[:8])) + (", ..." if blank.size > 8 else "")
    return (f"the explanations of samples {shown} are constant; correlations with a constant count as 0",)
