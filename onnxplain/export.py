"""One standalone ``.onnx`` that predicts and explains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from onnxplain._types import ArrayLike
from onnxplain.errors import MethodError, OutputError
from onnxplain.exported_file import (
    KEY,
    OLDEST,
    Lowered,
    Record,
    distinct_names,
    halve_weights,
    integers_of,
    keep_integers,
    keep_unfused,
    limits_of,
    lower_opset,
    own_weights,
    share_weights,
    weights_size,
    write_card,
    write_file,
)
from onnxplain.exporting.half_products import halve_products
from onnxplain.exporting.halves import halves_of, is_narrow, keep_halves
from onnxplain.exporting.images import take_images
from onnxplain.exporting.lengths import check_lengths, fix_lengths
from onnxplain.exporting.method_graph import Setting
from onnxplain.exporting.settled import settle_lengths
from onnxplain.exporting.targets import samples_at_once, with_target
from onnxplain.exporting.together import join, tidy
from onnxplain.files import check_destination, is_same_file
from onnxplain.graph.content import content_hash
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.load.external import FILES_KEY
from onnxplain.graph.passes.lower import DOMAIN
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
    float16_products
        How many products the file computes in float16.
    limits
        What the file asks for that keeps it from some runtimes, in words, by the first node that does; in the
        portable form only what the model itself asks for, loops of recurrent layers (``Scan``), and axes of
        values of unknown rank.
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
    float16_products: int = 0
    limits: tuple[str, ...] = ()


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
    precision: Literal["float32", "float16", "model"] | None = None,
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
        and masks of rectifiers as steep hard sigmoids).  ``"accelerated"``: so for the CPU, and with
        onnxplain's own operators, whose library the program that runs the file must load
        (:func:`onnxplain.kernels.operators_library`); ``"accelerated_cuda"``: the same for a
        GPU.  The model's own nodes stay as they are in all forms.
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
        Points that run at once, in one batch; memory grows with it.  One by one where the samples of a call
        are one, and where an output of the model mixes them: it would see the other points.
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
    precision
        In which precision the file computes, where the model is of half precision.  What it takes and gives
        is float16 where the model's is, and its weights are; attributions, and what is checked of them, are
        at least float32 in any case.  ``"float32"`` (default): it computes in float32, as the Explainer
        does, so that nothing overflows on the way.  ``"float16"``, or ``"model"``: products of the walk back
        are computed in float16 where that is accurate (see Notes).  For a model of float32, ``"model"`` is
        float32.
    card
        Write ``<name>.md`` too: what the file takes and gives, in words.

    Returns
    -------
    Exported
        The file's inputs and outputs.  What the model takes and gives in float16 the file does too; inside,
        and in all that it gives beside the model's outputs, it computes in float32.

        ``target`` is int64, (N,) class indices; (N, k) index tuples for
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

    In float16 are products by weights, or of two values, of a walk back, each operand scaled by its largest
    size (of a row, a column or a sample), so that nothing overflows or vanishes.  The model's own nodes,
    whose signs and maxima decide what is walked through, and all that stands below a quotient (stabilisers,
    LRP's epsilon), in a root or in an exponential, stay in float32; so do products of quotients, LRP's
    relevances among them.  ``Exported.float16_products`` says how many there are.

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
    source, integers, halves = content_hash(loaded), integers_of(loaded), halves_of(loaded)
    own_opset = loaded.graph.opset_imports.get("", loaded.graph.opset_imports.get("ai.onnx", MIN_OPSET))
    narrow = is_narrow(precision, halves)
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
    made = with_target(made, several, normal, k, predicted=predicted)
    images = {}
    if preprocessing is not None:
        images = take_images(made, preprocessing, first.explained, normal.opset)
    tidy(made)
    distinct_names(made)
    settle_lengths(made, samples_at_once(made, first))
    products = halve_products(made) if narrow else 0
    keep_halves(made, halves, [str(v.name) for v in normal.model.graph.outputs])
    made.producer_name = "onnxplain"
    told = {label: repr(m) for label, m in methods.items()}
    made.metadata_props["onnxplain.method"] = next(iter(told.values())) if None in told else repr(told)
    options = {
        "output": output, "wrt": wrt, "through_softmax": through_softmax, "baselines": baselines,
        "form": form, "feature_mask": feature_mask, "target": target, "top_k": k,
        "steps_at_once": at_once, "batch": batch, "target_opset": opset, "precision": precision,
        "shapes": None if shapes is None else ", ".join(f"{k}={v}" for k, v in shapes.items()),
    }  # fmt: skip
    names = {g.target for g in several.values()} & {str(v.name) for v in made.graph.inputs}
    record = Record.of(source, methods, options, next(iter(names), None), images)
    made.metadata_props[KEY] = record.text()
    share_weights(made)
    if keep_integers(made, integers):
        share_weights(made)
    if halves.any and halve_weights(made):
        share_weights(made)
    if written == "portable":
        own_weights(made)
    keep_unfused(made)
    written_in = lower_opset(made, opset or max(own_opset, OLDEST), strict=opset is not None)
    unmark(made)
    if any(node.domain == DOMAIN for node in made.graph.all_nodes()):
        made.graph.opset_imports[DOMAIN] = 1
    limits = limits_of(made, loaded)
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
        products,
        limits,
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
