"""One method by all metrics, block by block of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from onnxplain._types import Arrays
from onnxplain.archive import BROKEN
from onnxplain.attribution import Attribution
from onnxplain.checks import Unchecked
from onnxplain.errors import OnnxplainError
from onnxplain.evaluation.batch import Batch, names_of
from onnxplain.evaluation.chosen import Entry
from onnxplain.evaluation.pieces import joined, packed, unpacked
from onnxplain.evaluation.result import Cell
from onnxplain.evaluation.setting import told
from onnxplain.evaluation.store import Store
from onnxplain.explainer import Explainer
from onnxplain.methods import Method
from onnxplain.metrics import Measured, Metric
from onnxplain.metrics.base import trial
from onnxplain.result_file import packed as packed_attribution
from onnxplain.result_file import unpacked as unpacked_attribution

__all__ = ["Row", "Rows", "first_samples"]

#: Samples whose explanations are kept to be looked at.
_SHOWN = 6
#: Numbers of a sample that an extra may hold, to be kept.
_LARGEST = 4096


@dataclass(frozen=True, eq=False)
class Row:
    """A method's cells, by method and metric; how long it took; what it found in the first samples."""

    cells: dict[tuple[str, str], Cell]
    seconds: float
    shown: Attribution | None


@dataclass(frozen=True, eq=False)
class Rows:
    """Measures methods, one after another.

    Attributes
    ----------
    explainer
        Of the model.
    batch
        All samples.
    blocks
        Which are measured together.
    metrics
        All that look.
    asked
        What the explainer is told for all methods.
    store
        Where finished pieces are kept.
    mask
        What is taken away together, as it was given: segments may be found in ``batch`` already.
    """

    explainer: Explainer
    batch: Batch
    blocks: Sequence[slice]
    metrics: Sequence[Entry[Metric]]
    asked: Mapping[str, Any]
    store: Store
    mask: Any = None

    @property
    def steps(self) -> int:
        """How many pieces a method has."""
        return sum(len(self._cut(e.made)) for e in self.metrics)

    def check(self, methods: Sequence[Entry[Method]]) -> None:
        """Make sure that it can be told what finished pieces are made from.

        Raises
        ------
        DataInputError
            If it cannot.
        """
        for method in methods:
            self.store.key(method.made, method.options)
        for metric in self.metrics:
            self.store.key(metric.made)

    def row(self, entry: Entry[Method], step: Callable[[], object]) -> Row:
        """Measure a method by all metrics.

        Parameters
        ----------
        entry
            The method.
        step
            Called after each piece.
        """
        parts: dict[str, list[_Piece]] = {e.label: [] for e in self.metrics}
        errors: dict[str, str] = {}
        seconds, shown = 0.0, None
        whole = slice(0, self.batch.n)
        for block in [*self.blocks, *([whole] if len(self.blocks) > 1 else [])]:
            explained = _Explained(self, entry, block)
            if block in self.blocks:
                try:
                    took, first = self._explaining(explained)
                except OnnxplainError as error:
                    return self._failed(entry, told(error))
                seconds += took
                shown = first if block.start == 0 else shown
            for look in self.metrics:
                if block not in self._cut(look.made) or look.label in errors:
                    continue
                try:
                    parts[look.label].append(self._piece(explained, look))
                except OnnxplainError as error:
                    errors[look.label] = told(error)
                step()
        cells = {}
        for look in self.metrics:
            mine = parts[look.label]
            cell = Cell(entry.label, look.label, error=errors.get(look.label, ""))
            if not cell.error:
                names = list(names_of(self._cut(look.made)))
                measured = joined([p.measured for p in mine], names)
                cell = replace(cell, measured=measured, seconds=sum(p.seconds for p in mine))
            cells[entry.label, look.label] = cell
        return Row(cells, seconds, shown)

    def _cut(self, metric: Metric) -> Sequence[slice]:
        """Return which samples a metric is given at a time."""
        return self.blocks if metric.apart else (slice(0, self.batch.n),)

    def _failed(self, entry: Entry[Method], error: str) -> Row:
        cells = {(entry.label, e.label): Cell(entry.label, e.label, error=error) for e in self.metrics}
        return Row(cells, float("nan"), None)

    def _explaining(self, explained: _Explained) -> tuple[float, Attribution | None]:
        """Return how long explaining took, and what was found in the first samples; kept, or found now."""
        key = self.store.key("method", *explained.known)
        held = self.store.get(key)
        if held is not None:
            facts, arrays = held
            try:
                shown = facts["shown"]
                first = None if shown is None else Attribution(**unpacked_attribution(shown, arrays))
                return float(facts["seconds"]), first
            except BROKEN:  # written by another version
                pass
        found = explained.found  # made now, if it was not, so that the clock has run
        first = first_samples(found) if explained.block.start == 0 else None
        shown, arrays = (None, {}) if first is None else packed_attribution(first)
        self.store.put(key, {"seconds": explained.seconds, "shown": shown}, arrays)
        return explained.seconds, first

    def _piece(self, explained: _Explained, look: Entry[Metric]) -> _Piece:
        """Return what a metric says of some samples; kept, or measured now."""
        key = self.store.key("metric", look.made, *explained.known)
        held = self.store.get(key)
        if held is not None:
            facts, arrays = held
            try:
                return _Piece(unpacked(facts["measured"], arrays, look.made), float(facts["seconds"]))
            except BROKEN:
                pass
        found = explained.found
        start = perf_counter()
        part, metric, told_before = explained.part, look.made, dict(explained.options)
        players = self.batch.feature_mask
        if players is not None and explained.entry.options.get("feature_mask") is players:
            if metric.removes:
                del told_before["feature_mask"]  # the metric's own, which it tells the method itself
            elif self.mask is not players:
                told_before["feature_mask"] = self.mask  # points that it explains have segments of their own
        at = trial(
            self.explainer, part.inputs, part.target, explained.entry.made, metric=metric, found=found,
            masks=part.masks if "masks" in metric.needs else None,
            baselines=part.baselines if metric.removes else None,
            feature_mask=part.feature_mask if metric.removes else None,
            explain_options=told_before, **self.asked,
        )  # fmt: skip
        measured = metric.measured(at)
        few = {k: v for k, v in measured.extras.items() if np.size(v) <= _LARGEST * max(1, len(measured))}
        piece = _Piece(replace(measured, extras=few), perf_counter() - start)
        facts, arrays = packed(piece.measured)
        self.store.put(key, {"measured": facts, "seconds": piece.seconds}, arrays)
        return piece


