"""How far scores are from those of the samples."""

from __future__ import annotations

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.metrics.trial import Trial

__all__ = ["changes"]

_UNITS = 8  # in the last place


def changes(trial: Trial, scores: FloatArray) -> FloatArray:
    """Return what scores have lost, ``S(x) - scores``, (n, K).

    It is 0 for samples of which all scores are the same but for rounding (8 units in the last place of the
    largest): their differences say nothing of the model.

    Parameters
    ----------
    trial
        The samples.
    scores
        (n, K): at points near them.
    """
    kind = trial.problem.scores().dtype
    unit = float(np.finfo(kind if kind.kind == "f" else np.float32).eps)
    lost: FloatArray = trial.score[:, None] - scores
    largest = np.maximum(np.abs(trial.score), np.abs(scores).max(1, initial=0))
    lost[np.abs(lost).max(1, initial=0) <= _UNITS * unit * largest] = 0
    return lost
