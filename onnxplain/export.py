"""One standalone ``.onnx`` that predicts and explains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir

from onnxplain._types import ArrayLike
from onnxplain.backward.names import Names
from onnxplain.errors import MethodError, OutputError
from onnxplain.exported_file import (
    KEY,
    OLDEST,
    Lowered,
    Record,
    integers_of,
    keep_integers,
    keep_unfused,
    lower_opset,
    own_weights,
    share_weights,
    weights_size,
    write_card,
    write_file,
)
from onnxplain.exporting.images import take_images
from onnxplain.exporting.inputs import check_target, take_predicted
from onnxplain.exporting.lengths import check_lengths, fix_lengths
from onnxplain.exporting.method_graph import MethodGraph, Setting
from onnxplain.exporting.outputs import INDEX
from onnxplain.exporting.settled import settle_lengths
from onnxplain.exporting.together import join, tidy
from onnxplain.exporting.top_k import write_top_k
from onnxplain.files import check_destination, is_same_file
from onnxplain.graph import facts
from onnxplain.graph.content import content_hash
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.load.external import FILES_KEY
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.passes.normal import MIN_OPSET
from onnxplain.grouping import Grouping
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.options import Count, Opset, check_option
from onnxplain.preprocessing import Preprocessing
from onnxplain.reading import understood
from onnxplain.rebatching import free_batch
from onnxplain.runtime.programs import as_form, unmark

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What an exported file takes and gives.

    Attributes
    ----------
    path
        The file.
    inputs
        Names: those of the model, then ``target`` (unless the output is a single score, or the file finds
        the target itself).
    outputs
        Names: those of the model, then ``attribution/<input>`` for each input explained, or
        ``attribution/<method>/<input>`` where there are several methods.
    mixed
        Why the inputs are one sample, so that ``target`` indexes the whole output; None where samples lie
        along a batch axis.
    size, source_size
        Bytes of the file, with what lies beside it, and of the model's weights.
    data
        The file beside it that holds the weights, where they are too large for one file (2 GiB).
    opset, ir_version
        What a runtime must know to load it.
    raised
        Which node needs a newer opset than the model's own, and why; None where the file has the model's, or
        that of ``target_opset``.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    mixed: str | None = None
    size: int = 0
    source_size: int = 0
    data: Path | None = None
    opset: int = 0
    ir_version: int = 0
    raised: str | None = None


def export(
    model: ModelSource,
    path: str | os.PathLike[str],
    *,
    method: str | Method | Sequence[str | Method] | Mapping[str, str | Method] = "lrp",
    output: str | None = None,
    wrt: str | Sequence[str] | None = None,
    through_softmax: bool = False,
    baselines: ArrayLike | float | None = None,
    form: str = "portable",
    feature_mask: Grouping | None = None,
    target: Literal["predicted"] | None = None,
    top_k: int | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    steps_at_once: int = 1,
    batch: Literal["any"] | int | None = None,
    shapes: Mapping[str, Any] | None = None,
    target_opset: int | None = None,
    card: bool = False,
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
        whose body holds the model once; with its parameters as further keywords.  Methods at another one's
        points (``SmoothGrad("integrated_gradients")``) are loops in its loop.  Several, as a list or by names
        of one's own as a dict: what they have in common (a forward pass and its walks back) is there once.
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
    top_k
        How many of the highest classes the file explains at once, instead of one: attributions are
        (N, k, ...), the output ``target`` (N, k).  It takes k times as long.
    preprocessing
        The file takes images, uint8 (N, H, W, C) of any height and width, and makes of them what the model
        takes (resize, scale, mean, std, layout).  Attributions stay in the size of the model's input.  A dict
        by input name where another input than the first explained one is an image.
    steps_at_once
        Points that run at once, in one batch; memory grows with it.
    batch
        ``"any"``: a model of a fixed batch gets one of any length first (:func:`~onnxplain.rebatch`).  A
        number: the file takes so many samples at once, whatever number the model takes.
    shapes
        Lengths that the model leaves open, for runtimes that want to know them all: by input, its whole shape
        (None in it leaves a length open), or, by name of an open axis, its length.  What follows from lengths
        is computed while the file is written.
    target_opset
        The version of the standard operators, 11 or newer.  None: the model's own, or the oldest after it
        that all nodes of the file can be written in (:attr:`Exported.raised` says which node needs it).  The
        file's IR version is the oldest that has that opset and the file's types of numbers.
    card
        Write ``<name>.md`` too: what the file takes and gives, in words.

    Returns
    -------
    Exported
        The file's inputs and outputs.  ``target`` is int64, (N,) class indices; (N, k) index tuples for
        outputs with more axes.  Where samples cannot be told apart, N is 1 and the index is one of the whole
        output.  A target that names no score (-1, or 7 of 2 classes, or three for one sample) fails when the
        file runs.  What is promised of a plan's values comes along: ``delta/<output>``, (N,), how far their
        sum is from what it must be; ``standard_error/<input>``, how well a mean is known (each after the
        method's name where there are several: ``delta/<method>/<output>``).  Activation maps give
        ``map/<input>`` too, the map itself; methods of layers ``attribution/<layer>``, in the layer's shape.

    Notes
    -----
    A file's players are the same for all samples: where the explainer leaves out players who bring nothing
    else than the baseline (games), the file asks for them too, so that the drawn coalitions differ there.

    Raises
    ------
    DataInputError
        If the baselines do not fit, or ``shapes`` or ``batch`` do not fit the model.
    MethodError
        If a method chooses its points by answers, or cannot be written: run it with the Explainer.  If there
        is no such form, or ``top_k`` without classes.
    InvalidModelError
        If the model is broken, too large for one file, or cannot be raised to ``target_opset``.
    OptionError
        If ``target_opset`` is not a number from 11 on, or a node (which is named) needs a newer one.
    OutputError
        If the file cannot be written, or is one of the model's own.
    """
    check_destination(path)
    methods = _methods(method, parameters)
    written = as_form(form)
    predicted = check_option("target", target, Literal["predicted"] | None, MethodError) is not None
    k = check_option("top_k", top_k, Count | None, MethodError)
    at_once = check_option("steps_at_once", steps_at_once, Count, MethodError)
    opset = check_option("target_opset", target_opset, Opset | None)
    loaded = load(model)
    if any(is_same_file(path, own) for own in loaded.meta.get(FILES_KEY, ())):
        raise OutputError(f"cannot write '{path}': the model itself lies there; give another path")
    source_size = weights_size(loaded)
    source, integers = content_hash(loaded), integers_of(loaded)
    own_opset = loaded.graph.opset_imports.get("", loaded.graph.opset_imports.get("ai.onnx", MIN_OPSET))
    with_card = check_option("card", card, bool)
    samples = check_option("batch", batch, Literal["any"] | Count | None, MethodError)
    if samples == "any":
        loaded = free_batch(loaded)
    axes: Mapping[str, int] = {}
    if shapes is not None or isinstance(samples, int):
        fixed = fix_lengths(loaded, shapes, None if samples == "any" else samples, output)
        loaded, axes = fixed.model, fixed.axes
    normal = understood(loaded, max(MIN_OPSET, opset or MIN_OPSET))
    if shapes is not None or isinstance(samples, int):
        check_lengths(normal)
    setting = Setting(
        normal, output, wrt, check_option("through_softmax", through_softmax, bool), baselines, feature_mask,
        written, at_once, predicted or k is not None, axes,
    )  # fmt: skip
    several = {label: setting.for_one_of(m, methods.values()).write(m, label) for label, m in methods.items()}
    first = next(iter(several.values()))
    made = join({str(label): g.model for label, g in several.items()}) if len(several) > 1 else first.model
    made = _with_target(made, several, normal, k, predicted=predicted)
    images = {}
    if preprocessing is not None:
        images = take_images(made, preprocessing, first.explained, normal.opset)
    tidy(made)
    settle_lengths(made, _samples_at_once(made, first))
    made.producer_name = "onnxplain"
    told = {label: repr(m) for label, m in methods.items()}
    made.metadata_props["onnxplain.method"] = next(iter(told.values())) if None in told else repr(told)
    options = {
        "output": output, "wrt": wrt, "through_softmax": through_softmax, "baselines": baselines,
        "form": form, "feature_mask": feature_mask, "target": target, "top_k": k,
        "steps_at_once": at_once, "batch": batch, "shapes": shapes,
        "target_opset": opset,
    }  # fmt: skip
    names = {g.target for g in several.values()} & {str(v.name) for v in made.graph.inputs}
    record = Record.of(source, methods, options, next(iter(names), None), images)
    made.metadata_props[KEY] = record.text()
    share_weights(made)
    if keep_integers(made, integers):
        share_weights(made)
    if written == "portable":
        own_weights(made)
    keep_unfused(made)
    written_in = lower_opset(made, opset or max(own_opset, OLDEST), strict=opset is not None)
    unmark(made)
    file = write_file(made, Path(path))
    if with_card:
        write_card(Path(path), file, record, source_size)
    return Exported(
        Path(path),
        tuple(i.name for i in file.proto.graph.input),
        tuple(o.name for o in file.proto.graph.output),
        first.mixed,
        file.size,
        source_size,
        file.data,
        written_in.opset,
        file.proto.ir_version,
        _raised(own_opset, written_in) if opset is None else None,
    )


