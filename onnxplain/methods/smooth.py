"""Averaging any method over noisy copies of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.program import Question
from onnxplain.kernels import path_batches as kernels
from onnxplain.methods.base import Found, Method
from onnxplain.methods.gradients import Saliency
from onnxplain.methods.moments import Moments
from onnxplain.methods.problem import Problem
from onnxplain.methods.registry import method as make_method
from onnxplain.options import Count, Seed, Weight

__all__ = ["SmoothGrad"]


_SIGNED = Saliency(abs=False)


@dataclass(frozen=True)
class SmoothGrad(Method):
    """SmoothGrad (Smilkov et al. 2017), and its relatives.

    With ``A_i`` the inner method's attribution at ``x + noise_i``, n samples:

    * ``"smoothgrad"``: ``mean A_i``
    * ``"smoothgrad_sq"``: ``mean A_i^2``
    * ``"vargrad"``: ``mean A_i^2 - (mean A_i)^2``

    Parameters
    ----------
    method
        What to average, a method or the name of one; the signed gradient by default.
    n_samples
        Noisy copies.
    stdevs
        Standard deviation of the Gaussian noise, in the input's units.  None: ``noise_level`` times the
        range (max - min) of each sample.
    noise_level
        See ``stdevs``.
    nt_type
        ``"smoothgrad"``, ``"smoothgrad_sq"`` or ``"vargrad"``.
    seed
        Same seed, same bits.

    Notes
    -----
    The result's ``extras["standard_error"]`` holds, by input, the standard error of what is returned: of the
    mean of ``A_i``, of that of ``A_i^2``, or of the variance.  From one sample none can be told: it is NaN.

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    """

    name: ClassVar[str] = "smooth_grad"
    method: Method | str = _SIGNED
    n_samples: Count = 25
    stdevs: Weight | None = None
    noise_level: Weight = 0.15
    nt_type: Literal["smoothgrad", "smoothgrad_sq", "vargrad"] = "smoothgrad"
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "method", make_method(self.method))

    @property
    def inner(self) -> Method:
        """What is averaged."""
        return make_method(self.method)

    def question(self, question: Question) -> Question:
        """Ask what the inner method asks."""
        return self.inner.question(question)

    def wants_baselines(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_baselines()

    def attribute(self, problem: Problem) -> Found:
        """Explain noisy copies in blocks, and combine."""
        squared, variance = self.nt_type == "smoothgrad_sq", self.nt_type == "vargrad"
        moments = {k: Moments(4 if variance else 2) for k in problem.features}
        at_once = max(1, problem.batch_size // problem.n)
        jobs = range(0, self.n_samples, at_once)
        for start in problem.bar(jobs, len(jobs), "smooth grad"):
            copies = min(at_once, self.n_samples - start)
            noisy = {
                k: self._noisy(v, start, copies, stream)
                for stream, (k, v) in enumerate(problem.features.items())
            }
            found = self.inner.attribute(problem.at(noisy, repeats=copies))
            for k, one in found.values.items():
                split = one.reshape(copies, problem.n, *one.shape[1:]).astype(np.float64)
                moments[k].add(split**2 if squared else split)
        values: Arrays = {}
        errors: Arrays = {}
        for k, feature in problem.features.items():
            chosen = moments[k].variance if variance else moments[k].mean
            values[k] = chosen.astype(feature.dtype)
            errors[k] = moments[k].error_of_variance if variance else moments[k].error_of_mean
        return Found(values, problem.scores(), None, {"standard_error": errors})

    def _noisy(self, x: FloatArray, first: int, copies: int, stream: int) -> Array:
        """Make noisy copies of x; a sample's noise does not depend on its place in the batch."""
        out: Array = np.empty((copies, *x.shape), x.dtype)
        for row, sample in enumerate(x):
            spread = float(sample.max() - sample.min()) if sample.size else 0.0
            stdev = self.noise_level * spread if self.stdevs is None else self.stdevs
            out[:, row] = kernels.noise(sample[None], stdev, self.seed, first, copies, substream=stream)
        return out.reshape(copies * len(x), *x.shape[1:])
