"""Scores without windows, of which each layer computes only what a window reaches.

Where the program is one that :func:`~onnxplain.graph.local.localise.localise` can write anew, and this
saves enough products, windows are asked about as patches; some are also asked about in full, and where the
two do not agree, all are.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Scores
from onnxplain.backward.program import Program
from onnxplain.errors import ModelRunError
from onnxplain.graph.local.localise import Localised, localise
from onnxplain.runtime.driver import Rows
from onnxplain.runtime.front import end_in
from onnxplain.runtime.plans.plan import Points
from onnxplain.runtime.plans.telling import Some
from onnxplain.runtime.plans.windows import Slides, without
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.room import Room
from onnxplain.runtime.session import Executable

__all__ = ["Nearby", "cut_out", "nearby"]

_GAIN = 1.5  # times fewer products, from which on patches are used
_FEWEST = 64  # windows, from which on a program of its own pays
_TRIED = 8  # windows that are asked about both ways
_ALIKE = 3e-5  # of the largest score: what rounding may change
_PLANES = 4  # axes: samples, channels, rows, columns
_ASK = Scores()


@dataclass(frozen=True, eq=False)
class _Known:
    """What was found out of a model and its windows, once."""

    program: Program
    local: Localised


@dataclass(frozen=True, eq=False)
class Nearby:
    """Windows that are asked about as patches.

    Attributes
    ----------
    program
        What is asked in full.
    local, patches
        The program for patches, and what runs it.
    problem
        The rows.
    slides
        The windows.
    wholes
        By name of an input, (n, ...): values for the rows as they are.
    points
        The windows that are asked about.
    at_once
        How many at once.
    """

    program: Program
    local: Localised
    patches: Executable
    problem: Problem
    slides: Slides
    wholes: Arrays
    points: Some
    at_once: int

    def scores(self, which: IntArray) -> FloatArray:
        """Return the scores without some of the windows, (m, n)."""
        problem, n, m = self.problem, self.problem.n, len(which)
        ((name, x),) = problem.features.items()
        target = np.tile(problem.target, (m, *(1,) * (problem.target.ndim - 1)))
        feeds = problem.driver.feeds(self.program, Rows({}, np.tile(problem.rows, m), target, {}))
        feeds |= self.wholes
        feeds |= {k: np.repeat(v[which], n, 0) for k, v in self.local.places.items()}
        feeds[name] = cut_out(x, problem.baselines[name], self.slides, which)
        score = self.program.score
        return np.asarray(self.patches.run(feeds, [score])[score].reshape(m, n))


def nearby(points: Points, problem: Problem, at_once: int) -> Nearby | None:
    """Return how points are asked about as patches; None where they are not.

    Parameters
    ----------
    points
        Rows without windows; others are not asked about so.
    problem
        The rows.
    at_once
        How many points are usually asked about at once.
    """
    driver = problem.driver
    layout, programs, room = driver.layout, driver.programs, driver.room
    if not isinstance(points, Some) or len(points.which) < _FEWEST or programs.form != "accelerated":
        return None
    if len(problem.features) != 1 or layout.exact is not None:
        return None
    ((name, x),) = problem.features.items()
    if x.ndim != _PLANES or not x.size or layout.axes.get(name) != 0:
        return None
    if isinstance(room, Room) and room.most(_ASK) > room.usual(_ASK):
        at_once = min(at_once, room.most(_ASK) // problem.n - 1)  # values as they are take room, too
    if at_once < 1:
        return None
    (slides,) = points.windows.over(problem.features).values()
    problem = problem.resolved()
    fixed = tuple((k, layout.axes[k], np.shape(v)) for k, v in driver.fixed.items())
    key = "nearby", driver.question, x.shape[1:], slides.window, slides.strides, fixed
    (known,) = programs.found(key, lambda: (_found(problem, slides),))
    if known is None:
        return None
    patches = programs.compiled((*key, "patches"), known.local.model.clone)
    wholes = _wholes(known, problem, key)
    ready = Nearby(known.program, known.local, patches, problem, slides, wholes, points, at_once)
    return ready if _right(ready) else None


def _found(problem: Problem, slides: Slides) -> _Known | None:
    """Write the program for patches; None where that is not possible, or does not save enough."""
    driver = problem.driver
    ((name, x),) = problem.features.items()
    program = driver.programs.written(replace(driver.question, ask=_ASK))
    feeds = driver.feeds(program, problem.points.take(slice(0, 1)))
    shapes = {k: np.shape(v) for k, v in feeds.items()}
    low = slides.starts(np.arange(slides.count))[:, 1:]
    high = np.minimum(low + np.array(slides.window[1:]), np.array(x.shape[2:]))
    local = localise(program.model, name, program.score, shapes, low, high)
    return None if local is None or local.gain < _GAIN else _Known(program, local)


def _wholes(known: _Known, problem: Problem, key: tuple[Hashable, ...]) -> Arrays:
    """Return values for the rows as they are, by the names of inputs."""
    names = known.local.wholes
    inner = sorted({v for v in names.values() if v not in problem.features})
    made = dict(problem.features)
    if inner:

        def written() -> ir.Model:
            model = known.program.model.clone()
            values = {v.name: v for node in model.graph for v in node.outputs}
            end_in(model, [values[v] for v in inner])
            return model

        compiled = problem.driver.programs.compiled((*key, "wholes"), written)
        made |= compiled.run(problem.driver.feeds(known.program, problem.points), inner)
    return {k: made[v] for k, v in names.items()}


def _right(ready: Nearby) -> bool:
    """Tell whether values have the shapes that were reckoned with, and some windows their scores in full."""
    if any(v.shape[1:] != ready.local.shapes[k] for k, v in ready.wholes.items()):
        return False
    which = ready.points.which
    tried = which[np.unique(np.linspace(0, len(which) - 1, _TRIED).astype(np.int64))]
    try:
        scores = ready.scores(tried)
    except ModelRunError:
        return False
    full = without(ready.points.windows, ready.problem, tried).ask(_ASK).score.reshape(scores.shape)
    return bool((np.abs(scores - full) <= _ALIKE * np.abs(full).max(initial=0.0)).all())


def cut_out(x: Array, instead: Array, slides: Slides, which: IntArray) -> Array:
    """Return what stands in and around windows once the baseline is in them, (m n, channels, rows, columns).

    A window that is cut off at an end is moved back, so that all are of one size.
    """
    starts, shape = slides.starts(which), np.array(slides.shape)
    first = np.minimum(starts, shape - slides.window)[:, 1:]
    places = [first[:, k, None] + np.arange(slides.window[1 + k]) for k in (0, 1)]
    everywhere = [np.arange(slides.shape[0])[None], *places]
    inside = [
        (at >= starts[:, k, None]) & (at < starts[:, k, None] + slides.window[k])
        for k, at in enumerate(everywhere)
    ]
    hidden = inside[0][:, :, None, None] & inside[1][:, None, :, None] & inside[2][:, None, None, :]
    rows, columns = places[0][:, :, None], places[1][:, None, :]
    stays, stands = (np.moveaxis(a[:, :, rows, columns], 2, 0) for a in (x, instead))
    made = np.where(hidden[:, None], stands, stays)
    return np.ascontiguousarray(made.reshape(-1, *made.shape[2:]))