def _raised(own: int, written: Lowered) -> str | None:
    """Return why a file is of a newer opset than its model."""
    old = f"{OLDEST} is the oldest opset that is written" if own < OLDEST else None
    return written.because or old


def _methods(
    method: str | Method | Sequence[str | Method] | Mapping[str, str | Method], parameters: Mapping[str, Any]
) -> dict[str | None, Method]:
    """Return the methods by label; None where there is one, which needs no name.

    Raises
    ------
    MethodError
        If there are none, or two of a name.
    """
    if isinstance(method, (str, Method)):
        return {None: make_method(method, **parameters)}
    if parameters:
        raise MethodError(
            f"parameters ({', '.join(parameters)}) are given beside several methods; give each method with "
            "its own, as in method=[ox.IntegratedGradients(n_steps=20), ox.LRP()]"
        )
    named = method.items() if isinstance(method, Mapping) else [(None, m) for m in method]
    made: dict[str | None, Method] = {}
    for label, each in named:
        chosen = make_method(each)
        name = chosen.name if label is None else str(label)
        if name in made:
            raise MethodError(
                f"there are two methods '{name}'; call them by names of your own: "
                "method={'few': ox.IntegratedGradients(n_steps=5), 'many': ...}"
            )
        made[name] = chosen
    if not made:
        raise MethodError("no method is given; name at least one")
    return made


