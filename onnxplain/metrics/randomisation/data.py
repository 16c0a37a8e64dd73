"""Data randomisation (Adebayo et al. 2018): a model that was trained on labels at random."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir

from onnxplain.errors import DataInputError
from onnxplain.explainer import Explainer
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.likeness import Likeness, Similarity
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import OneOf

__all__ = ["DataRandomisation"]

_Other = Annotated[Any, OneOf(Explainer, str, os.PathLike, bytes, onnx.ModelProto, ir.Model)]


@dataclass(frozen=True)
class DataRandomisation(Metric):
    """How alike explanations are to those by a model trained on labels at random (Adebayo et al. 2018).

    ``similarity(e, r)`` of the same target, r being by a model of the same form that has learned the training
    data by heart, with labels that say nothing of them.  An explanation that shows how the data and the
    labels go together differs.  It is no metric that a name alone makes: it needs the other model.

    Parameters
    ----------
    other
        The other model: an explainer, or what it takes.
    similarity
        How explanations are compared: ``"spearman"``, ``"pearson"``, ``"kendall_tau"``, ``"cosine"``,
        ``"ssim"`` or ``"hog"`` (images); see :class:`~onnxplain.metrics.likeness.Likeness`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    InvalidModelError
        If the other model cannot be read.
    """

    name: ClassVar[str] = "data_randomisation"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    other: _Other
    similarity: Similarity = "spearman"
    absolute: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.other, Explainer):
            object.__setattr__(self, "other", Explainer(self.other))

    def measure(self, trial: Trial) -> Measured:
        """Explain by the other model."""
        likeness = Likeness(self.similarity, trial)
        mine, its = ({i.name: i for i in of.inputs} for of in (trial.explainer, self.other))
        if mine.keys() != its.keys() or any(mine[k].dtype != its[k].dtype for k in mine):
            shown = [", ".join(f"'{i.name}' ({i.dtype})" for i in of.values()) for of in (mine, its)]
            raise DataInputError(
                f"the other model takes {shown[1]}, and this one {shown[0]}; give two with the same inputs"
            )
        rows = np.arange(trial.n)
        found = self.prepare(trial.explained_by(self.other, {}, rows, trial.targets(rows)))
        return self.result(likeness(trial.values, found))
