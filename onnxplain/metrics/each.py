"""What users give for each sample, for points near some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxplain._types import IntArray
from onnxplain.samples import Samples

__all__ = ["of_rows"]


def of_rows(given: Any, samples: Samples, rows: IntArray) -> Any:
    """Return baselines or groups as they are for points near some samples.

    Arrays with a row for each sample, alone or by input name, give each point its sample's row; all else
    stays as it is.

    Parameters
    ----------
    given
        As the explainer takes it.
    samples
        Those of the call.
    rows
        (m,): the sample that each point is near.
    """
    if isinstance(given, Mapping):
        return {name: _picked(held, name, samples, rows) for name, held in given.items()}
    return _picked(given, samples.infos[0].name, samples, rows) if len(samples.infos) == 1 else given


def _picked(given: Any, name: Any, samples: Samples, rows: IntArray) -> Any:
    axis = samples.layout.axes.get(name)
    if axis is None or name not in samples.arrays or not isinstance(given, (np.ndarray, list, tuple)):
        return given
    held, ndim = np.asarray(given), samples.arrays[name].ndim
    own = held.ndim == ndim and held.shape[axis] == samples.n
    return np.take(held, rows, axis=axis) if own else given
