"""One model that answers: its programs, what is known of its samples, the way from a request to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from onnxplain._types import ArrayLike, Arrays
from onnxplain.attribution import Attribution
from onnxplain.backward.asks import Ask, Scores
from onnxplain.backward.question import Question
from onnxplain.baselines import find_baselines, usual
from onnxplain.batching import Batching, SampleOutput, one_sample
from onnxplain.graph import facts, interface
from onnxplain.graph.interface import InputInfo
from onnxplain.graph.normalize import Normalized
from onnxplain.grouping import find_players
from onnxplain.inner import Inner
from onnxplain.inputs import check_inputs
from onnxplain.methods import Method, attributions
from onnxplain.outcome import confirm, notes_on_tokens, refuse_not_finite
from onnxplain.placing import renamed
from onnxplain.reading import depends
from onnxplain.request import Request
from onnxplain.runtime.device import resolve
from onnxplain.runtime.driver import Driver
from onnxplain.runtime.memory import MemoryModel, SizeOf
from onnxplain.runtime.opened import known_channel, opened_at
from onnxplain.runtime.operators import accelerated
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.programs import Programs
from onnxplain.runtime.room import Room
from onnxplain.runtime.weights import WeightStore
from onnxplain.samples import Samples, find_samples
from onnxplain.stance import Stance, Stances
from onnxplain.targets.resolve import resolve_target
from onnxplain.versions import versions

__all__ = ["Answering", "Posed"]


class Posed(NamedTuple):
    """A request as a problem, and what is known of it besides.

    Attributes
    ----------
    problem
        What a method works on.
    method
        The method, with values inside named as the graph names them.
    question
        What is explained.
    about
        What one sample's output looks like.
    infos
        The inputs that are varied.
    samples
        Where samples lie in what is shown.
    inside
        What is shown, batch axis first: the features, or the layers that a method looks at.
    names
        Names of columns by input.
    explained
        Name of the value inside the graph that is explained for the output.
    notes
        What a person may want to know of how samples were found and are run.
    """

    problem: Problem
    method: Method
    question: Question
    about: SampleOutput
    infos: Sequence[InputInfo]
    samples: Samples
    inside: Arrays
    names: Mapping[str, Any]
    explained: str
    notes: tuple[str, ...]


class Answering:
    """Explains requests about one model; safe to use from several threads.

    Parameters
    ----------
    normal
        The model.
    device, memory_budget, threads, allow_tf32, accelerate
        As :class:`~onnxplain.Explainer` takes them.
    weights
        Holds weights that other models share; None: its own.
    """

    def __init__(
        self,
        normal: Normalized,
        device: str,
        memory_budget: int,
        threads: int | None,
        allow_tf32: bool,
        accelerate: bool | str = "auto",
        weights: WeightStore | None = None,
    ) -> None:
        self.normal = normal
        self.inner = Inner(normal)
        self.inputs = interface.inputs_of(normal.model.graph)
        self.outputs = interface.outputs_of(normal.model.graph)
        self.memory_budget = memory_budget
        self._memory = MemoryModel(normal.model)
        self._dependent: dict[tuple[str, str], bool] = {}
        self._batching = Batching(normal.model, self.inputs)
        where = resolve(device)
        self.programs = Programs(
            normal, where, threads, memory_budget,
            allow_tf32=allow_tf32, weights=weights, accelerate=accelerated(accelerate, where),
            at_once=accelerate is True,
        )  # fmt: skip
        self._stances = Stances(
            normal, self.inputs, self.inner, self._batching, self._depends, self.programs.check
        )

    def pose(self, request: Request) -> Posed:
        """Make a problem of a request; :class:`~onnxplain.Explainer` says what is raised."""
        chosen = request.method
        if not chosen.steady:
            chosen = renamed(chosen, self.inner.value)
        said = chosen.said()
        needs = said.needs
        arrays = check_inputs(request.inputs, self.inputs, walked=not isinstance(needs, Scores))
        stance = self._stances.of(request, needs, said.margins, arrays, self.samples)
        infos, about, name = stance.infos, stance.about, stance.question.output
        samples = Samples(
            arrays, infos, stance.layout, self._batching, self.programs.values, self.programs.positions,
            stance.shapes, stance.layouts,
        )  # fmt: skip
        asked = "predicted" if request.target is None and not said.wants_target else request.target
        target = resolve_target(
            asked, samples, about, stance.outputs, name, stance.others, lambda: self._channel(samples, name)
        )
        question = stance.asked(target.kind, target.axes)
        features, samples = samples.features()
        inside, shown = features, samples
        if said.layers:
            layers = [self.inner.explained(layer) for layer in said.layers]
            inside, shown = replace(samples, infos=layers).features()
        layout, columns, channel = shown.layout, request.columns, partial(self._channel, samples)
        names = columns.labels(infos, arrays, layout.axes) if columns.names else {}
        given = request.baselines
        if given is None and said.default_baseline is not None:
            given = usual(said.default_baseline, infos, features)
        if given is not None:
            given = columns.instead(given, infos)
        starts, background = find_baselines(
            given, infos, arrays, features, layout, samples.values, many=said.reads_rows, channel=channel
        )
        alone = arrays.keys() == features.keys()
        fixed = {} if alone else {k: v for k, v in arrays.items() if k not in features}
        each = partial(self._room, stance, request.internal_batch_size, samples, features)
        room = Room(partial(each, self._memory.batch_size), partial(each, self._memory.fitting))
        driver = Driver(self.programs, question, layout, fixed, room, needs, progress=request.progress)
        players = None
        if request.feature_mask is not None:
            mask = columns.mask(request.feature_mask, infos)
            players = find_players(mask, infos, features, layout, channel)
        problem = Problem(
            driver, features, np.arange(layout.n), target.values, starts, background, players,
            reader=target.reader,
        )  # fmt: skip
        return Posed(
            problem, chosen, question, about, infos, shown, inside, names, stance.explained, stance.notes
        )

    def settle(self, request: Request) -> Posed:
        """Make a problem of a request, and ask for the scores of its samples.

        The problem then knows them, and what is predicted; and the output is known to have the shape that was
        taken for it.
        """
        posed = self.pose(request)
        predictions = np.asarray(posed.problem.here().predictions)
        if posed.about.rows(predictions).shape != (posed.samples.n, *posed.about.shape):
            posed.samples.values((posed.question.output,))
            return self.settle(request)
        return posed._replace(problem=posed.problem.resolved())

    def explain(self, request: Request) -> Attribution:
        """Explain a batch by the graph as it was read; :class:`~onnxplain.Explainer` says what is raised."""
        posed = self.pose(request)
        problem, chosen, about = posed.problem, posed.method, posed.about
        question, shown, inside = posed.question, posed.samples, posed.inside
        layout, driver, columns, name = shown.layout, problem.driver, request.columns, question.output
        found = attributions(chosen, problem)
        seen = problem.here()
        if found.values is not seen.values:  # these were looked at, row by row, as they came
            refuse_not_finite(inside, found.values)
        predictions = np.asarray(seen.predictions)
        rows = about.rows(predictions)
        if rows.shape != (layout.n, *about.shape):  # shape inference was wrong
            shown.values((name,))
            return self.explain(request)
        index = problem.target if seen.index is None else seen.index
        explained = posed.explained
        if explained == name:
            confirm(seen.score, rows, index, name)
        tables = driver.rule_tables
        table = tables[0] if len(tables) == 1 else tuple(chain.from_iterable(tables))
        extras = dict(found.extras)
        if found.errors is not None:
            extras["standard_error"] = found.errors
        if request.feature_mask is not None:
            groups = columns.grouped(request.feature_mask, posed.infos)
            if groups:
                extras["groups"] = groups
        arrays: Arrays = {}
        inputs: Arrays = {}
        axes: dict[str, int | None] = {}
        notes: tuple[str, ...] = ()
        for info in shown.infos:
            shows = info.name
            arrays[shows] = shown.back(info, found.values)
            inputs[shows] = shown.arrays[shows] if shows in shown.arrays else shown.back(info, inside)
            axes[shows] = layout.axes[shows]
            if info.role == "token":
                notes += tuple(notes_on_tokens([info], shown.back, found.values, arrays))
        names = posed.names and {k: v for k, v in posed.names.items() if k in inside}
        return Attribution.made(
            arrays=arrays,
            inputs=inputs,
            target=index,
            score=seen.score if found.score is None else found.score,
            predictions=predictions,
            check=found.check,
            method=chosen,
            output=(name, explained),
            rule_table=table,
            notes=(
                *self.normal.notes,
                *posed.notes,
                *notes,
                *found.notes,
                *question.walk.composite.remarks(table),
            ),
            extras=extras,
            model_hash=self.normal.content,
            seed=getattr(chosen, "seed", None),
            versions=versions(),
            feature_names=names or None,
            sample_axes=axes,
        )

    def samples(
        self,
        arrays: Arrays,
        infos: Sequence[InputInfo],
        outputs: tuple[str, ...],
        batch_axes: int | Mapping[str, int | None] | None,
    ) -> Samples:
        """Find the samples in arrays; see :func:`~onnxplain.samples.find_samples`."""
        run, positions = self.programs.values, self.programs.positions
        return find_samples(arrays, infos, self.inputs, outputs, self._batching, run, positions, batch_axes)

    def inside(self, inputs: ArrayLike, names: Sequence[str]) -> Arrays:
        """Run the model, and return outputs or values inside it, samples first.

        Parameters
        ----------
        inputs
            An array, or arrays by input name.
        names
            Of values, or of the nodes that make them.

        Returns
        -------
        dict of arrays, (N, ...) by name.

        Raises
        ------
        DataInputError
            If there is none of a name, or the inputs do not fit.
        """
        arrays = check_inputs(inputs, self.inputs, walked=False)
        values = {name: self.inner.value(name) for name in names}
        samples = self.samples(arrays, (), tuple(values.values()), None)
        return {name: samples.rows(value) for name, value in values.items()}

    def _depends(self, output: str, info: InputInfo) -> bool:
        """Tell whether an output depends differentiably on an input; found out once."""
        key = output, info.name
        if key not in self._dependent:
            self._dependent[key] = depends(self.normal, output, info)
        return self._dependent[key]

    def _channel(self, samples: Samples, name: str) -> int | None:
        """Return a value's axis of channels, samples first; None where the graph does not tell it."""
        layout = samples.layout
        model = opened_at(self.programs, layout, samples.arrays)
        shape = facts.dims(model.values[name]) if name in model.values else None
        axis = layout.axes[name] if name in layout.axes else layout.axis_of(name, shape)
        return known_channel(model, name, axis)

    def _room(
        self, stance: Stance, wanted: int | None, samples: Samples, features: Arrays, size: SizeOf, ask: Ask
    ) -> int:
        """Return how many rows are run at once for an ask, if the memory model says by ``size``."""
        if wanted is not None:
            return self._rows(wanted, samples, features, size, ask)
        known = stance.sizes.get((size, ask))
        if known is None:
            known = stance.sizes[size, ask] = self._rows(None, samples, features, size, ask)
        return known

    def _rows(self, wanted: int | None, samples: Samples, features: Arrays, size: SizeOf, ask: Ask) -> int:
        """Find what :meth:`_room` returns."""
        layout = samples.layout
        if layout.exact is not None:
            return layout.exact
        if layout.whole or any(layout.axes[k] is None for k in features):
            return 1
        if wanted is not None:
            return wanted
        inputs = {k: layout.axes[k] for k in samples.arrays}
        return size(one_sample(samples.shapes, inputs), self.memory_budget, ask)
