"""Plans of which nothing leaves the GPU before their end: points, answers and their sums are there.

Points, sums and loop are those of the host, on arrays of the device: the kernels go where their arrays are.
What goes up on the way are small numbers (which coalitions, where windows begin), for which the host does not
wait; what comes down are the finished sums, or the scores of all points at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from onnxplain import kernels
from onnxplain._types import Array, Arrays
from onnxplain.backward.asks import Scores, Walk
from onnxplain.finite import all_finite
from onnxplain.kernels._native import FLOAT_DTYPES
from onnxplain.kernels.device_array import DeviceArray, empty, put, viewed
from onnxplain.runtime.driver import Rows
from onnxplain.runtime.plans.blocks import Blocks
from onnxplain.runtime.plans.combinations import Integral, Spread
from onnxplain.runtime.plans.moving import OnDevice
from onnxplain.runtime.plans.plan import Answers, Anywhere, Found, Plan, Sums
from onnxplain.runtime.plans.ways import Ways
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.scratch import DeviceScratch
from onnxplain.runtime.session import Executable

__all__ = ["run", "usable", "why_not"]


class _UnfitError(Exception):
    """The model answers in numbers that the kernels do not take."""


def usable(plan: Plan, problem: Problem) -> bool:
    """Tell whether a plan's points and sums can be made on the GPU on which its problem runs.

    Whether there are kernels for it, and the problem fits them, says :func:`why_not`.
    """
    ask = plan.question
    walked = isinstance(ask, Walk) and type(plan.combination) in (Integral, Spread, Ways)
    plain = isinstance(ask, Scores) or (walked and isinstance(ask, Walk) and not _compares(ask))
    return problem.driver.programs.device == "cuda" and isinstance(plan.points, OnDevice) and plain


def _compares(ask: Walk) -> bool:
    return ask.composite.reference or ask.account


def why_not(plan: Plan, problem: Problem) -> str | None:
    """Say why points that are usually made on the GPU are made on the host; None if they are not."""
    assert isinstance(plan.points, OnDevice)
    layout = problem.driver.layout
    if not kernels.built_with_cuda():
        return "onnxplain was built without CUDA"
    if kernels.cuda_device_count() == 0:
        return "its kernels find no GPU"
    if layout.exact is not None:
        return "the model takes a fixed number of samples"
    if any(layout.axes[k] != 0 for k in problem.features):
        return "samples do not lie along the first axis"
    if any(v.dtype.kind not in "biuf" for v in problem.driver.fixed.values()):
        return "an input is made of texts"
    return plan.points.held_back(problem)


def run(
    plan: Plan,
    problem: Problem,
    count: int,
    at_once: int,
    *,
    checked: bool,
    moved: Callable[[int, int], None],
) -> Found | None:
    """Run a plan that :func:`usable` and :func:`why_not` let pass, for rows that fit the device together.

    Parameters
    ----------
    plan, problem
        What to do, and for what.
    count
        How many points there are.
    at_once
        How many of them are asked about at once.
    checked
        Whether the result is to say what it must sum to.
    moved
        Is told of points that are on their way: how many, and of how many rows a block is.

    Returns
    -------
    None if some of the numbers are not finite, or of a type that the kernels do not take: on the host errors
    say where they come from.
    """
    here = problem.resolved()
    sums = plan.combination.begin(here, count, checked=checked)
    loop = _Loop(plan, here, count)
    try:
        adds: Sums = sums if isinstance(sums, Anywhere) else _Nothing()
        if isinstance(sums, Anywhere):
            sums.problem = loop.there
        Blocks(loop.there, None, count, at_once, loop.answer, adds, moved).run()
        if isinstance(sums, Anywhere):
            sums.problem = here
            sums.fetch()
        scores = None if loop.scores is None else loop.scores.numpy()
    except _UnfitError:
        return None
    finally:
        loop.end()
    if scores is not None and not all_finite(scores):
        return None
    if scores is not None and not isinstance(sums, Anywhere):
        sums.add(slice(0, count), Answers({}, scores, None, "conservation"))
    found = sums.found()
    return found if scores is not None or all(map(all_finite, found.values.values())) else None


class _Nothing:
    """Adds nothing up: the scores are kept, and the host has all of them at the end."""

    def add(self, steps: slice, answers: Answers) -> None:
        pass

    def found(self) -> Found:
        return Found({})


class _Loop:
    """Asks about points on the device.

    Attributes
    ----------
    there
        The problem, whose features, baselines and background are on the device.
    scores
        (count, n), on the device, once there are some; None of a walk.
    """

    def __init__(self, plan: Plan, problem: Problem, count: int) -> None:
        assert isinstance(plan.question, (Scores, Walk))
        driver = problem.driver
        self._plan, self._problem, self._count = plan, problem, count
        self._program, executable = driver.compiled(plan.question)
        assert isinstance(executable, Executable)  # nothing is compared with a reference
        self._executable = executable
        stream = executable.stream
        assert stream is not None  # there are kernels
        self._stream = stream
        self._walks = isinstance(plan.question, Walk)
        self._fed: dict[int, dict[str, Any]] = {}
        self.scores: DeviceArray | None = None
        self.there = replace(
            problem,
            features=self._up(problem.features),
            baselines=self._up(problem.baselines),
            background=self._up(problem.background),
            given=False,
            scratch=DeviceScratch(self._stream),
        )

    def answer(self, steps: slice) -> Answers:
        """Ask at some points; the host does not wait for what is answered."""
        m, n, program = steps.stop - steps.start, self._problem.n, self._program
        points = self._plan.points.at(self.there, steps).features
        outputs = program.attributions if self._walks else [program.score]
        made = self._executable.run_on_device({**self._beside(m), **points}, outputs)
        answers = {name: viewed(tensor, self._stream) for name, tensor in made.items()}
        for array in answers.values():
            if array.dtype not in FLOAT_DTYPES or array.size % (m * n):
                raise _UnfitError
        if self._walks:
            names = zip(self._problem.driver.question.wrt, program.attributions, strict=True)
            values: Any = {k: answers[o].reshape(m, n, *answers[o].shape[1:]) for k, o in names}
            own = self.there.features
            if isinstance(self._plan.combination, Ways) and any(
                v.dtype != own[k].dtype for k, v in values.items()
            ):
                raise _UnfitError  # they are multiplied by what features differ
            return Answers(values, None, None, "conservation")
        score: Any = answers[program.score].reshape(m, n)
        if self.scores is None:
            self.scores = empty((self._count, n), score.dtype, self._stream)
        self.scores[steps].copy_from(score)
        return Answers({}, score, None, "conservation")

    def end(self) -> None:
        """Wait for the work, and give memory back: others may get it, on streams of their own."""
        try:
            self._stream.synchronize()
        finally:
            self._stream.constants.clear()

    def _beside(self, m: int) -> dict[str, Any]:
        """Return what is fed beside m points: target, and inputs that are not explained; brought up once."""
        if m not in self._fed:
            problem, driver = self._problem, self._problem.driver
            target = np.tile(problem.target, (m, *(1,) * (problem.target.ndim - 1)))
            rows = Rows({}, np.tile(problem.rows, m), target, {})
            self._fed[m] = dict(self._up(driver.feeds(self._program, rows)))
        return self._fed[m]

    def _up(self, arrays: Arrays) -> Any:
        return {k: _put(v, self._stream) for k, v in arrays.items()}


def _put(array: Array, stream: Any) -> DeviceArray:
    return put(np.asarray(array), stream)