def _with_target(
    made: ir.Model,
    several: Mapping[str | None, MethodGraph],
    normal: Normalized,
    k: int | None,
    *,
    predicted: bool,
) -> ir.Model:
    """Let the file find what is predicted, or the k highest scores; else check the target that it is given.

    Raises
    ------
    MethodError
        If there are no classes to choose the highest of.
    """
    first = next(iter(several.values()))
    name = next((g.target for g in several.values() if g.target is not None), None)
    given = next((v for v in made.graph.inputs if v.name == name), None)
    main = next(v for v in made.graph.inputs if v.name == first.main)
    output, length = first.score
    if k is not None:
        axis, samples = first.score_axis, first.axis
        if given is None or name is None or length != 1 or axis is None or samples is None:
            raise MethodError(
                f"top_k explains the highest classes of each sample, and output '{output}' is not (samples, "
                "classes); leave top_k out"
            )
        classes = first.classes
        if classes is not None and k > classes:
            raise MethodError(f"top_k is {k}, and output '{output}' has {classes} classes")
        axes = {v: a for g in several.values() for v, a in g.sample_axes.items()}
        originals = [str(v.name) for v in normal.model.graph.outputs]
        own = first.main, samples
        return write_top_k(made, k, (name, INDEX), output, axis, originals, axes, own, normal.opset)
    if given is not None:
        samples = _samples_at_once(made, first)
        if samples is not None:
            given.shape = ir.Shape([samples, *(facts.dims(given) or ())[1:]])
        (take_predicted if predicted else check_target)(made, given, main, first.axis, normal.opset)
    for value in made.graph.outputs:
        if value.name == INDEX:
            value.name = Names(made.graph).free("target")
    return made


def _samples_at_once(made: ir.Model, first: MethodGraph) -> int | None:
    """Return how many samples a file takes; None where that is open."""
    main = next(v for v in made.graph.inputs if v.name == first.main)
    dims = facts.dims(main)
    length = None if first.axis is None or dims is None else dims[first.axis]
    return length if isinstance(length, int) else None
