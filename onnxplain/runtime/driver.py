"""The one place where models are asked: rows in blocks that fit, samples where the model has them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Ask, Probe, Scores, Walk
from onnxplain.backward.picking import Target
from onnxplain.backward.program import Program
from onnxplain.backward.question import Question
from onnxplain.errors import NotFiniteError
from onnxplain.finite import all_finite
from onnxplain.records import record
from onnxplain.runtime import axes as batch_axes
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.parts.divided import Divided
from onnxplain.runtime.parts.held import alike
from onnxplain.runtime.programs import Programs, Runs

__all__ = ["Answer", "Driver", "Rows", "not_finite"]

#: From so many targets of one sample on, the forward pass is run once for all.
_MANY = 3

#: From so many rows at once on, whose forward pass is then a small one, picking their scores takes a part of
#: the time that is worth a program of its own.
_PICKED = 512


@record
class Answer:
    """What the model answers, for n rows.

    Attributes
    ----------
    score
        (n,): the explained score.
    values
        Walks: gradient or relevance by feature, (n, ...).  Probes: gradients by probed value.
    probed
        Probes: by name, (n, ...).
    predictions
        The model's output as it gives it, if asked for.
    index
        int64 (n, k): the target's index, where it was predicted.
    reference
        (n,): what the values must sum to: the score, or its difference from that at the baselines.
    kept
        By node: what it kept of what arrived, over all rows, if a walk is to account for it.
    """

    score: FloatArray
    values: Arrays = field(default_factory=dict)
    probed: Arrays = field(default_factory=dict)
    predictions: Array | None = None
    index: IntArray | None = None
    reference: FloatArray | None = None
    kept: dict[str, float] = field(default_factory=dict)


@record
class Rows:
    """Points at which the model is asked.

    Attributes
    ----------
    features
        By name, (n, ...).
    samples
        (n,): which sample of the call each row belongs to.
    target
        Indices, int64 (n, k), or weights, (n, ...) like the output.
    starts
        Like ``features``: what activations are compared with.
    """

    features: Arrays
    samples: IntArray
    target: Array
    starts: Arrays

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.samples)

    def take(self, index: IntArray | slice) -> Rows:
        """Return some of the rows."""
        features, starts = ({k: v[index] for k, v in a.items()} for a in (self.features, self.starts))
        return Rows(features, self.samples[index], self.target[index], starts)


class Driver:
    """Asks one model about one call.

    Parameters
    ----------
    programs
        The model.
    question
        What is explained, and how the target names it; each ask takes the place of its own.
    layout
        Where samples lie in inputs and features.
    fixed
        Inputs that are not explained, as given.
    room
        Rows that fit at once for an ask.
    needs
        What the method asks.
    progress
        Whether to show bars.
    """

    def __init__(
        self,
        programs: Programs,
        question: Question,
        layout: Layout,
        fixed: Arrays,
        room: Callable[[Ask], int],
        needs: Ask,
        *,
        progress: bool = False,
    ) -> None:
        self.programs = programs
        self.question = question
        self.layout = layout
        self.fixed = fixed
        self.room = room
        self.needs = needs
        self.progress = progress
        #: Which rule each node was walked back by, in every program that ran.
        self.rule_tables: list[tuple[tuple[str, str, str], ...]] = []
        #: The answer for the samples themselves, once something was asked there.
        self.seen: Answer | None = None
        self._forms: dict[tuple[Question, Target], Question] = {}

    def about(self, **changes: Any) -> Driver:
        """Return what asks of the same samples something else: other fields of the question."""
        made = copy.copy(self)
        made.question, made.seen = replace(self.question, **changes), None
        return made

    def beside(self, name: str, samples: int | None) -> Driver:
        """Return what takes an inner value, too, in place of what the features make of it.

        Parameters
        ----------
        name
            Of the value.
        samples
            Its axis of samples; None if that is not known.
        """
        if name in self.question.wrt:
            return self
        made = self.about(wrt=(*self.question.wrt, name), nested=True)
        made.layout = replace(self.layout, axes={**self.layout.axes, name: samples})
        return made

    def ask(self, ask: Ask, rows: Rows, *, predictions: bool = False) -> Answer:
        """Ask about rows.

        Parameters
        ----------
        ask
            The question.
        rows
            Any number of them.
        predictions
            Whether to bring the model's output along.

        Raises
        ------
        NotFiniteError
            If NaN or infinite numbers come out of a walk, although the features are finite; it names the
            node.
        """
        question, n = self._about(ask), len(rows.samples)
        if n >= _PICKED and isinstance(ask, Scores):
            question = self._picked(question, rows.target)
        once = n >= _MANY and self._same_sample(question, rows)
        program, executable = self._ready(question, once)
        if n == 1:
            answer = self._run(question, program, executable, rows, predictions)
        else:
            blocks = [rows if block == slice(0, n) else rows.take(block) for block in self.blocks(n, ask)]
            parts = [self._run(question, program, executable, block, predictions) for block in blocks]
            answer = parts[0] if len(parts) == 1 else self._joined(parts)
        if not all(map(all_finite, answer.values.values())):
            self._refuse_not_finite(question, program, rows, answer.values)
        return answer

    def compiled(self, ask: Ask, *, once: bool = False) -> tuple[Program, Runs]:
        """Return the program that answers a question, and what runs it.

        Parameters
        ----------
        ask
            The question.
        once
            Whether what does not depend on the target is run once, for rows that are the same.
        """
        return self._ready(self._about(ask), once)

    def _ready(self, question: Question, once: bool) -> tuple[Program, Runs]:
        """Return what :meth:`compiled` returns for the ask of a question."""
        program, executable = self.programs.program(question, once=once)
        if program.rule_table and program.rule_table not in self.rule_tables:
            self.rule_tables.append(program.rule_table)
        return program, executable

    def _about(self, ask: Ask) -> Question:
        own = self.question.ask
        return self.question if ask is own or ask == own else replace(self.question, ask=ask)

    def _picked(self, question: Question, target: Array) -> Question:
        """Return a question about scores in the form that picks those of these targets in the least time."""
        if question.target != "predicted" or question.target_axes != 1 or question.output_axis != 0:
            return question
        low = int(target.min())
        if low < 0:
            return question
        kind: Target = "shared" if low == int(target.max()) else "given"
        known = self._forms.get((question, kind))
        if known is None:
            known = self._forms[question, kind] = replace(question, target=kind)
        return known

    def blocks(self, n: int, ask: Ask) -> Iterator[slice]:
        """Cut rows into blocks that fit."""
        if n == 1:
            yield slice(0, 1)
            return
        size = self.room(ask)
        if isinstance(ask, Probe) and any(self.layout.inner.get(name) is None for name in ask.values):
            size = 1  # whose numbers are whose is only known of one sample
        if self.layout.exact is None and any(self.layout.axes.get(k, 0) is None for k in self.question.wrt):
            size = 1
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    def bar(self, total: int, what: str) -> Any:
        """Return a progress bar, shown if the caller wants it and there is more than one step."""
        return tqdm(total=total, desc=what, disable=not self.progress or total < 2, leave=False)

    def feeds(self, program: Program, rows: Rows, question: Question | None = None) -> Arrays:
        """Lay rows out as the program of a question wants its inputs; a fixed batch is filled up.

        Parameters
        ----------
        program, rows
            The program, and what it is asked about; the last row is what fills up.
        question
            The driver's own by default.
        """
        layout, question, axes = self.layout, question or self.question, self.layout.axes
        if layout.exact is not None and len(rows) < layout.exact:
            rows = rows.take(np.minimum(np.arange(layout.exact), len(rows) - 1))
        fed: Arrays = {k: batch_axes.laid_out(v, axes[k]) for k, v in rows.features.items()}
        for name, array in self.fixed.items():
            axis = axes[name]
            fed[name] = array if axis is None else array.take(rows.samples, axis=axis)
        if program.references:
            for name, reference in zip(question.wrt, program.references, strict=False):
                fed[reference] = batch_axes.laid_out(rows.starts[name], axes[name])
        if question.target == "weights":
            fed[program.target] = batch_axes.laid_out(rows.target, question.output_axis)
        elif question.target == "shared":
            fed[program.target] = rows.target[:1, 0]
        elif question.target_axes:
            fed[program.target] = rows.target[:, 0] if question.target_axes == 1 else rows.target
        return fed

    def _run(
        self,
        question: Question,
        program: Program,
        executable: Runs,
        rows: Rows,
        predictions: bool,
    ) -> Answer:
        n, layout = len(rows.samples), self.layout
        probe = question.ask if isinstance(question.ask, Probe) else None
        feeds = self.feeds(program, rows, question)
        outputs = program.results_with_prediction if predictions else program.results
        if isinstance(executable, Divided):
            made = executable.run(feeds, outputs, self._rows_of(program, feeds))
        else:
            made = executable.run(feeds, outputs)
        names = probe.values if probe else question.wrt
        values = self._by_name(names, program.attributions, made, n)
        probed = self._by_name(names, program.probed, made, n) if program.probed else {}
        score, output = made[program.score][:n], made[program.prediction] if predictions else None
        if output is not None and layout.exact is not None:
            output = batch_axes.rows(output, question.output_axis, n)
        reference = score if question.walk.composite.seed == "score" and question.backward else None
        if program.reference_score is not None:
            reference = score - made[program.reference_score][:n]
        index = None if program.index is None else made[program.index][:n].reshape(n, -1)
        kept = {node: float(made[o]) for node, o in program.kept} if program.kept else {}
        return Answer(score, values, probed, output, index, reference, kept)

    @staticmethod
    def _same_sample(question: Question, rows: Rows) -> bool:
        """Tell whether many targets of one sample are walked back from, so that one forward pass will do."""
        if not isinstance(question.ask, Walk):
            return False
        if question.target != "weights" and not question.target_axes:
            return False
        starts = rows.starts if question.walk.composite.reference else {}
        return all(alike(v, 0) for v in (*rows.features.values(), *starts.values()))

    def _rows_of(self, program: Program, feeds: Arrays) -> dict[str, int | None] | None:
        """Return where samples lie in what a program takes; None if they run in no other number."""
        layout = self.layout
        if layout.exact is not None or any(layout.axes[k] is None for k in self.question.wrt):
            return None
        axes = {k: layout.axes[k] for k in feeds if k in layout.axes}
        for name, reference in zip(
            self.question.wrt, program.references, strict=False
        ):  # where there are any
            axes[reference] = layout.axes[name]
        if program.target in feeds:
            axes[program.target] = self.question.output_axis if self.question.target == "weights" else 0
        return axes

    def _by_name(self, names: Sequence[str], outputs: Sequence[str], made: Arrays, n: int) -> Arrays:
        """Return what was made of features or inner values, n rows of each, samples first."""
        layout, found = self.layout, {}
        for name, output in zip(names, outputs, strict=False):
            array = made[output]
            axis = layout.axes[name] if name in layout.axes else layout.axis_of(name, array.shape)
            found[name] = batch_axes.first(array, axis)[:n]
        return found

    def _joined(self, parts: list[Answer]) -> Answer:
        def join(of: Callable[[Answer], Any], axis: int | None = 0) -> Any:
            found = [of(p) for p in parts]
            return None if found[0] is None else batch_axes.join(found, axis)

        first = parts[0]
        return Answer(
            join(lambda p: p.score),
            {k: batch_axes.join([p.values[k] for p in parts], 0) for k in first.values},
            {k: batch_axes.join([p.probed[k] for p in parts], 0) for k in first.probed},
            join(lambda p: p.predictions, self.question.output_axis),
            join(lambda p: p.index),
            join(lambda p: p.reference),
            {node: sum(p.kept[node] for p in parts) for node in first.kept},
        )

    def _refuse_not_finite(self, question: Question, program: Program, rows: Rows, values: Arrays) -> None:
        """Raise for the first row whose values are no finite numbers though its features are.

        Say where they come from.
        """
        n = len(rows)
        bad = np.zeros(n, bool)
        for array in values.values():
            bad |= ~np.isfinite(array.reshape(n, -1)).all(1)
        for array in rows.features.values():
            if bad.any() and array.dtype.kind == "f":
                bad &= np.isfinite(array.reshape(n, -1)).all(1)
        if not bad.any():
            return
        row = int(np.argmax(bad))
        feeds = self.feeds(program, rows.take(np.array([row])), question)
        raise NotFiniteError(not_finite(int(rows.samples[row]), self.programs.blame(question, feeds)))


def not_finite(sample: int, node: str | None) -> str:
    """Say that the explanation of a sample is no finite number, and what to do."""
    where = f"; the first to make such numbers is {node}" if node else ""
    return (
        f"the explanation of sample {sample} holds NaN or infinite numbers{where}: the slope is infinite "
        "there, or a number too large; change the input (or the baseline, or an option of the method) a "
        "little, or explain a value behind that node (wrt=...)"
    )
