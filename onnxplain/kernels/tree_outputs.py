"""From the sums of the leaves to the columns that a model gives: second classes, last transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.kernels.ensemble import Ensemble

__all__ = ["columns_of", "transformed"]

_Floats = NDArray[np.floating[Any]]


def columns_of(ensemble: Ensemble, scores: _Floats) -> _Floats:
    """Return the raw columns, (N, n_outputs), of scores with their base, (N, S)."""
    if not ensemble.pair:
        return scores
    other = -scores if ensemble.pair == "opposite" else 1 - scores
    return np.concatenate([other, scores], axis=1)


def transformed(ensemble: Ensemble, outputs: _Floats) -> _Floats:
    """Apply the last transform as onnxruntime does, in the dtype of the outputs, (N, n_outputs)."""
    kind = ensemble.post_transform
    if kind == "LOGISTIC":
        return _logistic(outputs)
    if kind == "PROBIT":
        return _probit(outputs)
    if kind == "SOFTMAX":
        raised = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    if kind == "SOFTMAX_ZERO":
        largest = outputs.max(axis=1, keepdims=True)
        counts = np.abs(outputs) > 1e-7
        raised = np.where(counts, np.exp(outputs - largest), outputs * np.exp(-largest))
        return np.asarray(raised / (raised * counts).sum(axis=1, keepdims=True))
    return outputs


def _logistic(x: _Floats) -> _Floats:
    positive = 1 / (1 + np.exp(-np.abs(x)))
    return np.asarray(np.where(x < 0, 1 - positive, positive))


def _probit(x: _Floats) -> _Floats:
    """Approximate the normal quantile: Winitzki's inverse of the error function, a = 0.147."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = 2 * x.astype(np.float32) - 1
        log = np.log((1 - centred) * (1 + centred))
        part = np.float32(0.147)
        half = 2 / (np.float32(3.14159) * part) + log / 2
        root = np.sqrt(np.sqrt(half * half - 1 / part * log) - half)
        return np.asarray(np.float32(1.41421356) * np.where(centred < 0, -root, root), x.dtype)
