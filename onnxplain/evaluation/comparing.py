"""Several methods on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxplain._types import ArrayLike, FloatArray, Shape
from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError, MethodError, OnnxplainError
from onnxplain.evaluation.batch import Batch, blocks
from onnxplain.evaluation.chosen import TOLD, chosen_methods
from onnxplain.evaluation.comparison import Comparison, agreements
from onnxplain.evaluation.rows import first_samples
from onnxplain.evaluation.setting import informed, posed_for, told
from onnxplain.explainer import Explainer
from onnxplain.features.places import channel_axis
from onnxplain.graph.load import ModelSource
from onnxplain.grouping import Grouping
from onnxplain.metrics.trial import by_feature
from onnxplain.options import Count, Seed, Share, check_names, check_option

__all__ = ["compare"]


def compare(
    model: Explainer | ModelSource,
    inputs: ArrayLike,
    target: Any = None,
    methods: Sequence[Any] | Mapping[str, Any] = (),
    *,
    feature_mask: Grouping | None = None,
    explain_options: Mapping[str, Any] | None = None,
    output: str | None = None,
    wrt: str | Sequence[str] | None = None,
    through_softmax: bool = False,
    batch_axes: int | Mapping[str, int | None] | None = None,
    internal_batch_size: int | None = None,
    block_size: int | None = None,
    top: float = 0.1,
    seed: int | None = None,
    progress: bool = False,
) -> Comparison:
    """Tell how far several methods agree about the same samples.

    Features are the elements of the inputs; of images, their places: channels are summed up.

    Parameters
    ----------
    model
        An explainer, or what it takes.
    inputs, target, output, wrt, through_softmax, batch_axes, internal_batch_size
        As :meth:`Explainer.__call__` takes them.
    methods, feature_mask, explain_options, block_size, seed
        As :func:`onnxplain.evaluate` takes them.
    top
        Which share of the features ``"overlap"`` looks at.
    progress
        Show a bar.

    Returns
    -------
    Comparison

    Raises
    ------
    MethodError
        If a method or a parameter does not exist, or no method can work here.
    DataInputError, TargetError
        If an argument does not fit the model.
    """
    from tqdm import tqdm

    seed = check_option("seed", seed, Seed | None, MethodError)
    top = check_option("top", top, Share, MethodError)
    block_size = check_option("block_size", block_size, Count | None, MethodError)
    options = dict(explain_options or {})
    check_names(options, TOLD, "explain_options")
    entries = tuple(informed(e, options, feature_mask) for e in chosen_methods(methods, seed))
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    asked: dict[str, Any] = {
        "output": output, "wrt": wrt, "through_softmax": through_softmax, "batch_axes": batch_axes,
        "internal_batch_size": internal_batch_size,
    }  # fmt: skip
    posed = posed_for(explainer, inputs, target, entries, asked, None, feature_mask)
    batch = Batch.of(posed, inputs, target, None, None, None)
    errors: dict[str, str] = {}
    shown: dict[str, Attribution] = {}
    parts: list[dict[str, FloatArray]] = []
    cut = blocks(batch, posed, block_size)
    with tqdm(total=len(cut) * len(entries), desc="comparing", unit="method", disable=not progress) as bar:
        for block in cut:
            part, shapes = batch.take(block), dict[str, Shape]()
            rows: list[FloatArray | None] = []
            for entry in entries:
                row = None
                try:
                    if entry.label not in errors:
                        mine = batch.options(entry.options, block)
                        found = explainer(part.inputs, part.target, entry.made, **asked, **mine)
                        row = _flat(found, shapes)
                        if block.start == 0:
                            shown[entry.label] = first_samples(found)
                except OnnxplainError as error:
                    errors[entry.label] = told(error)
                rows.append(row)
                bar.update(1)
            if all(row is None for row in rows):
                raise MethodError(f"none of the methods can work here: {errors[entries[0].label]}")
            parts.append(agreements(rows, top))
    values = {kind: np.concatenate([p[kind] for p in parts]) for kind in parts[0]}
    for k, entry in enumerate(entries):  # one that failed later says nothing of the first samples, too
        if entry.label in errors:
            shown.pop(entry.label, None)
            for array in values.values():
                array[:, k] = array[:, :, k] = np.nan
    return Comparison({e.label: e.written for e in entries}, values, errors, shown, top)


def _flat(found: Attribution, shapes: dict[str, Shape]) -> FloatArray:
    """Return attributions of all places in a row, (n, D); ``shapes`` are those of the first method.

    Raises
    ------
    DataInputError
        If the method explains something else than the first one did.
    """
    places = {}
    for name, array in by_feature(found).items():
        channel = channel_axis(array.shape[1:])
        places[name] = array if channel is None else array.sum(1 + channel)
    mine = {k: v.shape for k, v in places.items()}
    if not shapes:
        shapes.update(mine)
    if mine != shapes:
        raise DataInputError(
            f"the method explains {', '.join(f'{k} {v[1:]}' for k, v in mine.items())}, and the first one "
            f"{', '.join(f'{k} {v[1:]}' for k, v in shapes.items())}; compare methods that explain the same, "
            "or say with wrt= what to explain"
        )
    return np.concatenate([v.reshape(len(v), -1) for v in places.values()], axis=1)
