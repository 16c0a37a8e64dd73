"""One standalone ``.onnx`` that predicts and explains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain._types import Array, ArrayLike, Arrays, Shape
from onnxplain.any_length import layout_of_any_length
from onnxplain.asked import understand
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.names import Names
from onnxplain.backward.program import build
from onnxplain.backward.question import find_output
from onnxplain.baselines import by_input, finite, fitting, refuse_unused
from onnxplain.batching import without
from onnxplain.errors import (
    DataInputError,
    InvalidModelError,
    MethodError,
    ModelRunError,
    OutputError,
    TargetError,
)
from onnxplain.features.players import Players
from onnxplain.features.removal import Background
from onnxplain.features.segments import SEGMENTERS, Segments
from onnxplain.files import check_destination, is_same_file, replacing
from onnxplain.graph import facts, interface
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.load.external import FILES_KEY
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.positions import write_positions
from onnxplain.grouping import Grouping, find_players, refuse_mask
from onnxplain.inner import Inner
from onnxplain.methods import METHODS, Method, OnePass
from onnxplain.methods import method as make_method
from onnxplain.options import Count, check_option
from onnxplain.planned import write_plan
from onnxplain.reading import depends, understood
from onnxplain.loops import Result
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.programs import Programs, as_form, lower

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What an exported file takes and gives.

    Attributes
    ----------
    path
        The file.
    inputs
        Names: those of the model, then ``target`` (unless the output is a single score).
    outputs
        Names: those of the model, then ``attribution/<input>`` for each input explained.
    mixed
        Why the inputs are one sample, so that ``target`` indexes the whole output; None where samples lie
        along a batch axis.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    mixed: str | None = None


def export(
    model: ModelSource,
    path: str | os.PathLike[str],
    *,
    method: str | Method = "lrp",
    output: str | None = None,
    wrt: str | Sequence[str] | None = None,
    through_softmax: bool = False,
    baselines: ArrayLike | float | None = None,
    form: str = "portable",
    feature_mask: Grouping | None = None,
    steps_at_once: int = 1,
    **parameters: Any,
) -> Exported:
    """Write a model together with one of its explanations, in standard ONNX operators.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    path
        Where to write; the file appears whole or not at all, and what stood there stays until then.
    method
        A one-pass method: ``"saliency"``, ``"input_x_gradient"``, ``"guided_backprop"``,
        ``"deconvolution"``, ``"lrp"``, ``"deep_lift"``, with its parameters as further keywords.
    output
        Which output to explain (default: the first of floats).
    wrt
        Which inputs to explain (default: as :class:`~onnxplain.Explainer` chooses; tokens get one number
        each).
    through_softmax
        Explain a closing Softmax too.
    baselines
        For ``"deep_lift"``, the reference that the file will hold: a number, an array that broadcasts to the
        input, or a dict by input name.  Default 0; for tokens always 0, at the embedding.
    form
        ``"portable"`` (default): the backward pass as it is written, for any runtime.  ``"cpu"``, ``"cuda"``:
        rewritten to be fast in onnxruntime on that device (on the CPU, transposed convolutions as plain ones,
        and masks of rectifiers as steep hard sigmoids).  The model's own nodes stay as they are in all forms.

    Returns
    -------
    Exported
        The file's inputs and outputs.  ``target`` is int64, (N,) class indices; (N, k) index tuples for
        outputs with more axes.  Where samples cannot be told apart, N is 1 and the index is one of the whole
        output.

    Raises
    ------
    DataInputError
        If the baselines do not fit.
    MethodError
        If the method needs more than one pass (a path, noise): run these with the Explainer.  If there is no
        such form.
    InvalidModelError
        If the model is broken, or too large for one file.
    OutputError
        If the file cannot be written, or is one of the model's own.
    """
    check_destination(path)
    chosen = make_method(method, **parameters)
    written = as_form(form)
    at_once = check_option("steps_at_once", steps_at_once, Count, MethodError)
    refuse_unused(baselines, chosen)
    refuse_mask(feature_mask, chosen)
    loaded = load(model)
    if any(is_same_file(path, own) for own in loaded.meta.get(FILES_KEY, ())):
        raise OutputError(f"cannot write '{path}': the model itself lies there; give another path")
    normal = understood(loaded)
    graph = normal.model.graph
    inner = Inner(normal)
    inputs, (outputs, output) = interface.inputs_of(graph), inner.outputs(output)
    through = check_option("through_softmax", through_softmax, bool)
    needs = chosen.needs()
    infos, asked = understand(
        inputs, outputs, needs, output, wrt, through, partial(depends, normal), inner.explained
    )
    name = asked.output
    layout = _layout(normal, inputs, infos, name)
    axis = layout.axis_of(name, facts.dims(find_output(graph, name)))
    question = replace(
        asked,
        target_axes=_target_axes(next(o for o in outputs if o.name == name), axis),
        output_axis=axis,
        cut=False,
    )
    originals = [o.name for o in outputs]
    many = isinstance(baselines, Background) or chosen.reads_rows()
    background = rows_of(baselines, infos) if many and baselines is not None else {}
    references = _references(None if many else baselines, infos, chosen.wants_baselines())
    if isinstance(chosen, OnePass):
        program = build(normal, question, keep=originals, references=references)
        made = program.model
        by_name = _values(made)
        attributions = {k: by_name[v] for k, v in zip(question.wrt, program.attributions, strict=True)}
        _finish_outputs(made, originals, infos, attributions, normal.opset)
        lower(made, written)
    else:
        features = {e: _one(i, e, normal, layout) for i in infos for e in i.entries}
        players = constant_players(feature_mask, infos, features, layout)
        count = players.count if players is not None else sum(v.size for v in features.values())
        plan = chosen.plan_for(count)
        if plan is None:
            raise MethodError(
                f"method '{chosen.name}' looks at answers before it chooses its next points, and cannot be "
                "one graph; run it with the Explainer"
            )
        planned = write_plan(
            normal, question, plan, layout, originals, references or {},
            background=background, players=players, at_once=at_once, form=written,
        )  # fmt: skip
        made = planned.model
        checks = _checks(made, name, infos, planned.result)
        _finish_outputs(made, originals, infos, planned.result.values, normal.opset, checks)
    made.producer_name = "onnxplain"
    made.metadata_props["onnxplain.method"] = repr(chosen)
    proto = ir.to_proto(made)
    assert isinstance(proto, onnx.ModelProto)
    destination = Path(path)
    try:
        onnx.checker.check_model(proto)
        content = proto.SerializeToString()
    except (ValueError, onnx.checker.ValidationError) as error:
        raise InvalidModelError(
            f"the explained model cannot be written as one file ({error}); files end at 2 GiB"
        ) from error
    with replacing(destination) as file:
        file.write(content)
    return Exported(
        destination,
        tuple(i.name for i in proto.graph.input),
        tuple(o.name for o in proto.graph.output),
        layout.mixed,
    )


def _references(
    given: ArrayLike | float | None, infos: Sequence[interface.InputInfo], wanted: bool
) -> dict[str, Array] | None:
    """Return the reference of each explained value, (...) or (1, ...), if the method compares with one.

    Raises
    ------
    DataInputError
        If one cannot stand for every sample.
    """
    if not wanted:
        return None
    starts = by_input(given, infos)
    found: dict[str, Array] = {}
    for info in infos:
        start = starts.get(info.name)
        if start is not None and info.entries != (info.name,):
            raise DataInputError(
                f"input '{info.name}' holds tokens, whose reference in a file is 0; leave it out"
            )
        what = f"the baseline of '{info.name}'"
        array = finite(0.0 if start is None else start, what)
        if start is not None and info.dtype is not None:
            array = fitting(array, info.dtype, what)
        shape = info.shape
        fits = shape is None or (
            array.ndim <= len(shape)
            and all(a == 1 or a == s for a, s in zip(reversed(array.shape), reversed(shape), strict=False))
        )
        if not fits:
            raise DataInputError(
                f"the baseline of '{info.name}' has shape {array.shape}, which does not broadcast to "
                f"{info.spelled}; give a number, or an array of one sample's shape"
            )
        found |= dict.fromkeys(info.entries, array)
    return found


def _one(info: interface.InputInfo, entry: str, normal: Normalized, layout: Layout) -> Array:
    """Return zeros in the shape of one sample of an explained value, (1, ...); unknown lengths are 1."""
    value = _values(normal.model)[entry]
    axis = layout.axes.get(entry, layout.inner.get(entry))
    dims = [d if isinstance(d, int) else 1 for k, d in enumerate(facts.dims(value) or ()) if k != axis]
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    return np.zeros((1, *dims), dtype)


def rows_of(given: Any, infos: Sequence[interface.InputInfo]) -> dict[str, Array]:
    """Return the rows of a background by explained value, (M, ...).

    Raises
    ------
    DataInputError
        If they do not fit.
    """
    made = {}
    for name, rows in by_input(given.rows if isinstance(given, Background) else given, infos).items():
        info = next(i for i in infos if i.name == name)
        if info.entries != (info.name,):
            raise DataInputError(f"input '{name}' holds tokens, of which a file holds no background")
        array = finite(rows, f"the background of '{name}'")
        made[name] = fitting(array, info.dtype, f"the background of '{name}'").astype(info.dtype or np.float32)
    return made


def constant_players(
    given: Grouping | None, infos: Sequence[interface.InputInfo], features: Arrays, layout: Layout
) -> Players | None:
    """Return who plays, the same in all samples.

    Raises
    ------
    DataInputError
        If that depends on what an image shows.
    """
    texts = [given] if not isinstance(given, Mapping) else list(given.values())
    if any(isinstance(t, Segments) or callable(t) or (isinstance(t, str) and t in ("segments", *SEGMENTERS)) for t in texts):
        raise DataInputError(
            "segments depend on what an image shows, and a file's players are the same in all; give integers, "
            "or a name such as 'pixels', 'tokens', 'columns'"
        )
    return find_players(given, infos, features, layout)


def _layout(
    normal: Normalized,
    inputs: Sequence[interface.InputInfo],
    infos: Sequence[interface.InputInfo],
    output: str,
) -> Layout:
    """Return how samples lie in the model's inputs and outputs."""
    programs = Programs(normal, "cpu")

    def runs(shapes: Mapping[str, Shape]) -> bool:
        feeds = {i.name: np.zeros(shapes[i.name], i.dtype) for i in inputs}
        try:
            programs.values((output,), feeds)
        except (InvalidModelError, ModelRunError):  # what is wrong is told when the walk is written
            return False
        return True

    return layout_of_any_length(normal.model, inputs, infos, output, runs)


