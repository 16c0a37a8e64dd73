"""Paths that go first where the score changes least."""

from __future__ import annotations

import math

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.asks import Walk
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["guided"]

_CLOSE = 1e-9  # of distances that are as they should be


def guided(problem: Problem, n_steps: int, fraction: float, max_dist: float) -> Found:
    """Walk from baselines to rows, and add up gradients times the way of each step.

    Parameters
    ----------
    problem
        The rows.
    n_steps
        In how many steps the L1 distance shrinks to nothing, each by as much.
    fraction
        Which part of the elements moves at a time, those of the smallest gradients.
    max_dist
        How far, as a part of its way, an element may be from the straight line.
    """
    driver, ask = problem.driver, Walk()
    ends = problem.ask(ask).score
    sums: list[FloatArray] = []
    starts: list[FloatArray] = []
    blocks = list(driver.blocks(problem.n, ask))
    with driver.bar(len(blocks) * n_steps, "guided integrated gradients") as bar:
        for block in blocks:
            part = problem.take(block)
            start, end = _flat(part.baselines), _flat(part.features)
            at, total = start.copy(), np.zeros_like(start)
            for step in range(n_steps):
                answer = part.at(_shaped(at, part.features)).ask(ask)
                if not step:
                    starts.append(answer.score)
                gradient, before = _flat(answer.values), at
                at = _moved(at, start, end, np.abs(gradient), (step + 1) / n_steps, fraction, max_dist)
                total += (at - before) * gradient
                bar.update()
            sums.append(total)
    values = _shaped(np.concatenate(sums), problem.features)
    return Found(values, ends - np.concatenate(starts))


def _moved(
    at: FloatArray,
    start: FloatArray,
    end: FloatArray,
    slopes: FloatArray,
    place: float,
    fraction: float,
    max_dist: float,
) -> FloatArray:
    """Move rows, (n, F), until what is left of the way is ``1 - place`` of it, smallest slopes first."""
    low = start + (end - start) * max(place - max_dist, 0.0)
    highest = min(place + max_dist, 1.0)
    high = start + (end - start) * highest
    goal = np.abs(end - start).sum(1) * (1 - place)
    at, slopes = at.copy(), slopes.copy()
    nth = math.floor(fraction * (at.shape[1] - 1))
    open_ = np.flatnonzero(np.abs(end - start).sum(1) > 0)
    while open_.size:
        x, g, a, b = at[open_], slopes[open_], start[open_], end[open_]
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = np.where(a == b, highest, (x - a) / (b - a))
        x = np.where(reached < max(place - max_dist, 0.0), low[open_], x)
        left = np.abs(b - x).sum(1)
        short = left - goal[open_]
        there = np.abs(short) <= np.maximum(_CLOSE * np.maximum(left, goal[open_]), _CLOSE)
        g[x == high[open_]] = np.inf
        threshold = np.partition(g, nth, axis=1)[:, nth : nth + 1]
        moves = (g <= threshold) & np.isfinite(g) & ~there[:, None]
        reach = (np.abs(x - high[open_]) * moves).sum(1)
        part = np.divide(short, reach, out=np.full(len(x), np.inf), where=reach > 0)
        whole, part = part > 1, np.minimum(part, 1)
        x = np.where(moves, np.where(whole[:, None], high[open_], x + (high[open_] - x) * part[:, None]), x)
        at[open_], slopes[open_] = x, g
        open_ = open_[whole & ~there & moves.any(1)]
    return at


def _flat(arrays: Arrays) -> FloatArray:
    """Return all elements of each row, (n, F), float64."""
    return np.concatenate([v.reshape(len(v), -1) for v in arrays.values()], axis=1).astype(np.float64)


def _shaped(flat: Array, like: Arrays) -> Arrays:
    """Return arrays, by feature."""
    cuts = np.cumsum([v[0].size for v in like.values()])[:-1]
    parts = zip(like.items(), np.split(flat, cuts, axis=1), strict=True)
    return {k: part.reshape(-1, *v.shape[1:]).astype(v.dtype) for (k, v), part in parts}
