"""The elementwise steps of modified backward passes in NumPy, and the compiled ones called alike.

The package does not run them: its walks back are written in ONNX operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain.kernels._native import core

__all__ = ["alpha_beta_merge", "compiled", "guided_mask", "relu_mask", "stabilised_divide"]


def compiled(name: str, a: np.ndarray, b: np.ndarray, *numbers: float) -> np.ndarray:
    """Run the kernel in C++ on two arrays of one shape and dtype."""
    out = np.empty(a.shape, a.dtype)
    getattr(core, name)(np.asarray(a, order="C"), np.asarray(b, order="C"), *numbers, out)
    return out


def stabilised_divide(r: Any, z: Any, epsilon: float) -> Any:
    """``r / (z + epsilon sign(z))``, ``sign(0) = +1``."""
    small = z.dtype.type(epsilon)
    with np.errstate(all="ignore"):
        quotient: Any = np.asarray(r / np.where(z >= 0, z + small, z - small))
    return quotient


def relu_mask(g: Any, y: Any) -> Any:
    """``g`` where ``y > 0``, else 0."""
    return np.where(y > 0, g, g.dtype.type(0))


def guided_mask(g: Any, y: Any) -> Any:
    """``g`` where ``y > 0`` and ``g > 0``, else 0."""
    return np.where((y > 0) & (g > 0), g, g.dtype.type(0))


def alpha_beta_merge(pos: Any, neg: Any, alpha: float, beta: float) -> Any:
    """``alpha * pos - beta * neg``."""
    kind = pos.dtype.type
    with np.errstate(all="ignore"):
        merged: Any = np.asarray(kind(alpha) * pos - kind(beta) * neg)
    return merged