@dataclass(frozen=True, eq=False)
class _Piece:
    """What a metric says of some samples, and how long it took."""

    measured: Measured
    seconds: float


class _Explained:
    """What a method finds in some samples: made when it is first asked for."""

    def __init__(self, rows: Rows, entry: Entry[Method], block: slice) -> None:
        self.entry, self.block, self._rows = entry, block, rows
        self.seconds = 0.0

    @property
    def known(self) -> tuple[Any, ...]:
        """What it is made from."""
        return self.entry.made, self.entry.options, self.block.start, self.block.stop

    @cached_property
    def part(self) -> Batch:
        """The samples."""
        return self._rows.batch.take(self.block)

    @cached_property
    def options(self) -> dict[str, Any]:
        """What the explainer is told besides."""
        return self._rows.batch.options(self.entry.options, self.block)

    @cached_property
    def found(self) -> Attribution:
        """The attributions.

        Raises
        ------
        OnnxplainError
            If the method cannot work here.
        """
        if self.block.start == 0:
            self._warm()
        start = perf_counter()
        found = self._explain(self.part, self.options)
        self.seconds = perf_counter() - start
        return found

    def _warm(self) -> None:
        """Have the model compiled before the clock runs."""
        batch = self._rows.batch
        if batch.cuttable:
            with suppress(OnnxplainError):  # of all samples it will be told
                one = slice(0, 1)
                self._explain(batch.take(one), batch.options(self.entry.options, one))

    def _explain(self, part: Batch, options: dict[str, Any]) -> Attribution:
        rows = self._rows
        return rows.explainer(part.inputs, part.target, self.entry.made, **rows.asked, **options)


def first_samples(found: Attribution) -> Attribution:
    """Return an attribution of the first samples alone."""
    axes = {k: found.sample_axes.get(k, 0) for k in found.arrays}
    kept: dict[str, Any] = {"check": Unchecked(), "extras": {}, "rule_table": ()}
    if len(found) <= _SHOWN or None in axes.values():
        return replace(found, **kept)

    def cut(arrays: Arrays) -> Arrays:
        return {k: np.take(v, range(_SHOWN), axis=axes[k] or 0) for k, v in arrays.items()}

    predictions = found.predictions
    return replace(
        found,
        arrays=cut(found.arrays),
        inputs=cut(found.inputs),
        target=found.target[:_SHOWN],
        score=found.score[:_SHOWN],
        predictions=predictions[:_SHOWN] if len(predictions) == len(found) else predictions,
        **kept,
    )
