"""A model's companion, which says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnxplain._types import Arrays
from onnxplain.attribution import Attribution
from onnxplain.automatic import AUTO
from onnxplain.backward.asks import Scores
from onnxplain.checks import StandardError
from onnxplain.errors import OptionError, TargetError
from onnxplain.explainer import Explainer
from onnxplain.inputs import check_inputs, check_target, choose_output, choose_varied, is_predicted
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.layout import Layout
from onnxplain.serve.asked import DELTA, Answer, Asked, Tensor
from onnxplain.serve.company import Trial, company_of
from onnxplain.serve.refusals import RefusedError
from onnxplain.text import visible_line

__all__ = ["Explaining", "Way"]

_REMEMBERED = 256
_TARGET = "target"
#: Options of a call that are not the method's own.
_CALL = ("baselines", "feature_mask")
#: Looks at the samples of a call as a whole.
_OF_ALL = ("feature_permutation",)


@dataclass(frozen=True)
class Way:
    """One method, as it was named at the start.

    Attributes
    ----------
    label
        By which requests name it.
    method
        The method, or ``"auto"``.
    options
        What the explainer is called with beside.
    """

    label: str
    method: str | Method
    options: Mapping[str, Any]

    @classmethod
    def of(cls, given: str | Method | tuple[str, Mapping[str, Any]]) -> Way:
        """Make one of a method, its name, or a pair of the name and parameters, ``baselines`` among them.

        Raises
        ------
        MethodError
            If there is no such method, or a parameter makes no sense.
        """
        if given == AUTO:
            return cls(AUTO, AUTO, {})
        name, parameters = given if isinstance(given, tuple) else (given, {})
        own = {k: v for k, v in parameters.items() if k not in _CALL}
        made = make_method(name, **own)
        return cls(made.name, made, {k: v for k, v in parameters.items() if k in _CALL})

    @property
    def joins(self) -> bool:
        """Whether samples of several requests may be explained in one call.

        Not where a method compares the samples of a call, or stops by what it has seen of all of them.
        """
        if not isinstance(self.method, Method):
            return False
        inside = list(_methods_in(self.method))
        return all(m.name not in _OF_ALL and getattr(m, "tol", None) is None for m in inside)


@dataclass(frozen=True)
class _Known:
    """What inputs of some shapes are to a method; None for what a run must tell."""

    layout: Layout
    each: tuple[int, ...] | None
    axis: int | None


class Explaining:
    """Serves why a model says what it says.

    Parameters
    ----------
    name
        Under which it is served.
    explainer
        That has read the model.
    ways
        Methods, the first of them for requests that name none.
    output, wrt, through_softmax
        As :class:`~onnxplain.Explainer` takes them.

    Raises
    ------
    OptionError
        If there is no method, or two of a name.
    InvalidModelError, DataInputError, TargetError
        If the protocol cannot carry the model's inputs, or there is nothing of a name to explain.
    """

    explains = True

    def __init__(
        self,
        name: str,
        explainer: Explainer,
        ways: Sequence[Way],
        *,
        output: str | None = None,
        wrt: str | Sequence[str] | None = None,
        through_softmax: bool = False,
    ) -> None:
        self.name = name
        self._explainer = explainer
        self._ways = {way.label: way for way in ways}
        if not ways or len(self._ways) < len(ways):
            raise OptionError("name at least one method, and each of them once")
        self._first = ways[0].label
        self._wrt = [wrt] if isinstance(wrt, str) else wrt
        self._options: dict[str, Any] = {"output": output, "wrt": wrt, "through_softmax": through_softmax}
        self._score = choose_output(explainer.outputs, output)
        if wrt is not None:
            choose_varied(explainer.inputs, wrt, explainer._answering.inner.explained)  # refuses what is none
        self._known: Cache[_Known] = Cache(_REMEMBERED, 0, lambda _: 0)
        self._trials: Cache[Trial] = Cache(_REMEMBERED, 0, lambda _: 0)
        given = tuple(Tensor.of(i.name, i.dtype, i.shape, "input") for i in explainer.inputs)
        self.target = _free(_TARGET, {t.name for t in given})
        self.inputs = (*given, Tensor(self.target, np.dtype(np.int64), (-1,), optional=True))
        self.outputs = tuple(self._described())

    def prepare(self, asked: Asked) -> Asked:
        """Check a request; see :class:`~onnxplain.serve.asked.Served`.

        Raises
        ------
        OnnxplainError
            If an input or the target does not fit, or there is no such method.
        """
        way = self._way(asked.method)
        walked = isinstance(way.method, Method) and not isinstance(way.method.needs(), Scores)
        arrays = check_inputs(asked.arrays, self._explainer.inputs, walked=walked)
        target = "predicted" if asked.target is None else asked.target
        if isinstance(target, str):
            is_predicted(target)
        elif np.min(target, initial=0) < 0:
            raise TargetError(f"target {np.min(target)} names no score; indices begin at 0")
        asked = replace(asked, arrays=arrays, target=target, method=way.label)
        known = self._find(asked, way)
        layout = known.layout
        if isinstance(target, list) and len(target) != layout.n:
            raise TargetError(f"there are {len(target)} targets for {layout.n} samples; give one for each")
        if not isinstance(target, str) and known.each is not None:
            check_target(target, layout.n, known.each, self._score, layout.mixed)
        shapes = {k: v.shape for k, v in arrays.items()}
        kind = target if isinstance(target, str) else "index"
        company = company_of(layout, shapes, (way.label, kind), Trial()) if way.joins else None
        if company is not None:
            company = replace(company, trial=self._trials.get(company.key, Trial))
        return replace(asked, company=company, proven=layout.axes, scores_axis=known.axis)

    def answer(self, asked: Asked) -> Answer:
        """Explain.

        Raises
        ------
        OnnxplainError
            If the model or its graph does not allow it.
        """
        way = self._way(asked.method)
        result = self._explainer(
            asked.arrays,
            asked.target,
            way.method,
            batch_axes=asked.axes,
            **way.options,
            **self._options,
        )
        return self._written(result, asked.scores_axis)

    def _written(self, result: Attribution, scores_axis: int | None) -> Answer:
        output = result.output[0] or self._score
        outputs: Arrays = {output: result.predictions}
        whole = all(axis is None for axis in result.sample_axes.values())
        stacked = scores_axis is None and len(result) > 1  # each sample was run alone
        axes: dict[str, int | None] = {output: 0 if stacked else None if whole else scores_axis}
        if result.target.dtype.kind == "i":
            outputs[self.target] = result.target[:, 0] if result.target.shape[1] == 1 else result.target
            axes[self.target] = 0
        for name, array in result.arrays.items():
            outputs[f"attribution/{name}"] = array
            axes[f"attribution/{name}"] = result.sample_axes.get(name, 0)
        if result.delta is not None:
            outputs[f"{DELTA}{output}"] = np.asarray(result.delta)
            axes[f"{DELTA}{output}"] = 0
        errors = result.check.errors if isinstance(result.check, StandardError) else {}
        for name, array in result.arrays.items():
            if name in errors and errors[name].size == array.size:  # not those of embeddings
                axis = axes[f"attribution/{name}"]
                laid = errors[name] if axis is None else np.moveaxis(errors[name], 0, axis)
                outputs[f"standard_error/{name}"] = laid.reshape(array.shape)
                axes[f"standard_error/{name}"] = axis
        told = {"method": result.written_method, "model_hash": result.model_hash}
        if result.notes:
            told["notes"] = visible_line("; ".join(result.notes))
        return Answer(outputs, axes, told)

    def _way(self, label: str | None) -> Way:
        way = self._ways.get(self._first if label is None else label)
        if way is None:
            raise RefusedError(
                400, f"there is no method '{label}' here; choose one of {', '.join(self._ways)}"
            )
        return way

    def _find(self, asked: Asked, way: Way) -> _Known:
        """Return what arrays of these shapes are to a method."""

        def find() -> _Known:
            if not isinstance(way.method, Method):  # which one is chosen by the call
                samples = self._explainer._answering.samples(asked.arrays, (), (self._score,), None)
                found = samples.output(self._score)
                shape, axis = (None, None) if found is None else (found.shape, found.axis)
                return _Known(samples.layout, shape, axis)
            posed = self._explainer.pose(
                asked.arrays, asked.target, way.method, settled=False, **way.options, **self._options
            )
            return _Known(posed.samples.layout, posed.about.shape, posed.about.axis)

        key = way.label, tuple((k, v.shape) for k, v in sorted(asked.arrays.items()))
        return self._known.get(key, find)

    def _described(self) -> list[Tensor]:
        """Return what answers hold in any case: the score, its target, and attributions of inputs."""
        names = self._wrt
        by_name = {i.name: i for i in self._explainer.inputs}
        infos = [i for i in by_name.values() if i.explained] if names is None else []
        infos += [by_name[n] for n in names or () if n in by_name]
        score = next(o for o in self._explainer.outputs if o.name == self._score)
        told = [
            Tensor.of(score.name, score.dtype, score.shape, "output"),
            Tensor(self.target, np.dtype(np.int64), (-1,)),
        ]
        float32 = np.dtype(np.float32)
        told += [Tensor.of(f"attribution/{i.name}", float32, i.shape, "output") for i in infos]
        return told


def _methods_in(method: Method) -> Sequence[Method]:
    """Return a method and those inside it."""
    inside = [m for held in vars(method).values() if isinstance(held, Method) for m in _methods_in(held)]
    return [method, *inside]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
