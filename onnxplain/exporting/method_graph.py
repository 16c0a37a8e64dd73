"""One method's graph: the model's outputs, what the method finds, and what can be checked of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.asked import understand
from onnxplain.backward.program import build
from onnxplain.backward.question import Question, find_output
from onnxplain.baselines import refuse_unused
from onnxplain.batching import without
from onnxplain.errors import MethodError, TargetError
from onnxplain.exporting.channelled import write_channelled
from onnxplain.exporting.constants import background_rows, constant_baselines, constant_players, holds_rows
from onnxplain.exporting.lengths import layout_of_lengths
from onnxplain.exporting.mapped import one_sample, write_mapped
from onnxplain.exporting.outputs import (
    drop_unused,
    finish_outputs,
    name_checks,
    name_extras,
    name_index,
    values_of,
)
from onnxplain.exporting.planned import Compared, Planned, write_plan
from onnxplain.features.removal import Background
from onnxplain.graph import facts, interface
from onnxplain.graph.normalize import Normalized
from onnxplain.grouping import Grouping, refuse_mask
from onnxplain.inner import Inner
from onnxplain.loops import plan_of, refuse_unplanned
from onnxplain.maps import can_be_mapped
from onnxplain.methods import AblationCam, Method, OnePass, ScoreCam
from onnxplain.methods.inner.base import AtLayer
from onnxplain.placing import renamed
from onnxplain.reading import depends
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.programs import Form, lower

__all__ = ["MethodGraph", "Setting"]


@dataclass(frozen=True)
class MethodGraph:
    """A graph that predicts and explains.

    Attributes
    ----------
    model
        Inputs: those of the model, then the target, if it takes one.  Outputs: those of the model, then
        ``attribution/<input>``, what can be checked, and the target's index if that may be predicted.
    target
        Name of the target's input; None for single scores.
    main, axis
        An input of the model, and the axis along which its samples lie; None where it is one sample.
    score
        The explained output, and its target's length.
    score_axis
        The output's axis of samples; None where it is one sample's.
    classes
        How many scores a sample has, where a target is one number and that is known.
    sample_axes
        By attribution (and what is as large): the axis along which its samples lie, where they do.
    explained
        Names of the explained inputs.
    mixed
        Why the inputs are one sample; None where samples lie along a batch axis.
    """

    model: ir.Model
    target: str | None
    main: str
    axis: int | None
    score: tuple[str, int]
    score_axis: int | None
    classes: int | None
    sample_axes: Mapping[str, int]
    explained: tuple[str, ...]
    mixed: str | None


@dataclass(frozen=True)
class Setting:
    """What is the same for all methods of a file.

    Attributes
    ----------
    normal
        The model.
    output, wrt, through_softmax, baselines, feature_mask
        As :func:`onnxplain.export` takes them.
    form
        For whom the file is.
    at_once
        Points of a block.
    axes
        Where samples lie in inputs whose lengths were fixed, by what the model said before.
    predicted
        Whether -1 as target stands for what is predicted, and the target's index is an output.
    """

    normal: Normalized
    output: str | None
    wrt: str | Sequence[str] | None
    through_softmax: bool
    baselines: Any
    feature_mask: Grouping | None
    form: Form
    at_once: int
    predicted: bool
    axes: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def inner(self) -> Inner:
        """Of the model."""
        return Inner(self.normal)

    def for_one_of(self, chosen: Method, all_: Collection[Method]) -> Setting:
        """Return this without what another of the methods takes, and this one does not."""
        baselines = chosen.wants_baselines() or not any(m.wants_baselines() for m in all_)
        players = chosen.wants_players() or not any(m.wants_players() for m in all_)
        return replace(
            self,
            baselines=self.baselines if baselines else None,
            feature_mask=self.feature_mask if players else None,
        )

    def write(self, chosen: Method, label: str | None = None) -> MethodGraph:
        """Write a method's graph.

        Parameters
        ----------
        chosen
            The method.
        label
            What its outputs are called after, before the input's name; None: the input alone.
        """
        normal, graph = self.normal, self.normal.model.graph
        chosen = renamed(chosen, self.inner.value)
        if not (isinstance(chosen, (OnePass, AblationCam, ScoreCam, AtLayer)) or can_be_mapped(chosen)):
            refuse_unplanned(chosen)
        refuse_unused(self.baselines, chosen)
        refuse_mask(self.feature_mask, chosen)
        if self.baselines is None and (usual := chosen.default_baseline()) is not None:
            raise MethodError(
                f"the baseline of method '{chosen.name}' is made of each sample ('{usual}'), and a file's is "
                "the same for all; give a number or an array as baselines"
            )
        inputs, (outputs, output) = interface.inputs_of(graph), self.inner.outputs(self.output)
        infos, asked = understand(
            inputs, outputs, chosen.needs(), output, self.wrt, self.through_softmax,
            partial(depends, normal), self.inner.explained, margins=chosen.margins(),
        )  # fmt: skip
        name = asked.output
        layout = layout_of_lengths(normal, inputs, infos, name, self.axes)
        axis = layout.axis_of(name, facts.dims(find_output(graph, name)))
        length = _target_axes(next(o for o in outputs if o.name == name), axis)
        question = replace(
            asked,
            target_axes=length,
            output_axis=axis,
            cut=False,
            target="predicted" if self.predicted else "index",
        )
        originals = [o.name for o in outputs]
        checks: list[ir.Value] = []
        given = self.baselines
        many = isinstance(given, Background) or (chosen.reads_rows() and holds_rows(given, infos))
        once = isinstance(chosen, OnePass) and not many
        inside = can_be_mapped(chosen) and not many
        if once:
            starts = constant_baselines(self.baselines, infos)
            references = starts if chosen.wants_baselines() else None
            program = build(normal, question, keep=originals, references=references)
            made = program.model
            by_name = values_of(made)
            found = {k: by_name[v] for k, v in zip(question.wrt, program.attributions, strict=True)}
            index, target = program.index, program.target
            indices = None if index is None else by_name[index]
        elif inside:
            mapped = write_mapped(normal, question, chosen, layout, originals)
            made, indices, found = mapped.model, mapped.index, dict(mapped.values)
            target = "" if mapped.target is None else str(mapped.target.name)
            checks = name_extras(made, mapped.extras, label)
            infos = [self.inner.explained(k) for k in chosen.layers()] or infos
        elif isinstance(chosen, (AblationCam, ScoreCam)) and not many:
            planned = write_channelled(
                normal, question, chosen, layout, originals,
                Compared(constant_baselines(given, infos), {}, None), at_once=self.at_once, form=self.form,
            )  # fmt: skip
            made, indices, found, target = planned.model, planned.index, planned.result.values, planned.target
            checks = name_extras(made, planned.result.extras, label)
        else:
            background = background_rows(given, infos) if many else {}
            planned = self._planned(chosen, question, infos, layout, originals, background)
            made, indices, found, target = planned.model, planned.index, planned.result.values, planned.target
            infos = [self.inner.explained(k) for k in chosen.layers()] or infos
            checks = name_checks(made, name, infos, planned.result, label)
        if indices is not None:
            checks.append(name_index(indices))
        finish_outputs(made, originals, infos, found, normal.opset, checks, label)
        if once or inside:
            lower(made, self.form)
        if inside and not chosen.wants_target():
            drop_unused(made, [i.name for i in inputs])
        main = next((k for k in question.wrt if k in layout.axes), inputs[0].name)
        there = any(v.name == target for v in made.graph.inputs)
        own = next(o for o in outputs if o.name == name).shape or ()
        rest = without(own, axis)
        lie = {i.name: layout.axes.get(i.name, layout.inner.get(i.name)) for i in infos}
        called = [f"{what}/{label}/" if label else f"{what}/" for what in ("attribution", "standard_error")]
        return MethodGraph(
            made,
            target if there else None,
            main,
            layout.axes[main],
            (name, length),
            axis,
            rest[0] if len(rest) == 1 and isinstance(rest[0], int) else None,
            {f"{what}{k}": a for k, a in lie.items() if a is not None for what in called},
            tuple(i.name for i in infos),
            layout.mixed,
        )

    def _planned(
        self,
        chosen: Method,
        question: Question,
        infos: Sequence[interface.InputInfo],
        layout: Layout,
        originals: Sequence[str],
        background: Arrays,
    ) -> Planned:
        """Write a method that is a plan."""
        starts = constant_baselines(None if background else self.baselines, infos)
        starts |= {k: rows for k, rows in background.items() if len(rows) == 1}  # is a baseline
        features = {e: _one(i, e, self.normal, layout) for i in infos for e in i.entries}
        players = constant_players(self.feature_mask, infos, features, layout)
        if isinstance(chosen, AtLayer) and not background:
            lies = replace(layout, axes={**{n: layout.inner.get(n) for n in question.wrt}, **layout.axes})
            problem = one_sample(self.normal, question, chosen, lies, 1)
            plan, counted = chosen.at(chosen.layers() or question.wrt, problem), players
        else:
            plan, counted = plan_of(chosen, players, features, background)
        return write_plan(
            self.normal, question, plan, layout, originals, Compared(starts, background, counted),
            at_once=self.at_once, form=self.form,
        )  # fmt: skip


def _one(info: interface.InputInfo, entry: str, normal: Normalized, layout: Layout) -> Array:
    """Return zeros in the shape of one sample of an explained value, (1, ...); unknown lengths are 1."""
    value = values_of(normal.model)[entry]
    axis = layout.axes.get(entry, layout.inner.get(entry))
    dims = [d if isinstance(d, int) else 1 for k, d in enumerate(facts.dims(value) or ()) if k != axis]
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    return np.zeros((1, *dims), dtype)


def _target_axes(output: interface.OutputInfo, axis: int | None) -> int:
    """Return the length of a target index: the axes of one sample's output, 0 if it is a single score."""
    if output.shape is None:
        raise TargetError(
            f"the rank of output '{output.name}' is unknown; run onnx.shape_inference on the model first"
        )
    dims = without(output.shape, axis)
    return 0 if all(d == 1 for d in dims) else len(dims)