def _target_axes(output: interface.OutputInfo, axis: int | None) -> int:
    """Return the length of a target index: the axes of one sample's output, 0 if it is a single score."""
    if output.shape is None:
        raise TargetError(
            f"the rank of output '{output.name}' is unknown; run onnx.shape_inference on the model first"
        )
    dims = without(output.shape, axis)
    return 0 if all(d == 1 for d in dims) else len(dims)


def _by_token(
    op: Emitter, info: interface.InputInfo, by_name: Mapping[str, ir.Value], entry: str, part: ir.Value
) -> ir.Value:
    """Sum an embedding's numbers by the token that each is for."""
    if entry not in info.moved:
        rank = len(info.shape or ())
        return op.sum(part, range(rank, facts.rank(part) or rank))
    tokens = by_name[info.name]
    where = op.Reshape(write_positions(op, tokens, by_name[entry]), [-1])
    size = op.Size(tokens)
    one = op.const(np.array([1], np.int64))
    where = op.Where(op.Less(where, op.const(np.int64(0))), size, where)  # nobody's numbers go last
    base = op.ConstantOfShape(op.Add(op.Reshape(size, [1]), one), value=ir.tensor(np.zeros(1, np.float32)))
    added = op.ScatterElements(base, where, op.Reshape(part, [-1]), axis=0, reduction="add")
    kept = op.slice(added, 0, 0, op.Reshape(size, [1]))
    return cast("ir.Value", op.Reshape(kept, op.Shape(tokens), allowzero=1))


