"""The facade: a model that answers why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays, IntArray
from onnxplain.attribution import Attribution
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import Question, explained_value
from onnxplain.baselines import find_baselines
from onnxplain.errors import DataInputError, MethodError
from onnxplain.graph import interface
from onnxplain.graph.heads import before_softmax
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import normalize
from onnxplain.inputs import (
    check_inputs,
    check_target,
    choose_explained,
    choose_output,
)
from onnxplain.layout import Layout, find_layout
from onnxplain.methods import Method, OnePass
from onnxplain.methods import method as make_method
from onnxplain.methods.problem import Call, Problem
from onnxplain.options import Bytes, Count, check_option
from onnxplain.runtime.device import resolve
from onnxplain.runtime.memory import DEFAULT_BUDGET, MemoryModel
from onnxplain.runtime.programs import Programs

__all__ = ["Explainer", "explain"]


class Explainer:
    """Explains one model; reads and checks it once, and may be called from several threads.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    device
        ``"auto"`` (CUDA if there is one), ``"cpu"`` or ``"cuda"``.
    memory_budget
        Bytes that the activations of one internal batch may take.
    threads
        Threads within an operator; None leaves it to onnxruntime.

    Attributes
    ----------
    inputs, outputs
        What the model takes and gives.
    notes
        What was changed while reading.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If the model cannot be read.
    RuntimeUnavailableError
        If the device is not there.

    Examples
    --------
    >>> import onnxplain as ox
    >>> explainer = ox.Explainer("resnet50.onnx")  # doctest: +SKIP
    >>> result = explainer(image, target=281, method=ox.IntegratedGradients(n_steps=50))  # doctest: +SKIP
    >>> result.values.shape, result.delta  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        device: str = "auto",
        memory_budget: int = DEFAULT_BUDGET,
        threads: int | None = None,
    ) -> None:
        where = resolve(device)
        memory_budget = check_option("memory_budget", memory_budget, Bytes)
        threads = check_option("threads", threads, Count | None)
        normal = normalize(load(model), expand=needs_body)
        self._normal = normal
        self.inputs: tuple[InputInfo, ...] = interface.inputs_of(normal.model.graph)
        self.outputs: tuple[OutputInfo, ...] = interface.outputs_of(normal.model.graph)
        self.notes = normal.notes
        self.memory_budget = memory_budget
        self._memory = MemoryModel(normal.model)
        self._programs = Programs(normal, where, threads)

    @property
    def device(self) -> str:
        """Where programs run: ``"cpu"`` or ``"cuda"``."""
        return self._programs.device

    def predict(self, inputs: ArrayLike) -> Arrays:
        """Run the model as it is.

        Returns
        -------
        dict of arrays, by output name.
        """
        arrays = check_inputs(inputs, self.inputs)
        return self._values(tuple(o.name for o in self.outputs), arrays, self._layout(arrays, ()))

    def __call__(
        self,
        inputs: ArrayLike,
        target: Any = None,
        method: str | Method = "integrated_gradients",
        *,
        baselines: ArrayLike | float | None = None,
        output: str | None = None,
        wrt: str | Sequence[str] | None = None,
        through_softmax: bool = False,
        internal_batch_size: int | None = None,
        progress: bool = False,
        **parameters: Any,
    ) -> Attribution:
        """Explain a batch.

        Parameters
        ----------
        inputs
            (N, ...) array, or arrays by input name.
        target
            Which score: an int, one per sample, an index tuple for outputs with more axes (or one per
            sample), ``"predicted"`` for each sample's highest, None for a model with a single score.
        method
            A method, or its name (see ``onnxplain.METHODS``), with its parameters as further keywords.
        baselines
            Where paths start, or what is compared with: a number, an array that broadcasts to the input, or
            a dict by input name.  Default 0; for token inputs zeros at the embedding, or token ids.  Methods
            that take many references (``"deep_lift_shap"``) read the batch axis as counting these.
        output
            Name of the output to explain (default: the first of floats).
        wrt
            Names of the inputs to explain, or of values inside the graph (default: float inputs, or else
            token inputs, at their embedding).
        through_softmax
            Explain the probability of a classifier that ends in Softmax, instead of the score before it.
        internal_batch_size
            Rows to run at once (default: as many as fit in the memory budget).
        progress
            Show a bar.

        Returns
        -------
        Attribution

        Raises
        ------
        DataInputError, TargetError, MethodError
            If an argument does not fit; before anything is explained.
        NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError
            If the graph does not allow it.
        """
        chosen = make_method(method, **parameters)
        through_softmax = check_option("through_softmax", through_softmax, bool)
        progress = check_option("progress", progress, bool)
        internal_batch_size = check_option(
            "internal_batch_size", internal_batch_size, Count | None, MethodError
        )
        arrays = check_inputs(inputs, self.inputs)
        name = choose_output(self.outputs, output)
        infos = choose_explained(self.inputs, wrt)
        layout = self._layout(arrays, infos)
        question, early = self._question(chosen, name, infos, layout, target, through_softmax)
        predictions: Array | None = None
        if early is not None and isinstance(chosen, OnePass) and not isinstance(target, str):
            found_target = early  # the one walk brings the predictions along
        else:
            predictions = self._values(tuple(o.name for o in self.outputs), arrays, layout)[name]
            found_target, _ = check_target(target, layout.n, predictions.shape, predictions, name)
        question = replace(question, target_axes=found_target.shape[1])
        features, entry_axes = self._features(arrays, infos, layout)
        many = chosen.takes_distribution
        starts = find_baselines(
            baselines, infos, arrays, features, layout, lambda n, fed: self._values(n, fed, layout), many=many
        )
        twice = chosen.question(question).composite.reference  # the activations of the reference too
        budget = self.memory_budget // 2 if twice else self.memory_budget
        call = Call(
            self._programs,
            question,
            found_target,
            {k: v for k, v in arrays.items() if k not in features},
            {**layout.axes, **entry_axes},
            layout.exact or self._batch_size(internal_batch_size, arrays, layout, features, name, budget),
            layout.exact,
            progress,
            with_predictions=predictions is None,
        )
        rows = np.arange(layout.n)
        problem = Problem(call, features, rows, {}, starts) if many else Problem(call, features, rows, starts)
        found = chosen.attribute(problem)
        values = {i.name: self._back(i, found.values, arrays, call.axes) for i in infos}
        total = sum(v.reshape(layout.n, -1).astype(np.float64).sum(1) for v in found.values.values())
        return Attribution(
            arrays=values,
            inputs={
                i.name: arrays[i.name] if i.name in arrays else self._back(i, features, arrays, call.axes)
                for i in infos
            },
            target=found_target,
            score=found.score,
            predictions=np.asarray(found.predictions if predictions is None else predictions),
            delta=None if found.reference is None else np.asarray(total - found.reference),
            reference=found.reference,
            method=repr(chosen),
            output=(name, explained_value(self._normal, question)),
            rule_table=tuple(row for table in call.rule_tables for row in table),
            notes=(*self._notes(name, through_softmax, layout.exact, infos), *_infinite(values)),
            extras=found.extras,
        )

    def _layout(self, arrays: Arrays, infos: Sequence[InputInfo]) -> Layout:
        main = next((i.name for i in infos if i.name in arrays), self.inputs[0].name)
        return find_layout(arrays, self.inputs, self.outputs, main, [i.name for i in infos])

    def _question(
        self,
        method: Method,
        output: str,
        infos: Sequence[InputInfo],
        layout: Layout,
        target: Any,
        through_softmax: bool,
    ) -> tuple[Question, IntArray | None]:
        """Return what to ask, and the target if it is certain; refuse what cannot be asked before a run."""
        entries = tuple(dict.fromkeys(e for i in infos for e in i.entries))
        question = Question(output, entries, through_softmax=through_softmax)
        first = method.question(question)
        self._programs.check(first)
        info = next(o for o in self.outputs if o.name == output)
        main = next((i for i in (*infos, *self.inputs) if i.shape), None)
        shape = layout.output_shape(info, main.shape[0] if main is not None and main.shape else None)
        if shape is None:
            return question, None
        early, _ = check_target(target, layout.n, shape, None, output)
        self._programs.program(replace(first, target_axes=early.shape[1]))
        return question, early

    def _values(self, names: tuple[str, ...], arrays: Arrays, layout: Layout) -> Arrays:
        """Compute outputs or inner values; where the batch is fixed, in pieces."""
        made = [(self._programs.values(names, part), n) for part, n in layout.pieces(arrays)]
        if len(made) == 1 and layout.exact in (None, made[0][1]):
            return made[0][0]
        out: Arrays = {}
        for name in names:
            parts = [
                values[name][:n] if values[name].shape[:1] == (layout.exact,) else values[name]
                for values, n in made
            ]
            out[name] = np.concatenate(parts) if parts[0].ndim else parts[0]
        return out

    def _features(
        self, arrays: Arrays, infos: Sequence[InputInfo], layout: Layout
    ) -> tuple[Arrays, dict[str, int | None]]:
        """Return what is varied, batch axis first: float inputs, embeddings, inner values."""
        features: Arrays = {}
        axes: dict[str, int | None] = {}
        for info in infos:
            inner = tuple(e for e in info.entries if e not in arrays)
            made = self._values(inner, arrays, layout) if inner else {}
            for entry in info.entries:
                array = arrays[entry] if entry in arrays else made[entry]
                axis = layout.axes[entry] if entry in arrays else 0
                if entry not in arrays and array.shape[:1] != (layout.n,):
                    if layout.n != 1:
                        raise DataInputError(
                            f"inner value '{entry}' has shape {array.shape} for {layout.n} samples, so its "
                            "first axis is not the batch; explain one sample at a time"
                        )
                    axis = None
                axes[entry] = axis
                features[entry] = array[None] if axis is None else np.moveaxis(array, axis, 0)
        return features, axes

    def _batch_size(
        self,
        wanted: int | None,
        arrays: Arrays,
        layout: Layout,
        features: Arrays,
        output: str,
        budget: int,
    ) -> int:
        axes = layout.axes
        shape = next(o.shape for o in self.outputs if o.name == output)
        if shape is not None and (not shape or isinstance(shape[0], int)):
            return 1  # the output has no batch axis, so rows would be mixed up
        loose = [k for k, v in arrays.items() if axes[k] is None and v.ndim and k not in features]
        if any(axes.get(k, 0) is None for k in features) or (loose and layout.n == 1):
            return 1
        if wanted is not None:
            return wanted
        shapes = {
            k: tuple(1 if axis == axes[k] else d for axis, d in enumerate(v.shape)) for k, v in arrays.items()
        }
        return self._memory.batch_size(shapes, budget)

    def _back(self, info: InputInfo, values: Arrays, arrays: Arrays, axes: dict[str, int | None]) -> Array:
        """Bring attributions into the input's shape; those of embeddings are summed over their axes."""
        total: Any = 0
        for entry in info.entries:
            array = values[entry]
            if info.role in ("token", "number"):
                array = array.sum(axis=tuple(range(arrays[info.name].ndim, array.ndim)))
                array = array.reshape(arrays[info.name].shape)
            else:
                axis = axes[entry]
                array = array[0] if axis is None else np.moveaxis(array, 0, axis)
            total = total + array
        return np.asarray(total)

    def _notes(
        self, output: str, through: bool, exact: int | None, infos: Sequence[InputInfo]
    ) -> tuple[str, ...]:
        notes = list(self.notes)
        value = next(v for v in self._normal.model.graph.outputs if v.name == output)
        if before_softmax(value) is not None and not through:
            notes.append("the score before the closing Softmax is explained")
        if exact is not None:
            how = "one by one" if exact == 1 else f"in batches of exactly {exact}"
            notes.append(f"the model has a fixed batch size, so samples are run {how}")
        notes += [
            f"input '{i.name}' holds tokens and is explained at its embedding" for i in infos if i.token
        ]
        return tuple(notes)


def _infinite(values: Arrays) -> Iterator[str]:
    """Say where attributions are no finite numbers."""
    for name, array in values.items():
        count = int((~np.isfinite(array)).sum())
        if count:
            yield (
                f"{count} of the {array.size} attributions of '{name}' are NaN or infinite: the slope is so "
                "there, or an option of the method or a baseline is too large or too small"
            )


def explain(model: ModelSource, inputs: ArrayLike, target: Any = None, **options: Any) -> Attribution:
    """Explain one batch of one model; see :class:`Explainer` for many.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    inputs, target, **options
        As :meth:`Explainer.__call__` takes them; ``device`` and ``memory_budget`` go to the explainer.

    Returns
    -------
    Attribution
    """
    mine = {k: options.pop(k) for k in ("device", "memory_budget", "threads") if k in options}
    return Explainer(model, **mine)(inputs, target, **options)
