"""Type aliases shared by all layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "ArrayLike", "Arrays", "FloatArray", "IntArray", "Shape"]

Array: TypeAlias = npt.NDArray[Any]
FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.int64]
Arrays: TypeAlias = dict[str, Array]
ArrayLike: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]
Shape: TypeAlias = tuple[int, ...]
