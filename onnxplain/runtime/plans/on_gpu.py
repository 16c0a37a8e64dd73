"""An integral along a path of which nothing leaves the GPU: points, gradients and their sum stay there.

Only the ends of the path go up, and the finished sum comes down.  The numbers are those of the host's sum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort

from onnxplain import kernels
from onnxplain._types import Array, Arrays
from onnxplain.backward.asks import Walk
from onnxplain.kernels import cuda
from onnxplain.runtime.driver import Rows
from onnxplain.runtime.parts.divided import Divided
from onnxplain.runtime.plans.combinations import Integral, IntegralSums
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.points import Path
from onnxplain.runtime.problem import Problem

__all__ = ["integrate", "usable"]

_DEVICE = "cuda"


def usable(plan: Plan, problem: Problem) -> bool:
    """Tell whether a plan is such an integral, and its problem runs on a GPU where batches can be made."""
    driver, layout = problem.driver, problem.driver.layout
    return (
        isinstance(plan.points, Path)
        and isinstance(plan.question, Walk)
        and isinstance(plan.combination, Integral)
        and driver.programs.device == "cuda"
        and kernels.built_with_cuda()
        and kernels.cuda_device_count() > 0
        and layout.exact is None
        and all(layout.axes[k] == 0 for k in problem.features)
        and not plan.question.composite.reference
    )


def integrate(plan: Plan, problem: Problem, at_once: int, sums: IntegralSums) -> None:
    """Add up ``sum_k w_k a_k`` at ``b + a_k (x - b)``, float64, by feature.

    Parameters
    ----------
    plan
        What :func:`usable` takes.
    problem
        Rows that fit the device together.
    at_once
        Points per run.
    sums
        Where the sum goes.
    """
    assert isinstance(plan.points, Path)
    assert isinstance(plan.question, Walk)
    assert isinstance(plan.combination, Integral)
    driver, alphas, weights = problem.driver, np.array(plan.points.alphas), np.array(plan.combination.weights)
    program, executable = driver.programs.program(replace(driver.question, ask=plan.question))
    assert not isinstance(executable, Divided)  # nothing is compared with a reference
    stream = executable.stream
    starts = {k: _up(v) for k, v in problem.baselines.items()}
    ends = {k: _up(v) for k, v in problem.features.items()}
    totals = {k: _up(np.zeros(v.shape, np.float64)) for k, v in problem.features.items()}
    blocks = [slice(first, first + at_once) for first in range(0, len(alphas), at_once)]
    counts = {len(alphas[block]) for block in blocks}
    dtypes = {v.dtype for v in problem.features.values()}
    # All that goes up does so before the first run: a copy waits for the runs before it.
    where = [{d: _up(alphas[block].astype(d)) for d in dtypes} for block in blocks]
    weighing = [_up(weights[block]) for block in blocks]
    fed = {n: _all_up(driver.feeds(program, _rows(problem, n))) for n in counts}
    # The stream has read its points before it writes the next in their place.
    points = {n: {k: _room(n, v) for k, v in problem.features.items()} for n in counts}
    try:
        for block, on_path, weigh in zip(blocks, where, weighing, strict=True):
            count = len(alphas[block])
            for name, to in points[count].items():
                at = on_path[problem.features[name].dtype]
                cuda.interpolate(starts[name], ends[name], at, to, stream)
            made = executable.run_on_device({**fed[count], **points[count]}, program.attributions)
            for name, output in zip(driver.question.wrt, program.attributions, strict=True):
                cuda.accumulate(totals[name], made[output], weigh, stream)
        sums.totals = {name: np.array(total.numpy()) for name, total in totals.items()}
    finally:
        if stream is not None:  # others may get the memory, on streams of their own
            stream.synchronize()


def _rows(problem: Problem, repeats: int) -> Rows:
    """Return the rows of copies of a problem, without features: these are on the device."""
    target = np.tile(problem.target, (repeats, *(1,) * (problem.target.ndim - 1)))
    return Rows({}, np.tile(problem.rows, repeats), target, {})


def _up(array: Array) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), _DEVICE, 0)


def _all_up(arrays: Arrays) -> dict[str, Any]:
    """Bring arrays to the device, but text, which stays where it is."""
    return {k: _up(v) if v.dtype.kind in "fiub" else v for k, v in arrays.items()}


def _room(count: int, feature: Array) -> ort.OrtValue:
    """Return memory for so many points of a feature."""
    shape = (count * feature.shape[0], *feature.shape[1:])
    return ort.OrtValue.ortvalue_from_shape_and_type(shape, feature.dtype, _DEVICE, 0)
