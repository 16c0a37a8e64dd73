"""The random logit test (Sixt et al. 2020)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import IntArray
from onnxplain.errors import TargetError
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.likeness import Likeness, Similarity
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Seed

__all__ = ["RandomLogit"]


@dataclass(frozen=True)
class RandomLogit(Metric):
    """How alike the explanations of two classes are (Sixt et al. 2020).

    ``similarity(e_c, e_d)`` of the target c and of another class d, each of which is as likely.  What
    explains a class differs from what explains another.

    Parameters
    ----------
    similarity
        How explanations are compared: ``"spearman"``, ``"pearson"``, ``"kendall_tau"``, ``"cosine"``,
        ``"ssim"`` or ``"hog"`` (images); see :class:`~onnxplain.metrics.likeness.Likeness`.
    seed
        A sample's other class depends on it and on the sample, and on no other sample.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "random_logit"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    similarity: Similarity = "ssim"
    seed: Seed = 0
    normalise: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Explain another class."""
        likeness = Likeness(self.similarity, trial)
        other = self._other(trial)
        rows = np.arange(trial.n)
        found = self.prepare(trial.explain({}, rows, target=other.tolist()))
        return self.result(likeness(trial.values, found), extras={"other": other})

    def _other(self, trial: Trial) -> IntArray:
        """Draw a class beside each target, int64 (n,)."""
        shape, target = trial.posed.about.shape, trial.problem.target
        kind = trial.problem.driver.question.target
        if kind not in ("index", "predicted") or len(shape) != 1 or shape[0] < 2 or target.shape[1] != 1:
            raise TargetError(
                f"random_logit needs a target among the classes of an output (N, C), and a sample's output "
                f"'{trial.posed.question.output}' has shape {tuple(shape)}; choose another output or metric"
            )
        shares = np.array([uniforms(self.seed, one, 0, 1, 1)[0, 0] for one in _prints(trial)])
        drawn = np.minimum((shares * (shape[0] - 1)).astype(np.int64), shape[0] - 2)
        own = target[:, 0] % shape[0]
        return np.asarray(drawn + (drawn >= own), np.int64)


def _prints(trial: Trial) -> list[int]:
    """Return a number for each sample that its content decides."""
    found = [0] * trial.n
    for x in trial.features.values():
        for k, row in enumerate(x):
            content = (
                "\0".join(map(str, row.ravel().tolist())).encode()
                if row.dtype.kind in "OU"
                else row.tobytes()
            )
            found[k] = zlib.crc32(content, found[k])
    return found
