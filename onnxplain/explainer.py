"""The facade: a model that answers why."""

from __future__ import annotations

from collections.abc import Sequence

from typing import Any

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays
from onnxplain.attribution import Attribution
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.composite import PRESETS
from onnxplain.backward.program import Question
from onnxplain.errors import DataInputError, MethodError, TargetError
from onnxplain.graph import interface
from onnxplain.graph.heads import before_softmax
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import normalize
from onnxplain.inputs import batch_axes, check_inputs, check_target
from onnxplain.methods import Method, method as make_method
from onnxplain.methods.problem import Call, Problem
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
        return self._predict(check_inputs(inputs, self.inputs))

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
            Where paths start: a number, an array that broadcasts to the input, or a dict by input name.
            Default 0; for token inputs zeros at the embedding, or token ids.
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
        arrays = check_inputs(inputs, self.inputs)
        name = self._output(output)
        infos = self._explained(wrt)
        main = next((i.name for i in infos if i.name in arrays), self.inputs[0].name)
        axes = batch_axes(arrays, self.inputs, main)
        n = arrays[main].shape[0] if axes[main] is not None else 1
        exact = self._exact_batch(main)
        if internal_batch_size is not None and internal_batch_size < 1:
            raise MethodError(f"internal_batch_size is {internal_batch_size}; give at least 1")
        predictions = self._predict(arrays, exact, axes, n)[name]
        found_target, _ = check_target(target, n, predictions.shape, predictions, name)
        entries = tuple(dict.fromkeys(e for i in infos for e in i.entries))
        question = Question(
            name, entries, PRESETS["gradient"], found_target.shape[1], through_softmax=through_softmax
        )
        features, entry_axes = self._features(arrays, infos, axes)
        starts = self._baselines(baselines, infos, arrays, features, axes)
        call = Call(
            self._programs,
            question,
            found_target,
            {k: v for k, v in arrays.items() if k not in features},
            {**axes, **entry_axes},
            exact or self._batch_size(internal_batch_size, arrays, axes, features),
            exact,
            progress,
        )
        found = chosen.attribute(Problem(call, features, np.arange(n), starts))
        values = {i.name: self._back(i, found.values, arrays, axes) for i in infos}
        total = sum(v.reshape(n, -1).astype(np.float64).sum(1) for v in found.values.values())
        program, _ = self._programs.program(question)
        return Attribution(
            arrays=values,
            inputs={i.name: arrays[i.name] for i in infos if i.name in arrays},
            target=found_target,
            score=found.score,
            predictions=predictions,
            delta=None if found.reference is None else np.asarray(total - found.reference),
            reference=found.reference,
            method=repr(chosen),
            output=(name, program.explained),
            rule_table=tuple(row for table in call.rule_tables for row in table),
            notes=self._notes(name, through_softmax, exact, infos),
            extras=found.extras,
        )

    def _output(self, name: str | None) -> str:
        floats = [o.name for o in self.outputs if o.dtype is not None and o.dtype.kind == "f"]
        if name is None:
            if not floats:
                raise TargetError("no output of the model is made of floats, so there is no score to explain")
            return floats[0]
        if name not in [o.name for o in self.outputs]:
            names = ", ".join(o.name for o in self.outputs)
            raise TargetError(f"the model has no output '{name}'; it has {names}")
        if name not in floats:
            raise TargetError(f"output '{name}' is not made of floats; explain one of {', '.join(floats)}")
        return name

    def _explained(self, wrt: str | Sequence[str] | None) -> list[InputInfo]:
        """Return what is explained; an inner value appears as an input of its own name."""
        if wrt is None:
            found = [i for i in self.inputs if i.explained]
            if not found:
                raise DataInputError("no input of the model is numeric; use a perturbation method")
            return found
        names = [wrt] if isinstance(wrt, str) else list(wrt)
        by_name = {i.name: i for i in self.inputs}
        result = []
        for name in names:
            info = by_name.get(name, InputInfo(name, None, None, "float", (name,)))
            if not info.entries:
                raise DataInputError(
                    f"input '{name}' is not float and reaches no embedding, so it has no gradient; explain "
                    "another input, or use a perturbation method"
                )
            result.append(info)
        return result

    def _exact_batch(self, main: str) -> int | None:
        shape = next(i.shape for i in self.inputs if i.name == main)
        first = shape[0] if shape else None
        return first if isinstance(first, int) and first > 0 else None

    def _predict(
        self, arrays: Arrays, exact: int | None = None, axes: dict[str, int | None] | None = None, n: int = 1
    ) -> Arrays:
        names = tuple(o.name for o in self.outputs)
        if exact is None or axes is None or n == exact:
            return self._programs.values(names, arrays)
        pieces: list[Arrays] = []
        for start in range(0, n, exact):
            rows = np.minimum(np.arange(start, start + exact), n - 1)
            part = {k: v if (a := axes[k]) is None else np.take(v, rows, axis=a) for k, v in arrays.items()}
            made = self._programs.values(names, part)
            kept = min(exact, n - start)
            pieces.append({k: v[:kept] if v.ndim and len(v) == exact else v for k, v in made.items()})
        return {k: np.concatenate([p[k] for p in pieces]) if pieces[0][k].ndim else pieces[0][k] for k in names}

    def _features(
        self, arrays: Arrays, infos: Sequence[InputInfo], axes: dict[str, int | None]
    ) -> tuple[Arrays, dict[str, int | None]]:
        """Return what is varied, batch axis first: float inputs, embeddings, inner values."""
        features: Arrays = {}
        entry_axes: dict[str, int | None] = {}
        for info in infos:
            inner = tuple(e for e in info.entries if e not in arrays)
            made = self._inner(inner, arrays) if inner else {}
            for entry in info.entries:
                array = arrays[entry] if entry in arrays else made[entry]
                axis = axes[entry] if entry in arrays else 0
                entry_axes[entry] = axis
                features[entry] = array[None] if axis is None else np.moveaxis(array, axis, 0)
        return features, entry_axes

    def _inner(self, names: tuple[str, ...], arrays: Arrays) -> Arrays:
        known = {v.name for node in self._normal.model.graph for v in node.outputs}
        for name in names:
            if name not in known:
                inputs = ", ".join(i.name for i in self.inputs)
                raise DataInputError(
                    f"the model has no input or inner value '{name}'; its inputs are {inputs}, and a viewer such as "
                    "netron shows the inner values"
                )
        return self._programs.values(names, arrays)

    def _baselines(
        self,
        given: ArrayLike | float | None,
        infos: Sequence[InputInfo],
        arrays: Arrays,
        features: Arrays,
        axes: dict[str, int | None],
    ) -> Arrays:
        by_name: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
        if given is not None and not isinstance(given, dict):
            if len(infos) != 1:
                raise DataInputError("several inputs are explained; give baselines as a dict by input name")
            by_name = {infos[0].name: given}
        unknown = [k for k in by_name if k not in [i.name for i in infos]]
        if unknown:
            raise DataInputError(f"baseline for '{unknown[0]}', which is not explained")
        out: Arrays = {}
        for info in infos:
            start = by_name.get(info.name)
            if info.role in ("token", "number") and start is not None:
                ids = np.broadcast_to(np.asarray(start), arrays[info.name].shape).astype(info.dtype)
                made = self._programs.values(info.entries, {**arrays, info.name: ids})
                out |= {e: made[e] for e in info.entries}
                continue
            for entry in info.entries:
                out[entry] = self._baseline(start, entry, features[entry], axes.get(entry, 0))
        return out

    @staticmethod
    def _baseline(start: Any, name: str, feature: Array, axis: int | None) -> Array:
        if start is None:
            return np.zeros_like(feature)
        array = np.asarray(start)
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataInputError(f"the baseline of '{name}' must be finite numbers")
        if axis is not None and array.ndim == feature.ndim:
            array = np.moveaxis(array, axis, 0)
        try:
            return np.array(np.broadcast_to(array, feature.shape), feature.dtype)
        except ValueError:
            raise DataInputError(
                f"the baseline of '{name}' has shape {array.shape}, which does not broadcast to {feature.shape}"
            ) from None

    def _batch_size(
        self, wanted: int | None, arrays: Arrays, axes: dict[str, int | None], features: Arrays
    ) -> int:
        loose = [k for k, v in arrays.items() if axes[k] is None and v.ndim and k not in features]
        if any(axes.get(k, 0) is None for k in features) or (loose and len(next(iter(features.values()))) == 1):
            return 1
        if wanted is not None:
            return wanted
        shapes = {
            k: tuple(1 if axis == axes[k] else d for axis, d in enumerate(v.shape)) for k, v in arrays.items()
        }
        return self._memory.batch_size(shapes, self.memory_budget)

    def _back(
        self, info: InputInfo, values: Arrays, arrays: Arrays, axes: dict[str, int | None]
    ) -> Array:
        """Bring attributions into the input's shape; those of embeddings are summed over their axes."""
        total: Any = 0
        for entry in info.entries:
            array = values[entry]
            if info.role in ("token", "number"):
                array = array.sum(axis=tuple(range(arrays[info.name].ndim, array.ndim)))
                array = array.reshape(arrays[info.name].shape)
            elif entry in arrays:
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
        notes += [f"input '{i.name}' holds tokens and is explained at its embedding" for i in infos if i.token]
        return tuple(notes)


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
