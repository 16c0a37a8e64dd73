"""Every kernel once more in NumPy: the definition that C++ and CUDA are held to, bit by bit.

Those of `path_batches` take arrays of shape (N, D) that are already checked. All follow
the order of operations of the C++ code, so that rounding is the same too. Like the compiled kernels,
they give infinity or NaN where IEEE arithmetic does, without NumPy's warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from onnxplain.kernels._native import FloatArray

UInts = NDArray[np.uint64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_F = np.float32
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MANTISSA = np.uint64(52)
_LOG_SERIES = tuple(1.0 / k for k in range(21, 0, -2))
_SINE_SERIES = (
    1.0 / 355687428096000.0,
    -1.0 / 1307674368000.0,
    1.0 / 6227020800.0,
    -1.0 / 39916800.0,
    1.0 / 362880.0,
    -1.0 / 5040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
    1.0,
)
_COSINE_SERIES = (
    1.0 / 20922789888000.0,
    -1.0 / 87178291200.0,
    1.0 / 479001600.0,
    -1.0 / 3628800.0,
    1.0 / 40320.0,
    -1.0 / 720.0,
    1.0 / 24.0,
    -1.0 / 2.0,
    1.0,
)
#: The same for float32, fitted: 4 artanh(s) / s, (sin a - a) / a^3, (cos a - 1 + a^2 / 2) / a^4.
_LOG_FIT = (0.59164089, 0.79977441, 1.33333373, 4.0)
_SINE_FIT = (-1.9588010e-4, 8.3327489e-3, -1.66666642e-1)
_COSINE_FIT = (2.4548042e-5, -1.3888304e-3, 4.1666664e-2)


def interpolate(start: FloatArray, end: FloatArray, alphas: FloatArray) -> FloatArray:
    """`path_batches.interpolate`: (N or 1, D), (N, D), (S,) give (S * N, D)."""
    with np.errstate(all="ignore"):
        points: FloatArray = start + alphas[:, None, None] * (end - start)
    return points.reshape(alphas.size * end.shape[0], end.shape[1])


def accumulate(acc: FloatArray, grads: FloatArray, weights: FloatArray) -> None:
    """`path_batches.accumulate`: (N, D) in place, (S * N, D), (S,)."""
    steps = grads.reshape(weights.size, *acc.shape)
    with np.errstate(all="ignore"):
        for weight, step in zip(weights, steps, strict=True):
            acc += weight * step.astype(acc.dtype, copy=False)


def noise(
    x: FloatArray,
    stdev: FloatArray,
    seed: int,
    first_sample: int,
    n_samples: int,
    first_row: int,
    substream: int,
    *,
    alike: bool = False,
) -> FloatArray:
    """`path_batches.noise`: (N, D) and (N or 1,) give (S * N, D)."""
    rows, cols = x.shape
    own_rows = 1 if alike else rows
    z = normals(seed, first_sample, n_samples, first_row, own_rows, substream, cols, x.dtype)
    with np.errstate(all="ignore"):
        noisy: FloatArray = x + stdev.astype(x.dtype)[:, None] * z
    return noisy.reshape(n_samples * rows, cols)


def normals(
    seed: int,
    first_sample: int,
    n_samples: int,
    first_row: int,
    rows: int,
    substream: int,
    cols: int,
    dtype: DTypeLike = np.float64,
) -> FloatArray:
    """Return the standard normals of `path_batches.noise`, of shape (n_samples, rows, cols)."""
    pair = box_muller if np.dtype(dtype) == np.float64 else box_muller_float32
    sample = np.arange(n_samples, dtype=np.uint64)[:, None, None] + np.uint64(first_sample)
    row = np.arange(rows, dtype=np.uint64)[None, :, None] + np.uint64(first_row)
    block = np.arange((cols + 3) // 4, dtype=np.uint64)[None, None, :]
    words = philox4x32((block, np.uint64(substream), row, sample), seed)
    z = np.stack([*pair(words[0], words[1]), *pair(words[2], words[3])], axis=-1)
    return z.reshape(n_samples, rows, 4 * block.size)[:, :, :cols]


def philox4x32(counter: tuple[UInts | np.uint64, ...], seed: int) -> tuple[UInts | np.uint64, ...]:
    """Return the four words of the Philox4x32-10 blocks of some counters.

    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Parameters
    ----------
    counter : four arrays of uint64
        The words of the counter, each below 2**32; they broadcast.
    seed : int
        The key, lower word first.

    Returns
    -------
    four arrays of uint64, each below 2**32
    """
    x0, x1, x2, x3 = counter
    for number in range(10):
        key0 = np.uint64((seed + number * 0x9E3779B9) & 0xFFFFFFFF)
        key1 = np.uint64(((seed >> 32) + number * 0xBB67AE85) & 0xFFFFFFFF)
        a = np.uint64(0xD2511F53) * x0
        b = np.uint64(0xCD9E8D57) * x2
        x0, x1 = (b >> _HALF) ^ x1 ^ key0, b & _LOW
        x2, x3 = (a >> _HALF) ^ x3 ^ key1, a & _LOW
    return x0, x1, x2, x3


def box_muller(word_u: UInts | np.uint64, word_v: UInts | np.uint64) -> tuple[Doubles, Doubles]:
    """Turn pairs of random words below 2**32 into pairs of independent standard normals.

    ``sqrt(-2 log u) * (cos v, sin v)``, by series of additions, multiplications and divisions
    alone, for these round the same way everywhere; ``csrc/include/onnxplain/normal.hpp`` explains
    them.
    """
    radius = np.sqrt(-2.0 * _log_uniform(word_u))
    quadrant = word_v >> np.uint64(30)
    offset = (word_v & np.uint64(0x3FFFFFFF)).astype(np.float64) - 536870911.5
    angle = offset * (3.14159265358979323846 / 2147483648.0)
    square = angle * angle
    sine = _polynomial(_SINE_SERIES, square) * angle
    cosine = _polynomial(_COSINE_SERIES, square)
    swap = (quadrant & np.uint64(1)) != 0
    x = np.where(swap, sine, cosine)
    y = np.where(swap, cosine, sine)
    first = radius * np.where((quadrant == 1) | (quadrant == 2), -x, x)
    second = radius * np.where(quadrant >= 2, -y, y)
    return first, second


def box_muller_float32(word_u: UInts | np.uint64, word_v: UInts | np.uint64) -> tuple[Floats, Floats]:
    """Do the same in float32, with fitted series: what `box_muller` makes, to 4e-7 of its size."""
    radius = np.sqrt(_minus_two_log_uniform(np.asarray(word_u)))
    quadrant = word_v >> np.uint64(30)
    offset = ((word_v & np.uint64(0x3FFFFFFF)).astype(np.int64) - (1 << 29)).astype(np.float32)
    angle = (offset + _F(0.5)) * _F(1.46291808e-9)
    square = angle * angle
    sine = _polynomial(_SINE_FIT, square) * square * angle + angle
    cosine = _polynomial(_COSINE_FIT, square) * square * square - _F(0.5) * square + _F(1)
    swap = (quadrant & np.uint64(1)) != 0
    x = np.where(swap, sine, cosine)
    y = np.where(swap, cosine, sine)
    first: Floats = radius * np.where((quadrant == 1) | (quadrant == 2), -x, x)
    second: Floats = radius * np.where(quadrant >= 2, -y, y)
    return first, second


def _minus_two_log_uniform(word: UInts) -> Floats:
    """``-2 log((word + 1/2) / 2**32)``, from the two halves of the word."""
    upper = (word >> np.uint64(16)).astype(np.float32) * _F(65536)
    lower = (word & np.uint64(0xFFFF)).astype(np.float32) + _F(0.5)
    whole = upper + lower
    exponent = (whole.view(np.int32) - np.int32(0x3F3504F3)) >> 23
    power = ((exponent + 127) << 23).view(np.float32)
    s = (upper - power + lower) / (whole + power)
    series = _polynomial(_LOG_FIT, s * s)
    found: Floats = (32 - exponent).astype(np.float32) * _F(1.38629436) - s * series
    return found


def _log_uniform(word: UInts | np.uint64) -> Doubles:
    """``log((word + 1/2) / 2**32)``, by the series of the inverse hyperbolic tangent."""
    bits = (np.asarray(word).astype(np.float64) + 0.5).view(np.uint64)
    bias = np.uint64(64) << _MANTISSA
    exponent = (bits + bias - np.uint64(0x3FE6A09E667F3BCD)) >> _MANTISSA
    m = (bits - (exponent << _MANTISSA) + bias).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    series = _polynomial(_LOG_SERIES, s * s)
    log: Doubles = (exponent.astype(np.float64) - 96.0) * 0.693147180559945309417 + 2.0 * s * series
    return log


def _polynomial(coefficients: tuple[float, ...], t: Any) -> Any:
    """Horner's scheme in the dtype of t, highest coefficient first."""
    value = np.full_like(t, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * t + t.dtype.type(coefficient)
    return value