def _finish_outputs(
    model: ir.Model,
    originals: Sequence[str],
    infos: Sequence[interface.InputInfo],
    attributions: Mapping[str, ir.Value],
    opset: int,
    checks: Sequence[ir.Value] = (),
) -> None:
    """Give back all outputs of the model, one attribution per input, and what can be checked of them."""
    graph = model.graph
    by_name = _values(model)
    names = Names(graph)
    op = Emitter(graph, opset, scope=names.scope("onnxplain/outputs"))
    outputs = [by_name[name] for name in originals]
    for info in infos:
        parts = [attributions[entry] for entry in info.entries]
        if info.entries == (info.name,):
            if parts[0].name != f"attribution/{info.name}" and facts.dims(parts[0]) is None:
                parts[0].shape = ir.Shape(list(info.shape or ()))
            parts[0].name = parts[0].name if info.name in str(parts[0].name) else names.free(f"attribution/{info.name}")
            outputs.append(parts[0])
            continue
        summed = [_by_token(op, info, by_name, e, p) for e, p in zip(info.entries, parts, strict=True)]
        total = summed[0] if len(summed) == 1 else op.Sum(*summed)
        total.name = names.free(f"attribution/{info.name}")
        total.shape = ir.Shape(list(info.shape or ()))
        outputs.append(total)
    graph.outputs.clear()
    graph.outputs.extend([*outputs, *checks])
    common.RemoveUnusedNodesPass()(model)


def _values(model: ir.Model) -> dict[str, ir.Value]:
    """Return the values of a graph by name."""
    graph = model.graph
    return {str(v.name): v for v in graph.inputs} | {str(v.name): v for node in graph for v in node.outputs}


def _checks(
    model: ir.Model, output: str, infos: Sequence[interface.InputInfo], result: Result
) -> list[ir.Value]:
    """Name what can be checked of the attributions."""
    names, made = Names(model.graph), []
    if result.delta is not None:
        result.delta.name = names.free(f"delta/{output}")
        made.append(result.delta)
    for info in infos:
        if info.entries == (info.name,) and info.name in result.errors:
            error = result.errors[info.name]
            error.name, error.shape = names.free(f"standard_error/{info.name}"), ir.Shape(list(info.shape or ()))
            made.append(error)
    return made
