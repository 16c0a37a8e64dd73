"""One standalone ``.onnx`` that predicts and explains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, ArrayLike, Shape
from onnxplain.any_length import layout_of_any_length
from onnxplain.asked import understand
from onnxplain.backward.program import build
from onnxplain.backward.question import find_output
from onnxplain.baselines import refuse_unused
from onnxplain.batching import without
from onnxplain.constants import background_rows, constant_baselines, constant_players, holds_rows
from onnxplain.errors import (
    InvalidModelError,
    MethodError,
    ModelRunError,
    OutputError,
    TargetError,
)
from onnxplain.exported_file import share_weights, weights_size, write_file
from onnxplain.features.players import elements
from onnxplain.features.removal import Background
from onnxplain.file_outputs import (
    drop_unused,
    finish_outputs,
    name_checks,
    name_extras,
    name_index,
    take_predicted,
    values_of,
)
from onnxplain.files import check_destination, is_same_file
from onnxplain.graph import facts, interface
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.load.external import FILES_KEY
from onnxplain.graph.normalize import Normalized
from onnxplain.grouping import Grouping, refuse_mask
from onnxplain.inner import Inner
from onnxplain.mapped import write_mapped
from onnxplain.maps import can_be_mapped
from onnxplain.methods import Method, OnePass
from onnxplain.methods import method as make_method
from onnxplain.options import Count, check_option
from onnxplain.placing import renamed
from onnxplain.planned import Compared, write_plan
from onnxplain.reading import depends, understood
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
    size, source_size
        Bytes of the file, with what lies beside it, and of the model's weights.
    data
        The file beside it that holds the weights, where they are too large for one file (2 GiB).
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    mixed: str | None = None
    size: int = 0
    source_size: int = 0
    data: Path | None = None


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
    target: Literal["predicted"] | None = None,
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
        A method whose points do not depend on answers: one walk back (``"saliency"``, ``"lrp"``,
        ``"deep_lift"``...) or a map of values inside (``"grad_cam"``, ``"layer_activation"``...), which are
        written beside the model, or many points (``"integrated_gradients"``,
        ``"smooth_grad"``, ``"occlusion"``, ``"rise"``, ``"kernel_shap"``, ``"lime"``...), which are a loop
        whose body holds the model once; with its parameters as further keywords.
    output
        Which output to explain (default: the first of floats).
    wrt
        Which inputs to explain (default: as :class:`~onnxplain.Explainer` chooses; tokens get one number
        each).
    through_softmax
        Explain a closing Softmax too.
    baselines
        What the file holds of baselines: a number, an array that broadcasts to one sample, or a dict by input
        name.  Default 0; for tokens always 0, at the embedding.  Methods that average over a background
        take rows, (M, ...), or ``ox.Background(rows)``.
    form
        ``"portable"`` (default): the backward pass as it is written, for any runtime.  ``"cpu"``, ``"cuda"``:
        rewritten to be fast in onnxruntime on that device (on the CPU, transposed convolutions as plain ones,
        and masks of rectifiers as steep hard sigmoids).  The model's own nodes stay as they are in all forms.
    feature_mask
        Who plays, as :meth:`Explainer.__call__` takes it, but the same in all samples: no segments of images.
    target
        ``"predicted"``: the file finds the highest score itself, and has an output ``target`` instead of the
        input.  None: the input names it.
    steps_at_once
        Points that run at once, in one batch; memory grows with it.

    Returns
    -------
    Exported
        The file's inputs and outputs.  ``target`` is int64, (N,) class indices; (N, k) index tuples for
        outputs with more axes.  Where samples cannot be told apart, N is 1 and the index is one of the whole
        output.  What is promised of a plan's values comes along: ``delta/<output>``, (N,), how far their sum
        is from what it must be; ``standard_error/<input>``, how well a mean is known.  Activation maps give
        ``map/<input>`` too, the map itself; methods of layers ``attribution/<layer>``, in the layer's shape.

    Notes
    -----
    A file's players are the same for all samples: where the explainer leaves out players who bring nothing
    else than the baseline (games), the file asks for them too, so that the drawn coalitions differ there.

    Raises
    ------
    DataInputError
        If the baselines do not fit.
    MethodError
        If the method chooses its points by answers, or cannot be written: run it with the Explainer.  If
        there is no such form.
    InvalidModelError
        If the model is broken, or too large for one file.
    OutputError
        If the file cannot be written, or is one of the model's own.
    """
    check_destination(path)
    chosen = make_method(method, **parameters)
    suited = as_form(form)
    target = check_option("target", target, Literal["predicted"] | None, MethodError)
    at_once = check_option("steps_at_once", steps_at_once, Count, MethodError)
    refuse_unused(baselines, chosen)
    refuse_mask(feature_mask, chosen)
    loaded = load(model)
    if any(is_same_file(path, own) for own in loaded.meta.get(FILES_KEY, ())):
        raise OutputError(f"cannot write '{path}': the model itself lies there; give another path")
    source_size = weights_size(loaded)
    normal = understood(loaded)
    graph = normal.model.graph
    inner = Inner(normal)
    chosen = renamed(chosen, inner.value)
    inputs, (outputs, output) = interface.inputs_of(graph), inner.outputs(output)
    through = check_option("through_softmax", through_softmax, bool)
    needs = chosen.needs()
    infos, asked = understand(
        inputs, outputs, needs, output, wrt, through, partial(depends, normal), inner.explained,
        margins=chosen.margins(),
    )  # fmt: skip
    name = asked.output
    layout = _layout(normal, inputs, infos, name)
    axis = layout.axis_of(name, facts.dims(find_output(graph, name)))
    question = replace(
        asked,
        target_axes=_target_axes(next(o for o in outputs if o.name == name), axis),
        output_axis=axis,
        cut=False,
        target="predicted" if target == "predicted" else "index",
    )
    originals = [o.name for o in outputs]
    many = isinstance(baselines, Background) or (chosen.reads_rows() and holds_rows(baselines, infos))
    background = background_rows(baselines, infos) if many else {}
    starts = constant_baselines(None if many else baselines, infos)
    index: ir.Value | None = None
    checks: list[ir.Value] = []
    if isinstance(chosen, OnePass):
        references = starts if chosen.wants_baselines() else None
        program = build(normal, question, keep=originals, references=references)
        made = program.model
        by_name = values_of(made)
        attributions = {k: by_name[v] for k, v in zip(question.wrt, program.attributions, strict=True)}
        if program.index is not None:
            index = by_name[program.index]
            main = next((k for k in question.wrt if k in layout.axes), inputs[0].name)
            take_predicted(made, by_name[program.target], by_name[main], layout.axes[main], normal.opset)
    elif can_be_mapped(chosen):
        mapped = write_mapped(normal, question, chosen, layout, infos, originals)
        made, index, attributions = mapped.model, mapped.index, dict(mapped.values)
        if index is not None and mapped.target is not None:
            main = next((k for k in question.wrt if k in layout.axes), inputs[0].name)
            take_predicted(made, mapped.target, values_of(made)[main], layout.axes[main], normal.opset)
        checks = name_extras(made, mapped.extras)
        infos = [inner.explained(k) for k in chosen.layers()] or infos
    else:
        features = {e: _one(i, e, normal, layout) for i in infos for e in i.entries}
        players = constant_players(feature_mask, infos, features, layout)
        who = elements(features) if players is None else players
        asked_for = chosen.plan_for(who, features, background)
        if asked_for is None:
            raise MethodError(
                f"method '{chosen.name}' looks at answers before it chooses its next points, and cannot be "
                "one graph; run it with the Explainer"
            )
        plan, counted = asked_for
        players = players if counted is who else counted
        planned = write_plan(
            normal, question, plan, layout, originals, Compared(starts, background, players),
            at_once=at_once, form=suited,
        )  # fmt: skip
        made, index = planned.model, planned.index
        attributions, checks = planned.result.values, name_checks(made, name, infos, planned.result)
    if index is not None:
        checks.append(name_index(made, index))
    finish_outputs(made, originals, infos, attributions, normal.opset, checks)
    if isinstance(chosen, OnePass) or can_be_mapped(chosen):
        lower(made, suited)
    if can_be_mapped(chosen) and not chosen.wants_target():
        drop_unused(made, [i.name for i in inputs])
    made.producer_name = "onnxplain"
    made.metadata_props["onnxplain.method"] = repr(chosen)
    share_weights(made)
    written = write_file(made, Path(path))
    return Exported(
        Path(path),
        tuple(i.name for i in written.proto.graph.input),
        tuple(o.name for o in written.proto.graph.output),
        layout.mixed,
        written.size,
        source_size,
        written.data,
    )


def _one(info: interface.InputInfo, entry: str, normal: Normalized, layout: Layout) -> Array:
    """Return zeros in the shape of one sample of an explained value, (1, ...); unknown lengths are 1."""
    value = values_of(normal.model)[entry]
    axis = layout.axes.get(entry, layout.inner.get(entry))
    dims = [d if isinstance(d, int) else 1 for k, d in enumerate(facts.dims(value) or ()) if k != axis]
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    return np.zeros((1, *dims), dtype)


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
