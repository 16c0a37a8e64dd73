"""Methods by metrics: each method explains once, and all metrics look at that."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from onnxplain._types import ArrayLike
from onnxplain.attribution import Attribution
from onnxplain.baselines import Baselines
from onnxplain.errors import DataInputError, MethodError
from onnxplain.evaluation.batch import Batch, blocks
from onnxplain.evaluation.chosen import TOLD, Entry, chosen_methods, chosen_metrics
from onnxplain.evaluation.result import Cell, Evaluation
from onnxplain.evaluation.rows import Rows
from onnxplain.evaluation.setting import in_words, informed, posed_for, settled_mask
from onnxplain.evaluation.store import Store
from onnxplain.explainer import Explainer
from onnxplain.graph.load import ModelSource
from onnxplain.grouping import Grouping
from onnxplain.methods import Method
from onnxplain.metrics import Metric
from onnxplain.metrics.given import laid_out_masks
from onnxplain.metrics.result import Level
from onnxplain.options import Count, Seed, check_names, check_option
from onnxplain.versions import VERSION, versions

__all__ = ["evaluate"]


def evaluate(
    model: Explainer | ModelSource,
    inputs: ArrayLike,
    target: Any = None,
    methods: Sequence[Any] | Mapping[str, Any] = (),
    metrics: Sequence[Any] | Mapping[str, Any] = (),
    *,
    masks: Any = None,
    baselines: Baselines | None = None,
    feature_mask: Grouping | None = None,
    explain_options: Mapping[str, Any] | None = None,
    output: str | None = None,
    wrt: str | Sequence[str] | None = None,
    through_softmax: bool = False,
    batch_axes: int | Mapping[str, int | None] | None = None,
    internal_batch_size: int | None = None,
    block_size: int | None = None,
    seed: int | None = None,
    level: float | None = 0.95,
    resume: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure several methods by several metrics, on the same samples.

    Each method explains once; all metrics look at that, but those that explain anew.  A method or a metric
    that cannot work here leaves its error in its cells, and the others go on.

    Parameters
    ----------
    model
        An explainer, or what it takes.
    inputs, target, output, wrt, through_softmax, batch_axes, internal_batch_size
        As :meth:`Explainer.__call__` takes them.
    methods
        Names, methods, or pairs ``(name, parameters)``, or a dict of such by what tables are to call them.
        ``baselines`` and ``feature_mask`` among the parameters are told to the explainer:
        ``("integrated_gradients", {"n_steps": 20, "baselines": "blur"})``.
    metrics
        Likewise.
    masks
        The ground truth, for metrics that compare with it; see :meth:`Metric.__call__`.
    baselines, feature_mask
        What stands where metrics take features away, and what they take away together.  Methods that keep
        players or take them away are told ``feature_mask``, too.
    explain_options
        ``baselines`` and ``feature_mask`` for those methods that have a use for them.
    block_size
        Samples that are explained and measured together; None for as many as hold four million numbers.
        It bounds the memory; metrics that look at all samples at once are given them at once.
    seed
        For methods and metrics that are given by name, draw random numbers, and have no seed of their own.
    level
        Confidence of the intervals of means, by the bootstrap over samples; None for no intervals.
    resume
        A folder, made if it is missing, that keeps what is finished: the same call goes on where the last one
        ended.  What was found for another model, other samples or parameters is never taken.
    progress
        Show a bar.

    Returns
    -------
    Evaluation

    Raises
    ------
    MethodError
        If a method, a metric or a parameter does not exist, or something is given that none has a use for.
    DataInputError, TargetError
        If an argument does not fit the model; before anything is measured.
    OutputError
        If what is finished cannot be kept.
    """
    seed = check_option("seed", seed, Seed | None, MethodError)
    level = check_option("level", level, Level | None, MethodError)
    block_size = check_option("block_size", block_size, Count | None, MethodError)
    entries, looks = chosen_methods(methods, seed), chosen_metrics(metrics, seed)
    told = dict(explain_options or {})
    check_names(told, TOLD, "explain_options")
    _refuse_unused(masks, baselines, feature_mask, entries, looks)
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    asked = {
        "output": output, "wrt": wrt, "through_softmax": through_softmax, "batch_axes": batch_axes,
        "internal_batch_size": internal_batch_size,
    }  # fmt: skip
    named, entries = entries, tuple(informed(e, told, feature_mask) for e in entries)
    written = {e.label: e.written for e in entries}
    posed = posed_for(explainer, inputs, target, entries, asked, baselines, feature_mask)
    if masks is not None:
        laid_out_masks(masks, posed)
    if level is not None and posed.samples.n < 2:
        raise DataInputError(
            "there is one sample, and intervals of means take two or more; give more, or level=None"
        )
    about = {
        "version": VERSION, "model": explainer.model_hash, "inputs": posed.samples.arrays, "target": target,
        "explained": [posed.question.output, posed.problem.target], "masks": masks, "baselines": baselines,
        "feature_mask": feature_mask, **{k: v for k, v in asked.items() if k != "internal_batch_size"},
    }  # fmt: skip
    mask = settled_mask(feature_mask, posed)
    if mask is not feature_mask:
        entries = tuple(informed(e, told, mask) for e in named)
    batch = Batch.of(posed, inputs, target, masks, baselines, mask)
    cut = blocks(batch, posed, block_size)
    run = Rows(explainer, batch, cut, looks, asked, Store(resume, about), feature_mask)
    run.check(entries)
    cells: dict[tuple[str, str], Cell] = {}
    seconds: dict[str, float] = {}
    shown: dict[str, Attribution] = {}
    with _bar(len(entries) * run.steps, progress) as bar:
        for number, entry in enumerate(entries, 1):
            row = run.row(entry, lambda: bar.update(1))
            bar.update(number * run.steps - bar.n)
            cells |= row.cells
            seconds[entry.label] = row.seconds
            if row.shown is not None:
                shown[entry.label] = row.shown
    return Evaluation(
        written, {e.label: e.made for e in looks}, cells, batch.n, seconds,
        shown, in_words(target), level, seed, explainer.model_hash, versions(), tuple(explainer.notes),
    )  # fmt: skip


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="evaluating", unit="cell", disable=not progress)


def _refuse_unused(
    masks: Any,
    baselines: Any,
    mask: Any,
    entries: Sequence[Entry[Method]],
    looks: Sequence[Entry[Metric]],
) -> None:
    """Refuse what nobody has a use for."""
    removes = any(e.made.removes for e in looks)
    plays = any(e.made.wants_players() for e in entries)
    for what, given, used in (
        ("masks", masks, any("masks" in e.made.needs for e in looks)),
        ("baselines", baselines, removes),
        ("feature_mask", mask, removes or plays),
    ):
        if given is not None and not used:
            raise MethodError(f"none of the metrics has a use for {what}; leave them out")
