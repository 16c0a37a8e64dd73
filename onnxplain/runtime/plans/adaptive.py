"""An integral along a path whose points go where the score says that it is known least."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Walk
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["integrate"]

_FIRST = 9  # evenly spaced points to begin with
_HELD = 64  # gradients of a row in memory
_SPLIT = 0.5  # segments with this part of the largest error are split together
_LEFT = 0.25  # of the error of a segment, where the score bends evenly and the segment is halved
_NARROW = 1e-7  # no segment shorter than this is split
_ROUNDING = 1e-6  # of the scores, which nothing can be below


def integrate(problem: Problem, tol: float, budget: int, *, times_difference: bool = True) -> Found:
    """Integrate the gradient from the baselines to the rows by trapezoids, halved where they fit worst.

    Each gradient g at ``b + a (x - b)`` comes with the score there, so the error of a segment is known:
    ``e = S(a2) - S(a1) - (a2 - a1) (g1 + g2) . (x - b) / 2``.  Rows are done when both ``|sum e|``, what is
    missing from their sum, and ``sqrt(sum e^2)``, what would be if errors did not happen to cancel, are at
    most ``tol |S(x) - S(b)|``, or when they have had their budget; only the others are asked about again, at
    no more points at once than should suffice.

    Parameters
    ----------
    problem
        The rows.
    tol, budget
        When to stop; gradients of a row.
    times_difference
        Whether to multiply by ``x - b``.
    """
    driver, ask = problem.driver, Walk()
    ends = problem.ask(ask)
    size = max(1, driver.room(ask) // _FIRST)
    parts: list[_Paths] = []
    with driver.bar(problem.n, "integrated gradients") as bar:
        for start in range(0, problem.n, size):
            block = slice(start, min(start + size, problem.n))
            rows = problem.take(block)
            paths = _Paths(
                rows, ends.score[block], {k: v[block] for k, v in ends.values.items()}, tol, budget
            )
            paths.finish()
            parts.append(paths)
            bar.update(rows.n)
    values: Arrays = {}
    for name, x in problem.features.items():
        total = np.concatenate([p.totals[name] for p in parts])
        values[name] = (total * (x - problem.baselines[name]) if times_difference else total).astype(x.dtype)
    used, done = (np.concatenate([getattr(p, of) for p in parts]) for of in ("used", "done"))
    reference = np.concatenate([p.scores[:, -1] - p.scores[:, 0] for p in parts])
    extras = {"gradients": used, "converged": done}
    what = "samples" if problem.given else "paths"
    notes = _notes(used, done, tol, budget, what)
    return Found(values, reference if times_difference else None, extras=extras, notes=notes)


def _notes(used: IntArray, done: Array, tol: float, budget: int, what: str) -> tuple[str, ...]:
    """Say what ended the search of ``what``."""
    told = []
    if done.any():
        least, most = used[done].min(), used[done].max()
        many = f"{least}" if least == most else f"{least} to {most}"
        told.append(
            f"tol={tol:g} was reached by {done.sum()} of {len(done)} {what}, with {many} gradients each"
        )
    if not done.all():
        told.append(
            f"tol={tol:g} was not reached by {(~done).sum()} of {len(done)} {what} with n_steps={budget} "
            "gradients each; raise n_steps"
        )
    return tuple(told)


def _missing(total: FloatArray, squares: FloatArray) -> FloatArray:
    """Return what is missing: as errors add up, or as they would if they did not happen to cancel."""
    return np.maximum(np.abs(total), np.sqrt(np.maximum(squares, 0)))


def _enough(errors: FloatArray, sizes: FloatArray, order: IntArray, allowed: FloatArray) -> IntArray:
    """Return how many segments to halve, the largest errors first, so that it should suffice: (R,).

    Parameters
    ----------
    errors, sizes
        Of the segments, (R, K); sizes are 0 where a segment is not halved.
    order
        Segments by falling size.
    allowed
        What may be missing, (R,).
    """
    open_errors = np.take_along_axis(np.where(sizes > 0, errors, 0), order, 1)
    total = errors.sum(1, keepdims=True) - (1 - _LEFT) * np.cumsum(open_errors, 1)
    squares = (errors**2).sum(1, keepdims=True) - (1 - _LEFT**2) * np.cumsum(open_errors**2, 1)
    enough = _missing(total, squares) <= allowed[:, None]
    return np.asarray(np.where(enough.any(1), enough.argmax(1) + 1, errors.shape[1]))


class _Paths:
    """The paths of R rows, each with its own points, at most K: arrays (R, K), sorted by place.

    Shorter rows are filled up with copies of their last point, 1: segments without length.
    """

    def __init__(self, rows: Problem, score: FloatArray, gradients: Arrays, tol: float, budget: int) -> None:
        n = rows.n
        self.rows, self.tol, self.budget = rows, tol, budget
        self.ways = {k: x.astype(np.float64) - rows.baselines[k] for k, x in rows.features.items()}
        self.totals: Arrays = {k: np.zeros(v.shape, np.float64) for k, v in self.ways.items()}
        self.held: dict[int, Arrays] = {}
        self.made = 0
        self.places: FloatArray = np.ones((n, 1))
        self.scores: FloatArray = score.astype(np.float64)[:, None]
        self.slopes: FloatArray = self._slopes(np.arange(n), gradients)[:, None]
        self.slots: IntArray = self._hold(gradients, n)[:, None]
        self.closed: Array = np.ones((n, 1), bool)  # whether the segment behind a point stays as it is
        self.used: IntArray = np.ones(n, np.int64)
        self.done: Array = np.zeros(n, bool)
        first = np.linspace(0, 1, min(_FIRST, budget))[:-1]
        self._ask(np.repeat(np.arange(n), len(first)), np.tile(first, n))

    def finish(self) -> None:
        """Split segments until every row is done, or has had its budget."""
        while True:
            lengths, errors = self._segments()
            allowed = self.tol * np.abs(self.scores[:, -1] - self.scores[:, 0])
            allowed += _ROUNDING * np.abs(self.scores).max(1)
            self.done = _missing(errors.sum(1), (errors**2).sum(1)) <= allowed
            sizes = np.where(self.closed[:, :-1] | (lengths < _NARROW), 0, np.abs(errors))
            chosen = (sizes >= _SPLIT * sizes.max(1, keepdims=True)) & (sizes > 0)
            order = np.argsort(-sizes, axis=1, kind="stable")
            most = np.minimum(self.budget - self.used, _enough(errors, sizes, order, allowed))
            chosen &= (np.argsort(order, axis=1) < most[:, None]) & ~self.done[:, None]
            rows, segments = np.nonzero(chosen)
            if not rows.size:
                break
            self._ask(rows, self.places[rows, segments] + lengths[rows, segments] / 2)
            self._release()
        self._add(self.slots >= 0)

    def _segments(self) -> tuple[FloatArray, FloatArray]:
        """Return the lengths and the errors of all segments, (R, K - 1)."""
        lengths = np.diff(self.places)
        return lengths, np.diff(self.scores) - lengths * (self.slopes[:, 1:] + self.slopes[:, :-1]) / 2

    def _ask(self, rows: IntArray, places: FloatArray) -> None:
        """Ask at new points: row by row, sorted."""
        scores, slopes, slots = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        for block in self.rows.driver.blocks(len(rows), Walk()):
            index, part = rows[block], self.rows.take(rows[block])
            points: Arrays = {}
            for name, x in part.features.items():
                at = places[block].reshape(-1, *(1,) * (x.ndim - 1))
                points[name] = (part.baselines[name] + at * self.ways[name][index]).astype(x.dtype)
            answer = part.at(points).ask(Walk())
            scores[block], slopes[block] = answer.score, self._slopes(index, answer.values)
            slots[block] = self._hold(answer.values, len(index))
        counts = np.bincount(rows, minlength=self.rows.n)
        where = rows, np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
        shape = self.rows.n, int(counts.max())
        self.used = self.used + counts
        new = {"places": places, "scores": scores, "slopes": slopes, "slots": slots, "closed": False}
        grown: Arrays = {}
        for name, made in new.items():
            old = getattr(self, name)
            more = np.repeat(old[:, -1:], shape[1], 1)
            more[...] = {"slots": -1, "closed": True}.get(name, more)
            more[where] = made
            grown[name] = np.concatenate([old, more], 1)
        order = np.argsort(grown["places"], axis=1, kind="stable")  # the last point itself before its copies
        for name, array in grown.items():
            setattr(self, name, np.take_along_axis(array, order, 1))

    def _slopes(self, index: IntArray, gradients: Arrays) -> FloatArray:
        """Return how fast the scores change along the paths of some rows."""
        n = len(index)
        return np.asarray(
            sum((g.reshape(n, -1) * self.ways[k][index].reshape(n, -1)).sum(1) for k, g in gradients.items())
        )

    def _hold(self, gradients: Arrays, count: int) -> IntArray:
        """Keep gradients, one by one, and return where."""
        slots = np.arange(self.made, self.made + count)
        self.held |= {int(slot): {k: g[j] for k, g in gradients.items()} for j, slot in enumerate(slots)}
        self.made += count
        return slots

    def _release(self) -> None:
        """Where too many gradients are held, split the better half no more, and add up what is done."""
        crowded = (self.slots >= 0).sum(1) > _HELD
        if not crowded.any():
            return
        errors = np.abs(self._segments()[1])
        opened = ~self.closed[:, :-1]
        median = np.nanmedian(np.where(opened, errors, np.nan)[crowded], axis=1, keepdims=True)
        self.closed[crowded, :-1] |= errors[crowded] < median
        before = np.concatenate([np.ones((self.rows.n, 1), bool), self.closed[:, :-1]], 1)
        self._add((self.slots >= 0) & self.closed & before & crowded[:, None])

    def _add(self, which: Array) -> None:
        """Add gradients to the totals, each with half the lengths beside it."""
        lengths = self._segments()[0]
        weights = np.zeros(self.places.shape)
        weights[:, :-1] += lengths / 2
        weights[:, 1:] += lengths / 2
        for row, k in zip(*np.nonzero(which), strict=True):
            for name, gradient in self.held.pop(int(self.slots[row, k])).items():
                self.totals[name][row] += weights[row, k] * gradient
        self.slots[which] = -1
