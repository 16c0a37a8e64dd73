"""What every metric is: a frozen dataclass of parameters that looks at one trial."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from onnxplain._types import ArrayLike
from onnxplain.answering import Posed
from onnxplain.attribution import Attribution
from onnxplain.backward.asks import Scores
from onnxplain.baselines import Baselines
from onnxplain.errors import MethodError
from onnxplain.explainer import Explainer
from onnxplain.features.players import Players
from onnxplain.features.removal import Background
from onnxplain.graph.load import ModelSource
from onnxplain.grouping import Grouping
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.metrics.given import laid_out_masks, laid_out_values
from onnxplain.metrics.playing import in_pixels
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature
from onnxplain.options import check_fields
from onnxplain.runtime.problem import Problem

__all__ = ["Asking", "Metric", "trial"]

#: What a metric may need besides samples.
Need = Literal["masks", "method"]


@dataclass(frozen=True)
class Metric(abc.ABC):
    """A metric of explanations.

    Subclasses are frozen dataclasses; their fields are their parameters, and are checked by their annotations
    (see :mod:`onnxplain.options`).  They implement :meth:`measure`.

    Parameters
    ----------
    absolute
        Whether to look at the attributions' magnitudes alone.
    normalise
        Whether to divide the attributions of each sample by the largest magnitude among them.
    """

    #: Name by which the metric is found.
    name: ClassVar[str]

    #: Whether higher values speak for the explanation; None where neither does.
    higher_is_better: ClassVar[bool | None]

    #: What it must be given: ``"masks"`` (ground truth), ``"method"`` (it explains anew).
    needs: ClassVar[tuple[Need, ...]] = ()

    #: Whether it takes features away, so that ``baselines`` and ``feature_mask`` change what it finds.
    removes: ClassVar[bool] = False

    #: What of these two it has no use for even so.
    unused: ClassVar[tuple[str, ...]] = ()

    #: What stands, in images, where features are taken away if no baselines are given; None: 0.
    usual_baseline: ClassVar[str | None] = None

    #: What is taken away together, in images, if no feature mask is given; None: each element by itself.
    usual_mask: ClassVar[str | None] = None

    #: Whether a sample's value is its own, whatever its company; if not, all samples are measured at once.
    apart: ClassVar[bool] = True

    #: From which value to which the metric goes.
    range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    absolute: bool = field(default=False, kw_only=True)
    normalise: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self, MethodError)

    @abc.abstractmethod
    def measure(self, trial: Trial) -> Measured:
        """Measure all samples of a trial, whose attributions are :meth:`prepared`."""

    def __call__(
        self,
        model: Explainer | ModelSource,
        inputs: ArrayLike,
        target: Any = None,
        method: str | Method | None = None,
        *,
        attributions: Any = None,
        masks: Any = None,
        baselines: Baselines | None = None,
        feature_mask: Grouping | None = None,
        explain_options: Mapping[str, Any] | None = None,
        output: str | None = None,
        wrt: str | Sequence[str] | None = None,
        through_softmax: bool = False,
        batch_axes: int | Mapping[str, int | None] | None = None,
        internal_batch_size: int | None = None,
        progress: bool = False,
    ) -> Measured:
        """Measure explanations of a batch.

        Parameters
        ----------
        model
            An explainer, or what it takes.
        inputs, target, output, wrt, through_softmax, batch_axes, internal_batch_size, progress
            As :meth:`Explainer.__call__` takes them.
        method
            What explains: a method or its name.
        attributions
            Ready explanations instead: an :class:`~onnxplain.Attribution`, or an array that broadcasts to the
            input, (N, ...) (maps without an axis of channels get one), or arrays by input name.
        masks
            The ground truth: what should be found.  Booleans (or numbers, of which those above 0 count)
            that broadcast to the input as attributions do, or such by input name.
        baselines
            What stands where the metric takes features away, as :meth:`Explainer.__call__` takes baselines.
        feature_mask
            What the metric takes away together, as :meth:`Explainer.__call__` takes it; a group's attribution
            is the sum over its elements.  Methods that take features away themselves are given it, too.
            Default: what is usual for the metric (its ``usual_mask``), or else each element by itself.
        explain_options
            What the explainer is told besides when it explains (``baselines``...), by name.

        Returns
        -------
        Measured

        Raises
        ------
        MethodError
            If the metric needs what is not given, or is given what it has no use for.
        DataInputError, TargetError
            If an argument does not fit; before anything is measured.
        """
        at = trial(
            model, inputs, target, method, metric=self, attributions=attributions, masks=masks,
            baselines=baselines, feature_mask=feature_mask, explain_options=explain_options, output=output,
            wrt=wrt, through_softmax=through_softmax, batch_axes=batch_axes,
            internal_batch_size=internal_batch_size, progress=progress,
        )  # fmt: skip
        return self.measured(at)

    def measured(self, trial: Trial) -> Measured:
        """Measure all samples of a trial, as it was made; what is found names the method."""
        found = self.measure(self.prepared(trial))
        method_text = trial.attribution.written_method if trial.attribution is not None else ""
        return replace(found, method=method_text)

    def check(self, posed: Posed) -> None:  # noqa: B027 - most refuse nothing
        """Refuse samples and questions of which the metric says nothing; nothing is explained yet.

        Raises
        ------
        DataInputError
            If there is such.
        """

    def players(self, problem: Problem) -> Players | None:
        """Return what is taken away together if no ``feature_mask`` is given; None: each element by itself.

        Metrics whose usual mask has parameters say so here.
        """
        return in_pixels(problem) if self.usual_mask == "pixels" else None

    def prepared(self, trial: Trial) -> Trial:
        """Return the trial with attributions as the metric looks at them."""
        return trial.with_values(self.prepare(trial.values))

    def prepare(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return attributions (n, ...) by feature as the metric looks at them."""
        made = {k: np.abs(v) if self.absolute else v for k, v in values.items()}
        if not self.normalise:
            return made
        largest = np.max([np.abs(v).reshape(len(v), -1).max(1, initial=0) for v in made.values()], axis=0)
        largest = np.where(largest > 0, largest, 1.0)
        return {k: v / largest.reshape(-1, *(1,) * (v.ndim - 1)) for k, v in made.items()}

    def result(self, values: Any, **besides: Any) -> Measured:
        """Return values as what was measured."""
        return Measured(np.asarray(values, np.float64), self, **besides)


