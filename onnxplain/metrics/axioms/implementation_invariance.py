"""Implementation invariance (Sundararajan et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.errors import OnnxplainError
from onnxplain.explainer import Explainer
from onnxplain.metrics.axioms.changed import apart, changed, explained, refuse_inner, same
from onnxplain.metrics.axioms.rewriting import REWRITINGS, Rewriting, rewritten
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature

__all__ = ["ImplementationInvariance", "rewritings"]


@dataclass(frozen=True)
class ImplementationInvariance(Metric):
    """How much attributions change when the model is written in another way (Sundararajan et al. 2017).

    The graph is rewritten into others that compute the same function, which is checked by running; the value
    is the largest difference between attributions of the model and of one of these, relative to the largest
    attribution: 0 for explanations of the function, however it is computed.  ``extras`` has the difference
    for each rewriting by its name.

    Parameters
    ----------
    rewritings
        Which to try; see :func:`~onnxplain.metrics.axioms.rewriting.rewritten`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "implementation_invariance"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    rewritings: tuple[Rewriting, ...] = REWRITINGS

    def measure(self, trial: Trial) -> Measured:
        """Explain the model in each of its other forms."""
        assert trial.attribution is not None
        refuse_inner(trial)
        extras: dict[str, FloatArray] = {}
        notes: list[str] = []
        for way in dict.fromkeys(self.rewritings):
            other = _written(trial.explainer, way)
            if other is None:
                notes.append(f"{way}: the graph has nothing to rewrite so")
                continue
            try:
                found = explained(trial, other)
            except OnnxplainError as error:
                notes.append(f"{way}: the method does not explain the rewritten graph ({error})")
                continue
            if not same(found.score, trial.attribution.score):
                notes.append(f"{way}: the rewritten graph's scores are others, by rounding; left out")
                continue
            extras[way] = apart(self.prepare(by_feature(found)), trial.values)
        if not extras:
            notes.append("the model has no other form to compare with")
            return self.result(np.full(trial.n, np.nan), notes=tuple(notes))
        return self.result(np.max(list(extras.values()), 0), extras=extras, notes=tuple(notes))


def rewritings(explainer: Explainer, ways: tuple[Rewriting, ...] = REWRITINGS) -> dict[str, Explainer]:
    """Return explainers of models that compute the same in another way.

    Parameters
    ----------
    explainer
        Of the model.
    ways
        Which rewritings to try; those that find nothing to rewrite are left out.

    Returns
    -------
    dict of explainers, by the rewriting's name.
    """
    found = {way: _written(explainer, way) for way in ways}
    return {way: other for way, other in found.items() if other is not None}


def _written(explainer: Explainer, way: Rewriting) -> Explainer | None:
    return changed(explainer, way, partial(rewritten, rewriting=way))
