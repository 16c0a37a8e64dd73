"""What a method works on: features in batches, and the model's answer to "walk back from the score"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.composite import Composite
from onnxplain.backward.presets import preset
from onnxplain.backward.program import Combine, Program, Question
from onnxplain.errors import NotFiniteError
from onnxplain.runtime import axes as batch_axes
from onnxplain.runtime.programs import Programs
from onnxplain.runtime.session import Executable

__all__ = ["Call", "Problem", "Walk", "not_finite"]


@dataclass(frozen=True)
class Walk:
    """What a walk back found.

    Attributes
    ----------
    values
        By feature, (n, ...): gradient or relevance.
    score
        (n,): the explained score.
    predictions
        The model's output, if the call wants it from the walk.
    reference_score
        (n,): the score at the baselines, for rules that compare with them.
    kept
        By node: what it kept of what arrived, over all rows, if the question asks for it.
    """

    values: Arrays
    score: FloatArray
    predictions: Array | None = None
    reference_score: FloatArray | None = None
    kept: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """What is the same for all rows of one call.

    Attributes
    ----------
    programs
        The model.
    question
        What to ask, up to the composite.
    target
        int64 (N, k).
    fixed
        Inputs that are not explained, as given.
    axes
        Position of the batch axis by input name; None where there is none.
    batch_size
        Rows to run at once.
    exact_batch
        Rows that the model demands at once (a fixed batch), or None.
    output_axis
        Position of the batch axis in the explained output; None where there is none.
    progress
        Whether to show a bar.
    with_predictions
        Whether walks bring the predictions along (one run then answers all).
    """

    programs: Programs
    question: Question
    target: IntArray
    fixed: Arrays
    axes: dict[str, int | None]
    batch_size: int
    exact_batch: int | None = None
    output_axis: int | None = 0
    progress: bool = False
    with_predictions: bool = False
    rule_tables: list[tuple[tuple[str, str, str], ...]] = field(default_factory=list)

    def feeds(self, features: Arrays, rows: IntArray, target_name: str) -> Arrays:
        """Lay rows out as the model wants its inputs."""
        fed: Arrays = {name: self.laid_out(name, array) for name, array in features.items()}
        for name, array in self.fixed.items():
            axis = self.axes[name]
            fed[name] = array if axis is None else np.take(array, rows, axis=axis)
        if self.question.target_axes:
            target = self.target[rows]
            fed[target_name] = target[:, 0] if self.question.target_axes == 1 else target
        return fed

    def laid_out(self, name: str, array: Array) -> Array:
        """Bring a feature's array, batch axis first, into the layout of the model's input."""
        return batch_axes.laid_out(array, self.axes[name])


@dataclass(frozen=True)
class Problem:
    """Features to explain, n rows.

    Attributes
    ----------
    call
        What all rows share.
    features
        By name, (n, ...): batch axis first.
    rows
        (n,): which sample of the call each row belongs to.
    baselines
        Like ``features``: where paths start, or what activations are compared with.
    distribution
        By feature, (M, ...): the references of a method that takes many for every row (empty for others).
    """

    call: Call
    features: Arrays
    rows: IntArray
    baselines: Arrays
    distribution: Arrays = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def batch_size(self) -> int:
        """Rows that run at once."""
        return self.call.batch_size

    def take(self, index: IntArray | slice) -> Problem:
        """Return the problem of some rows."""
        return replace(
            self,
            features={k: v[index] for k, v in self.features.items()},
            baselines={k: v[index] for k, v in self.baselines.items()},
            rows=self.rows[index],
        )

    def blocks(self, size: int) -> Iterator[slice]:
        """Cut the rows into blocks."""
        for start in range(0, self.n, size):
            yield slice(start, min(start + size, self.n))

    def at(self, features: Arrays, repeats: int = 1) -> Problem:
        """Return the problem of other features, ``repeats`` copies of all rows one after the other."""
        tiled = {k: np.tile(v, (repeats, *(1,) * (v.ndim - 1))) for k, v in self.baselines.items()}
        return replace(self, features=features, rows=np.tile(self.rows, repeats), baselines=tiled)

    def walk(
        self, composite: Composite | str = "gradient", combine: Combine = "raw", *, account: bool = False
    ) -> Walk:
        """Walk back from the scores of all rows.

        Parameters
        ----------
        composite
            Which rules to walk by.
        combine
            What to make of the result.
        account
            Whether to say how much each node keeps.

        Raises
        ------
        NotFiniteError
            If NaN or infinite numbers come out, although the features are finite; it names the node.
        """
        chosen = preset(composite) if isinstance(composite, str) else composite
        question = replace(self.call.question, composite=chosen, combine=combine, account=account)
        program, executable = self.call.programs.program(question)
        if program.rule_table and program.rule_table not in self.call.rule_tables:
            self.call.rule_tables.append(program.rule_table)
        parts = [self._run(program, executable, block) for block in self.blocks(self.batch_size)]
        values = {
            name: np.concatenate([p.values[name] for p in parts]) if len(parts) > 1 else parts[0].values[name]
            for name in self.features
        }
        self._refuse_not_finite(question, program, values)
        predictions = [p.predictions for p in parts if p.predictions is not None]
        references = [p.reference_score for p in parts if p.reference_score is not None]
        return Walk(
            values,
            np.concatenate([p.score for p in parts]),
            batch_axes.join(predictions, self.call.output_axis) if predictions else None,
            np.concatenate(references) if references else None,
            {node: sum(p.kept[node] for p in parts) for node, _ in program.kept},
        )

    def scores(self) -> FloatArray:
        """Return the scores of all rows, (n,); slopes may be infinite there."""
        program, executable = self.call.programs.program(self.call.question)
        parts = []
        for block in self.blocks(self.batch_size):
            made = executable.run(self.feeds(program, block), [program.score])
            parts.append(made[program.score][: len(self.rows[block])])
        return np.concatenate(parts)

    def _refuse_not_finite(self, question: Question, program: Program, values: Arrays) -> None:
        """Raise for the first row whose values are no finite numbers, and say where they come from."""
        bad = np.zeros(self.n, bool)
        for name, array in values.items():
            if not np.isfinite(array).all():
                bad |= ~np.isfinite(array.reshape(self.n, -1)).all(1)
                bad &= np.isfinite(self.features[name].reshape(self.n, -1)).all(1)
        if not bad.any():
            return
        row = int(np.argmax(bad))
        feeds = self.take(np.array([row])).feeds(program, slice(0, 1))
        raise NotFiniteError(not_finite(int(self.rows[row]), self.call.programs.blame(question, feeds)))

    def bar(self, steps: Iterable[Any], total: int, what: str) -> Iterable[Any]:
        """Show progress over steps, if the caller wants it."""
        bar: Iterable[Any] = tqdm(steps, total=total, desc=what, disable=not self.call.progress, leave=False)
        return bar

    def feeds(self, program: Program, block: slice) -> Arrays:
        """Return what a program is fed for some rows; a fixed batch is filled up with the last row."""
        call = self.call
        features = {k: v[block] for k, v in self.features.items()}
        starts = {k: self.baselines[k][block] for k in features} if program.references else {}
        rows, n = self.rows[block], len(self.rows[block])
        if call.exact_batch is not None and n < call.exact_batch:
            index = np.minimum(np.arange(call.exact_batch), n - 1)
            features, starts = ({k: v[index] for k, v in a.items()} for a in (features, starts))
            rows = rows[index]
        feeds = call.feeds(features, rows, program.target)
        for name, reference in zip(call.question.wrt, program.references, strict=False):
            feeds[reference] = call.laid_out(name, starts[name])
        return feeds

    def _run(self, program: Program, executable: Executable, block: slice) -> Walk:
        call, n = self.call, len(self.rows[block])
        wanted = [
            program.score,
            *program.attributions,
            *([program.prediction] if call.with_predictions else []),
            *([program.reference_score] if program.reference_score is not None else []),
            *(output for _, output in program.kept),
        ]
        made = executable.run(self.feeds(program, block), wanted)
        values: Arrays = {}
        for name, output in zip(call.question.wrt, program.attributions, strict=True):
            values[name] = batch_axes.first(made[output], call.axes[name])[:n]
        predictions = made.get(program.prediction)
        if predictions is not None and call.exact_batch is not None:
            predictions = batch_axes.rows(predictions, call.output_axis, n)
        reference_score = None if program.reference_score is None else made[program.reference_score][:n]
        kept = {node: float(made[output]) for node, output in program.kept}
        return Walk(values, made[program.score][:n], predictions, reference_score, kept)


def not_finite(sample: int, node: str | None) -> str:
    """Say that the explanation of a sample is no finite number, and what to do."""
    where = f"; the first to make such numbers is {node}" if node else ""
    return (
        f"the explanation of sample {sample} holds NaN or infinite numbers{where}: the slope is infinite "
        "there, or a number too large; change the input (or the baseline, or an option of the method) a "
        "little, or explain a value behind that node (wrt=...)"
    )
