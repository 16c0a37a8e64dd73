"""Linearity: what a sum of models gets is the sum of what they get."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from onnxplain.attribution import Attribution
from onnxplain.backward.question import explained_value
from onnxplain.errors import MethodError
from onnxplain.explainer import Explainer
from onnxplain.graph.normalize import Normalized
from onnxplain.methods import Method
from onnxplain.methods.cams.base import ActivationMap
from onnxplain.metrics.axioms.changed import apart, changed, explained, largest, refuse_inner, same
from onnxplain.metrics.axioms.sums import summed
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature
from onnxplain.reading import read

__all__ = ["Linearity"]

_Factor = Annotated[float, Field(ge=-1e6, le=1e6, description="a number from -1,000,000 to 1,000,000")]


@dataclass(frozen=True)
class Linearity(Metric):
    """How far attributions of a sum of two models are from the sum of theirs (Sundararajan et al. 2017).

    A graph is built that computes ``h(x) = a f(x) + b g(x)``, with the nodes of both, and the value is the
    largest difference between ``A_h`` and ``a A_f + b A_g``, relative to the largest of ``|a A_f|`` and
    ``|b A_g|``.  f is the explained score; g is another model, or a copy of this one whose score is that of
    the next class (of the same, where there is one).

    Parameters
    ----------
    a, b
        The factors.
    other
        The model g, with the same inputs and an output of the same name and shape: its path or bytes.  None:
        a copy of this one.
    copied
        Whether the nodes of the copy are there a second time.  If not, both scores come from the same ones.
        None: not for activation maps, and where a neuron is named: these look at one layer, of which two
        would be one too many.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; magnitudes are compared of the sums, and not summed.
    """

    name: ClassVar[str] = "linearity"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    a: _Factor = 2.0
    b: _Factor = -0.5
    other: str | bytes | None = field(default=None, repr=False)
    copied: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.other is not None and self.copied is False:
            raise MethodError("copied=False is for a model and itself; leave it out where other= is given")

    def measure(self, trial: Trial) -> Measured:
        """Explain both models, and their sum."""
        assert trial.attribution is not None
        refuse_inner(trial)
        question, theirs = trial.posed.question, None if self.other is None else read(self.other)
        turn = 0 if theirs is not None else _turn(trial)
        copied = not _looks_at_a_layer(trial.method) if self.copied is None else self.copied
        copied = copied or theirs is not None

        def change(first: Normalized) -> Normalized:
            f = first, explained_value(first, question)
            g = f if theirs is None else (theirs, explained_value(theirs, question))
            return summed(f, g, self.a, self.b, turn=turn, copied=copied)

        if theirs is None:
            key = ("summed", question.output, question.through_softmax, question.margins, turn, copied, self)
            joined = changed(trial.explainer, key, change)
        else:
            joined = trial.explainer.with_model(change)
        assert joined is not None
        second = trial.explainer if self.other is None else Explainer(self.other)
        plain = {k: v for k, v in trial.options.items() if k not in ("output", "through_softmax")}
        f = trial.attribution
        g = explained(trial, second, target=_turned(trial, turn))
        h = explained(trial, joined, options=plain)
        if not same(h.score, self.a * f.score.astype(np.float64) + self.b * g.score):
            raise MethodError(
                f"the sum of the models does not score as they do ({h.score[0]:g}, and not "
                f"{self.a * f.score[0] + self.b * g.score[0]:g}): they have outputs of other kinds"
            )
        parts = [self._scaled(f, self.a), self._scaled(g, self.b)]
        total = {k: v + parts[1][k] for k, v in parts[0].items()}
        scale = np.maximum(largest(parts[0]), largest(parts[1]))
        found = by_feature(h)
        if self.absolute:
            found, total = ({k: np.abs(v) for k, v in of.items()} for of in (found, total))
        return self.result(apart(found, total, np.where(scale > 0, scale, largest(found))))

    @staticmethod
    def _scaled(found: Attribution, by: float) -> dict[str, Any]:
        return {k: by * v for k, v in by_feature(found).items()}


def _looks_at_a_layer(method: Method | None) -> bool:
    """Tell whether a method, or the one inside it, looks at one layer of the model."""
    if isinstance(method, ActivationMap) or getattr(method, "neuron", None) is not None:
        return True
    inner = getattr(method, "method", None)
    return isinstance(inner, Method) and _looks_at_a_layer(inner)


def _turn(trial: Trial) -> int:
    """Return 1 where the scores of several classes lie along axis 1, so that g may be the next one."""
    question, shape = trial.posed.question, trial.posed.about.shape
    by_class = question.target in ("index", "predicted") and question.target_axes > 0
    return int(by_class and question.output_axis == 0 and len(shape) > 0 and shape[0] > 1)


def _turned(trial: Trial, turn: int) -> Any:
    """Return the samples' targets, each that many classes further on."""
    asked = trial.targets(np.arange(trial.n))
    if not turn or asked is None:
        return None
    length = trial.posed.about.shape[0]
    if isinstance(asked[0], int):
        return [(t + turn) % length for t in asked]
    return [((t[0] + turn) % length, *t[1:]) for t in asked]