def trial(
    model: Explainer | ModelSource,
    inputs: ArrayLike,
    target: Any,
    method: str | Method | None,
    *,
    metric: Metric,
    attributions: Any = None,
    masks: Any = None,
    baselines: Baselines | None = None,
    feature_mask: Grouping | None = None,
    explain_options: Mapping[str, Any] | None = None,
    wrt: str | Sequence[str] | None = None,
    found: Attribution | None = None,
    **asked: Any,
) -> Trial:
    """Make what a metric looks at; :meth:`Metric.__call__` says what from, and what is raised.

    ``found`` is what the method found at these samples before, told the same; it is not asked again then.
    """
    _check(metric, method, attributions, masks, baselines, feature_mask)
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    chosen = None if method is None else make_method(method)
    options = _checked(explain_options)
    pooled = False
    if chosen is not None and feature_mask is not None and chosen.wants_players():
        pooled = "feature_mask" not in options
        options.setdefault("feature_mask", feature_mask)
    shared = {k: v for k, v in asked.items() if v is not None and v is not False}
    if isinstance(attributions, Attribution):
        attributions = by_feature(attributions)
    names: str | Sequence[str] | None = wrt
    if chosen is not None:
        told = {**asked, **options, "progress": False}
        shown = explainer.pose(inputs, target, chosen, wrt=wrt, settled=False, **told).samples.infos
        names = tuple(i.name for i in shown)
    elif isinstance(attributions, Mapping):
        names = tuple(attributions) if wrt is None else wrt
    asking = Asking(metric.usual_baseline, chosen is not None and chosen.margins())
    asked["feature_mask"] = feature_mask
    if isinstance(baselines, Background):
        raise MethodError(
            "a Background holds many rows, and a metric puts one thing in the place of what it takes away; "
            "give one row as baselines=, and the Background in explain_options"
        )
    posed = explainer.pose(inputs, target, asking, wrt=names, baselines=baselines, **asked)
    metric.check(posed)
    if feature_mask is None:
        posed = posed._replace(problem=replace(posed.problem, grouping=metric.players(posed.problem)))
    true = None if masks is None else laid_out_masks(masks, posed)
    if chosen is None:
        values = laid_out_values(attributions, posed)
    else:
        if found is None:
            found = explainer(inputs, target, chosen, wrt=wrt, **{**shared, **options})
        values = by_feature(found)
    kept = {k: v for k, v in shared.items() if k != "progress"}
    return Trial(explainer, posed, values, true, chosen, target, {**kept, **options}, pooled, found)


@dataclass(frozen=True)
class Asking(Method):
    """Stands for a metric where an explainer wants to know what a method would ask: scores alone."""

    name: ClassVar[str] = "metric"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    baseline: str | None = None
    margin: bool = False

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def margins(self) -> bool:
        """Return whether the score is what enters a closing Sigmoid, as it is for the method."""
        return self.margin

    def default_baseline(self) -> str | None:
        """Return the metric's own."""
        return self.baseline


def _checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Refuse options that a metric's call has itself."""
    for name in options or {}:
        if name in ("inputs", "target", "method", "wrt", "layer", "neuron", "progress"):
            raise MethodError(f"explain_options hold {name!r}; give that to the call or the method itself")
    return dict(options or {})


def _check(
    metric: Metric, method: object, attributions: object, masks: object, baselines: object, mask: object
) -> None:
    """Refuse what a metric cannot do without, or has no use for, before anything runs."""
    if (method is None) == (attributions is None):
        given = "both are" if method is not None else "neither is"
        raise MethodError(
            f"the metric '{metric.name}' measures a method or ready attributions, and {given} given; give "
            "one of them"
        )
    if "method" in metric.needs and method is None:
        raise MethodError(
            f"the metric '{metric.name}' explains anew, so ready attributions are not enough; give method="
        )
    if "masks" in metric.needs and masks is None:
        raise MethodError(
            f"the metric '{metric.name}' compares with the ground truth; give masks= (what should be found: "
            "True there)"
        )
    for what, unused, used in (
        ("masks", masks, "masks" in metric.needs),
        ("baselines", baselines, metric.removes and "baselines" not in metric.unused),
        ("feature_mask", mask, metric.removes and "feature_mask" not in metric.unused),
    ):
        if unused is not None and not used:
            raise MethodError(f"the metric '{metric.name}' has no use for {what}; leave them out")
