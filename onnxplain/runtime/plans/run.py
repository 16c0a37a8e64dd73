"""The loop that runs plans: points in blocks that fit the memory, answers added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.backward.asks import Probe, Scores, Walk
from onnxplain.finite import all_finite
from onnxplain.runtime.plans import on_device
from onnxplain.runtime.plans.blocks import Blocks
from onnxplain.runtime.plans.nearby import Nearby, nearby
from onnxplain.runtime.plans.plan import Answers, Found, Inner, Kind, Plan, SamePlayers, innermost
from onnxplain.runtime.plans.points import Itself
from onnxplain.runtime.plans.telling import telling
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.scratch import Scratch

__all__ = ["apart", "gathered", "joined", "run"]


def run(plan: Plan, problem: Problem, *, checked: bool = True) -> Found:
    """Run a plan for all rows.

    As many rows are taken at a time as fit, and as many points as fit beside them, so that memory is bounded
    whatever the plan.

    Parameters
    ----------
    plan, problem
        What to do, and for what.
    checked
        Whether the result is to say what it must sum to.
    """
    if isinstance(plan.points, SamePlayers):
        return apart(problem, lambda part: _run(plan, part, checked=checked))
    return _run(plan, problem, checked=checked)


def _run(plan: Plan, problem: Problem, *, checked: bool) -> Found:
    driver, ask = problem.driver, innermost(plan.question) or Walk()
    count = plan.points.count(problem)
    whole = isinstance(plan.points, Itself)  # the driver cuts it
    rows = [slice(0, problem.n)] if whole else list(driver.blocks(problem.n, ask))
    at_once = max(1, driver.room(ask) // (rows[0].stop - rows[0].start))
    if len(rows) > 1 and plan.combination.ends(checked=checked):
        problem.scores()  # of all rows, whose parts then know them
    found: list[Found] = []
    inside = checked and plan.combination.keeps_sums
    with driver.bar(len(rows) * count, plan.what) as bar:
        for block in rows:
            part = problem if len(rows) == 1 else problem.take(block)
            if not whole:
                part = replace(part if driver.seen is None else part.resolved(), scratch=Scratch())
            asked = plan if whole else telling(plan, part)
            points = count if asked is plan else asked.points.count(part)
            made: Found | None = None
            notes: tuple[str, ...] = ()
            if on_device.usable(asked, part):
                reason = on_device.why_not(asked, part)
                if reason is None:
                    moved = partial(_moved, bar)
                    made = on_device.run(asked, part, points, at_once, checked=checked, moved=moved)
                else:
                    notes = (f"points were made on the host, and not on the GPU: {reason}",)
            if made is None:
                sums = asked.combination.begin(part, points, checked=checked)
                plain = ask if plan.question is ask else None
                answer = partial(_at, asked, part, inside)
                many, near = at_once, nearby(asked.points, part, at_once)
                if near is not None:
                    answer, plain, many = partial(_near, near, answer), None, near.at_once
                Blocks(part, plain, points, many, answer, sums, partial(_moved, bar)).run()
                made = sums.found()
            bar.update(count - points)
            found.append(replace(made, notes=(*made.notes, *notes)) if notes else made)
    return joined(found)


def _at(plan: Plan, problem: Problem, checked: bool, steps: slice) -> Answers:
    """Ask at some of a plan's points."""
    return _answers(plan.question, plan.points.at(problem, steps), problem.n, checked=checked)


def _near(near: Nearby, otherwise: Callable[[slice], Answers], steps: slice) -> Answers:
    """Ask about windows as patches; where the scores are no finite numbers, in full, which says why."""
    scores = near.scores(near.points.which[steps])
    return Answers({}, scores, None, "conservation") if all_finite(scores) else otherwise(steps)


def _moved(bar: Any, points: int, rows: int) -> None:
    """Move a bar on, which says how many rows are asked about at once."""
    if not bar.disable:
        bar.set_postfix({"rows at once": rows}, refresh=False)
    bar.update(points)


def apart(problem: Problem, each: Callable[[Problem], Found]) -> Found:
    """Find something for rows that have the same players, and join it.

    Parameters
    ----------
    problem
        The rows.
    each
        Finds it for rows with the same players, counted from 0.
    """
    if problem.grouping is None:
        return each(problem)
    alike = problem.grouping.alike(problem.n)
    if len(alike) == 1:
        return each(replace(problem, grouping=alike[0][1]))
    problem.scores()  # of all rows, whose parts then know them
    parts = [each(replace(problem.take(rows), grouping=own)) for rows, own in alike]
    return gathered([rows for rows, _ in alike], parts)


def gathered(rows: Sequence[IntArray], parts: Sequence[Found]) -> Found:
    """Join what was found of some rows each, and put it in the order of these."""
    order = np.argsort(np.concatenate(rows))
    found = joined(parts)
    return replace(
        found,
        values=_picked(found.values, order),
        reference=_picked(found.reference, order),
        errors=_picked(found.errors, order),
        extras=_picked(found.extras, order),
        total=_picked(found.total, order),
    )


def _picked(found: Any, order: IntArray) -> Any:
    """Put the rows of arrays, or of those in mappings, in order."""
    if isinstance(found, Mapping):
        return {k: _picked(v, order) for k, v in found.items()}
    return None if found is None else found[order]


def _answers(question: Inner, problem: Problem, n: int, *, checked: bool) -> Answers:
    """Ask at m points of n rows, all rows of a point next to each other."""
    if isinstance(question, (Scores, Walk, Probe)):
        answer = problem.ask(question)
        compares = isinstance(question, Walk) and question.composite.reference
        kind: Kind = "completeness" if compares else "conservation"
        return Answers(
            {k: _split(v, n) for k, v in answer.values.items()},
            _split(answer.score, n),
            None if answer.reference is None else _split(answer.reference, n),
            kind,
            probed={k: _split(v, n) for k, v in answer.probed.items()},
        )
    found = (
        run(question, problem, checked=checked) if isinstance(question, Plan) else question.attribute(problem)
    )
    reference, total = (None if v is None else _split(v, n) for v in (found.reference, found.total))
    values, errors = ({k: _split(v, n) for k, v in (of or {}).items()} for of in (found.values, found.errors))
    score = None if "score" not in found.extras else _split(np.asarray(found.extras["score"]), n)
    return Answers(values, score, reference, found.kind, errors, total, found.notes)


def _split(array: Array, n: int) -> Array:
    return array.reshape(-1, n, *array.shape[1:])


def joined(found: Sequence[Found]) -> Found:
    """Join what was found of several blocks of rows."""
    if len(found) == 1:
        return found[0]
    first = found[0]
    return Found(
        _together([f.values for f in found]),
        _together([f.reference for f in found]),
        first.kind,
        _together([f.errors for f in found]),
        {kind: _together([f.extras[kind] for f in found]) for kind in first.extras},
        _together([f.total for f in found]),
        tuple(dict.fromkeys(note for f in found for note in f.notes)),
    )


def _together(parts: Sequence[Any]) -> Any:
    """Join arrays, or those in mappings, by their first axis; None stays None."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {k: _together([p[k] for p in parts]) for k in first}
    return np.concatenate(parts)
