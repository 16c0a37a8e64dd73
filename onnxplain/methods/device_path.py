"""The sum along a path where nothing leaves the GPU: points, gradients and their sum stay there.

Only the ends of the path go up, and the finished sum comes down.  The numbers are those of the host's sum.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from onnxplain import kernels
from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.kernels import cuda
from onnxplain.methods.problem import Problem

__all__ = ["sum_along_path", "usable"]


def usable(problem: Problem) -> bool:
    """Tell whether a problem runs on a GPU, and its batches can be made there."""
    call = problem.call
    on_gpu = call.programs.device == "cuda" and kernels.built_with_cuda() and kernels.cuda_device_count() > 0
    return on_gpu and call.exact_batch is None and all(call.axes[k] == 0 for k in problem.features)


def sum_along_path(problem: Problem, alphas: FloatArray, weights: FloatArray, steps_at_once: int) -> Arrays:
    """Return ``sum_s w_s dS/dx`` at ``b + a_s (x - b)``, float64, by feature.

    Parameters
    ----------
    problem
        Rows that fit the device together.
    alphas, weights
        (S,): points in [0, 1] and their weights.
    steps_at_once
        Points per run.
    """
    call = problem.call
    program, executable = call.programs.program(call.question)
    starts = {k: _up(v) for k, v in problem.baselines.items()}
    ends = {k: _up(v) for k, v in problem.features.items()}
    totals = {k: _up(np.zeros(v.shape, np.float64)) for k, v in problem.features.items()}
    for first in range(0, len(alphas), steps_at_once):
        steps = slice(first, first + steps_at_once)
        n_steps = len(alphas[steps])
        fed = call.feeds({}, np.tile(problem.rows, n_steps), program.target)
        for name, feature in problem.features.items():
            shape = (n_steps * problem.n, *feature.shape[1:])
            points = ort.OrtValue.ortvalue_from_shape_and_type(shape, feature.dtype, "cuda", 0)
            cuda.interpolate(starts[name], ends[name], _up(alphas[steps].astype(feature.dtype)), points)
            fed[name] = points
        cuda.synchronize()  # onnxruntime works on a stream of its own
        made = executable.run_on_device(fed, program.attributions)
        on_device = _up(weights[steps])
        for name, output in zip(call.question.wrt, program.attributions, strict=True):
            cuda.accumulate(totals[name], made[output], on_device)
        cuda.synchronize()
    return {name: np.asarray(total.numpy()) for name, total in totals.items()}


def _up(array: Array) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), "cuda", 0)
