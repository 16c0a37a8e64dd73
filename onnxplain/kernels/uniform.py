"""Random numbers that a step's place decides: the same bits whatever the blocks."""

from __future__ import annotations

import numpy as np

from onnxplain._types import FloatArray

__all__ = ["uniforms"]


def uniforms(seed: int, stream: int, first: int, count: int, each: int) -> FloatArray:
    """Return numbers from 0 to below 1, float64 (count, each), of some steps.

    Parameters
    ----------
    seed
        From 0 to below 2**64.
    stream
        Tells apart what is drawn with one seed.
    first, count
        Which steps.
    each
        How many numbers a step takes.
    """
    padded = -(-each // 4)  # Philox makes four at once
    generator = np.random.Generator(np.random.Philox(counter=first * padded, key=seed | stream << 64))
    return generator.random((count, 4 * padded))[:, :each]
