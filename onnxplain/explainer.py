"""The facade: a model that answers why."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from onnxplain._types import ArrayLike, Arrays
from onnxplain.asked import understand
from onnxplain.attribution import Attribution
from onnxplain.automatic import AUTO, explain_best
from onnxplain.backward.asks import Ask, Scores
from onnxplain.backward.question import explained_value
from onnxplain.baselines import Baselines, find_baselines
from onnxplain.batching import Batching, one_sample
from onnxplain.columns import find_columns
from onnxplain.errors import (
    NotExplainableError,
    OnnxplainError,
    UnsupportedOperatorError,
    UnsupportedRuleError,
)
from onnxplain.forking import quiet
from onnxplain.graph import interface
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.packing import pack, unpack
from onnxplain.grouping import Grouping, find_players
from onnxplain.inputs import check_inputs
from onnxplain.methods import Method, attributions
from onnxplain.methods import method as make_method
from onnxplain.options import Bytes, Count, check_option
from onnxplain.outcome import confirm, note_on_score, notes_on, refuse_not_finite
from onnxplain.reading import depends, read
from onnxplain.request import Request
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.device import resolve
from onnxplain.runtime.driver import Driver
from onnxplain.runtime.memory import DEFAULT_BUDGET, MemoryModel
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.programs import Programs
from onnxplain.samples import Samples, find_samples
from onnxplain.specialised import leaves_ranks_open, specialised
from onnxplain.targets.resolve import outputs_read, resolve_target
from onnxplain.versions import versions

__all__ = ["Explainer", "explain"]

#: Forms of a model for inputs of certain shapes that are kept, where only these tell what is needed.
_MOST_SHAPES = 4


class Explainer:
    """Explains one model; reads and checks it once, and may be called from several threads.

    Explainers can be pickled and copied, and used in forked processes; the model travels along, and is
    compiled anew there.

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
    allow_tf32
        Let a GPU compute products of float32 with 10 bits of mantissa (TF32), which is faster and less exact.

    Attributes
    ----------
    inputs, outputs
        What the model takes and gives.
    notes
        What was changed while reading.
    metadata
        What the model says of itself, by key.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If the model cannot be read.
    RuntimeUnavailableError
        If the device is not there, or onnxruntime would run on another.

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
        allow_tf32: bool = False,
    ) -> None:
        resolve(device)
        memory_budget = check_option("memory_budget", memory_budget, Bytes)
        threads = check_option("threads", threads, Count | None)
        allow_tf32 = check_option("allow_tf32", allow_tf32, bool)
        with quiet:
            normal = read(model, identify=True)
        self._open(normal, (device, memory_budget, threads, allow_tf32))

    def _open(self, normal: Normalized, options: tuple[str, int, int | None, bool]) -> None:
        device, memory_budget, threads, allow_tf32 = options
        self._normal, self._options = normal, options
        self.inputs: tuple[InputInfo, ...] = interface.inputs_of(normal.model.graph)
        self.outputs: tuple[OutputInfo, ...] = interface.outputs_of(normal.model.graph)
        self.notes, self.metadata = normal.notes, normal.model.metadata_props
        self.memory_budget = memory_budget
        self._memory = MemoryModel(normal.model)
        self._dependent: dict[tuple[str, str], bool] = {}
        self._fixed: Cache[Explainer] = Cache(_MOST_SHAPES, 0, lambda _: 0)
        self._batching = Batching(normal.model, self.inputs)
        self._programs = Programs(normal, resolve(device), threads, memory_budget, allow_tf32=allow_tf32)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": pack(self._normal), "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(unpack(state["model"]), state["options"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Explainer:
        return copy.copy(self)  # weights are not written to: both may have the same

    @property
    def device(self) -> str:
        """Where programs run: ``"cpu"`` or ``"cuda"``."""
        return self._programs.device

    def predict(self, inputs: ArrayLike) -> Arrays:
        """Run the model as it is, on arrays or a table as in :meth:`__call__`.

        Returns
        -------
        dict of arrays, by output name.
        """
        _, inputs = find_columns(inputs, None, self.inputs, self.metadata)
        arrays = check_inputs(inputs, self.inputs, walked=False)
        names = tuple(o.name for o in self.outputs)
        return self._samples(arrays, (), names, None).values(names)

    def __call__(
        self,
        inputs: ArrayLike,
        target: Any = None,
        method: str | Method = "integrated_gradients",
        *,
        baselines: Baselines | None = None,
        feature_mask: Grouping | None = None,
        feature_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        output: str | None = None,
        wrt: str | Sequence[str] | None = None,
        through_softmax: bool = False,
        batch_axes: int | Mapping[str, int | None] | None = None,
        internal_batch_size: int | None = None,
        progress: bool = False,
        **parameters: Any,
    ) -> Attribution:
        """Explain a batch.

        Parameters
        ----------
        inputs
            (N, ...) array, or arrays by input name; or a table (data frame, Arrow table, structured array,
            dict of columns): each column is the input of its name, or all are one input (N, C).
        target
            Which score: an int, a list with one per sample, an index tuple for outputs with more axes (or a
            list of one per sample), ``"predicted"`` for each sample's highest, None for a model with a single
            score.  It indexes one sample's output; where the arrays are one sample, the whole output.
            ``ox.Weights(array)`` is a weighted sum, ``ox.Region(mask, class_)`` a part of a map,
            ``ox.Detection(box, class_)`` what a detector finds in a box.
        method
            A method, or its name (see ``onnxplain.METHODS``), with its parameters as further keywords; or
            ``"auto"``: exact for trees and linear models, else one walk back, else player by player.
        baselines
            Where paths start, what is compared with, or what stands where something is taken away: a number,
            an array that broadcasts to the input; ``"zero"``, ``"blur"`` or ``ox.Blur(sigma)``, ``"mean"`` or
            ``ox.Mean()``, made of each sample; or a dict of such by input name.  Default 0, or the empty
            text; for token inputs that are walked back to zeros at the embedding, or token ids.
            ``ox.Background(rows)`` takes each of many rows for a baseline, and averages; ``"deep_lift_shap"``
            reads arrays so, too.  Methods that have no baselines refuse them.
        feature_mask
            Which elements are kept or taken away together, for methods that do so: integers that broadcast to
            the input, one number for each group, -1 for what always stays; ``"tokens"`` (places along the
            axis behind the samples), ``"columns"`` (along the last axis), ``"inputs"`` (each as a whole),
            ``"segments"`` or ``ox.Segments(...)`` (of images); or a dict of such by input name.  Default:
            ``"elements"``, each is a group of its own.  Or columns by the group's name,
            ``{"address": ["street", "city"]}``; others are groups of their own.
        feature_names
            Names of the columns of an input (N, C), in the order in which the model takes them (or a dict of
            such by input name): a table's columns are matched by them, and the result holds them.  Default:
            those in the model's metadata (``feature_names``, in JSON), or the table's own in its order.
        output
            Name of the output to explain (default: the first of floats).
        wrt
            Names of the inputs to explain, or of values inside the graph.  Default: float inputs, or else
            token inputs, at their embedding, that the score depends on (for methods that ask for scores
            alone, inputs of any type, as they are); masks, lengths, rates and states are taken as given
            where there is anything else.
        through_softmax
            Explain the probability of a classifier that ends in Softmax, instead of the score before it.
        batch_axes
            Where samples lie in the inputs: an axis, or axes by input name (None where all samples share an
            input; inputs that are left out have none).  Default: where the graph proves that samples do not
            touch one another (axis 0, or the one named after the batch); if nowhere, the arrays are one
            sample, and the result's notes say why.  What is given here and not proven is checked by running.
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
        NotFiniteError
            If NaN or infinite numbers come out, although the inputs are finite.
        """
        if method == AUTO:
            again = partial(
                self, inputs, target, feature_mask=feature_mask, feature_names=feature_names, output=output,
                wrt=wrt, through_softmax=through_softmax, batch_axes=batch_axes,
                internal_batch_size=internal_batch_size, progress=progress,
            )  # fmt: skip
            graph, grouped = self._normal.model.graph, feature_mask is not None
            return explain_best(again, graph, self.inputs, baselines, grouped=grouped, parameters=parameters)
        chosen = make_method(method, **parameters)
        request = Request(
            inputs, target, chosen, baselines, feature_mask, output, wrt, through_softmax, batch_axes,
            internal_batch_size, progress,
        ).checked()  # fmt: skip
        columns, inputs = find_columns(inputs, feature_names, self.inputs, self.metadata)
        request = replace(request, inputs=inputs, columns=columns)
        try:
            return self._explain(request)
        except (UnsupportedOperatorError, UnsupportedRuleError, NotExplainableError) as error:
            inner = self._at_shapes(inputs)
            if inner is None:
                raise
            try:
                found = inner._explain(request)
            except OnnxplainError:
                raise error from None
        return replace(found, notes=(*found.notes, "the graph was written anew for inputs of these shapes"))

    def _at_shapes(self, inputs: ArrayLike) -> Explainer | None:
        """Return an explainer for inputs of just these shapes; None if that tells nothing more."""
        if not leaves_ranks_open(self._normal):
            return None
        shapes = {k: v.shape for k, v in check_inputs(inputs, self.inputs, walked=False).items()}
        if all(i.shape == shapes[i.name] for i in self.inputs):
            return None

        def make() -> Explainer:
            made = Explainer.__new__(Explainer)
            made._open(specialised(self._normal, shapes), self._options)
            return made

        return self._fixed.get(tuple(sorted(shapes.items())), make)

    def _explain(self, request: Request) -> Attribution:
        """Explain a batch by the graph as it was read."""
        chosen, needs = request.method, request.method.needs()
        walked = not isinstance(needs, Scores)
        arrays = check_inputs(request.inputs, self.inputs, walked=walked)
        infos, question = understand(
            self.inputs,
            self.outputs,
            needs,
            request.output,
            request.wrt,
            request.through_softmax,
            self._depends,
            margins=chosen.margins(),
        )
        name = question.output
        others = outputs_read(request.target, self.outputs, name)
        samples = self._samples(arrays, infos, (name, *others), request.batch_axes)
        self._programs.check(question)
        about = samples.output(name)
        if about is None:
            samples.values((name,))
            about = samples.output(name)
            assert about is not None
        target = resolve_target(request.target, samples, about, self.outputs, name, others)
        question = replace(question, target_axes=target.axes, output_axis=about.axis, target=target.kind)
        features, samples = samples.features()
        layout = samples.layout
        columns = request.columns
        names = columns.labels(infos, arrays, layout.axes)
        instead = columns.instead(request.baselines, infos)
        starts, background = find_baselines(
            instead, infos, arrays, features, layout, samples.values, many=chosen.takes_background
        )
        fixed = {k: v for k, v in arrays.items() if k not in features}
        room = partial(self._room, request.internal_batch_size, samples, features)
        driver = Driver(self._programs, question, layout, fixed, room, needs, progress=request.progress)
        players = find_players(columns.mask(request.feature_mask, infos), infos, features, layout)
        problem = Problem(driver, features, np.arange(samples.n), target.values, starts, background, players)
        found = attributions(chosen, problem)
        refuse_not_finite(features, found.values)
        seen = problem.here()
        predictions = np.asarray(seen.predictions)
        if about.rows(predictions).shape != (samples.n, *about.shape):  # shape inference was wrong
            samples.values((name,))
            return self._explain(request)
        index = target.values if seen.index is None else seen.index
        explained = explained_value(self._normal, question)
        if explained == name:
            confirm(seen.score, about.rows(predictions), index, name)
        table = tuple(row for rows in driver.rule_tables for row in rows)
        extras = dict(found.extras) | ({} if found.errors is None else {"standard_error": found.errors})
        groups = columns.grouped(request.feature_mask, infos)
        return Attribution(
            arrays={i.name: samples.back(i, found.values) for i in infos},
            inputs={i.name: arrays[i.name] if i.name in arrays else samples.back(i, features) for i in infos},
            target=index,
            score=seen.score,
            predictions=predictions,
            check=found.check,
            method=chosen,
            output=(name, explained),
            rule_table=table,
            notes=(
                *self.notes,
                *note_on_score(self._normal.model.graph, name, explained),
                *notes_on(layout, infos),
                *found.notes,
                *question.walk.composite.remarks(table),
            ),
            extras=extras | ({"groups": groups} if groups else {}),
            model_hash=self._normal.content,
            seed=getattr(chosen, "seed", None),
            versions=versions(),
            feature_names=names or None,
            sample_axes={i.name: layout.axes[i.name] for i in infos},
        )

    def _depends(self, output: str, info: InputInfo) -> bool:
        """Tell whether an output depends differentiably on an input; found out once."""
        key = output, info.name
        if key not in self._dependent:
            self._dependent[key] = depends(self._normal, output, info)
        return self._dependent[key]

    def _samples(
        self,
        arrays: Arrays,
        infos: Sequence[InputInfo],
        outputs: tuple[str, ...],
        batch_axes: int | Mapping[str, int | None] | None,
    ) -> Samples:
        run, positions = self._programs.values, self._programs.positions
        return find_samples(arrays, infos, self.inputs, outputs, self._batching, run, positions, batch_axes)

    def _room(self, wanted: int | None, samples: Samples, features: Arrays, ask: Ask) -> int:
        """Return how many rows fit at once for an ask."""
        layout = samples.layout
        if layout.exact is not None:
            return layout.exact
        if layout.whole or any(layout.axes[k] is None for k in features):
            return 1
        if wanted is not None:
            return wanted
        inputs = {k: layout.axes[k] for k in samples.arrays}
        return self._memory.batch_size(one_sample(samples.shapes, inputs), self.memory_budget, ask)


def explain(model: ModelSource, inputs: ArrayLike, target: Any = None, **options: Any) -> Attribution:
    """Explain one batch of one model; see :class:`Explainer` for many.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    inputs, target, **options
        As :meth:`Explainer.__call__` takes them; ``device``, ``memory_budget``, ``threads`` and
        ``allow_tf32`` go to the explainer.

    Returns
    -------
    Attribution
    """
    mine = {k: options.pop(k) for k in ("device", "memory_budget", "threads", "allow_tf32") if k in options}
    return Explainer(model, **mine)(inputs, target, **options)
