"""Points and weights by which an integral over [0, 1] is summed."""

from __future__ import annotations

import functools
import math

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.errors import MethodError

__all__ = ["QUADRATURES", "check_quadrature", "gauss_legendre", "quadrature"]

#: Names of the rules.
QUADRATURES = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid")

_NEWTON_STEPS = 4  # from the first guess, the error squares each time
_MANY = 500  # from here on an asymptotic series has all digits, but for the points nearest the ends
_NEAR_ENDS = 40
_TERMS = 20


def check_quadrature(name: str, n_steps: int) -> None:
    """Refuse what no rule can do.

    Raises
    ------
    MethodError
        If the rule is unknown, or needs more steps.
    """
    if name not in QUADRATURES:
        raise MethodError(f"quadrature '{name}' is unknown; choose one of {', '.join(QUADRATURES)}")
    least = 2 if name == "riemann_trapezoid" else 1
    if n_steps < least:
        raise MethodError(f"n_steps is {n_steps}, but '{name}' needs at least {least}")


def quadrature(name: str, n_steps: int) -> tuple[FloatArray, FloatArray]:
    """Return points in [0, 1] and weights that sum to 1, each (n_steps,), float64.

    Raises
    ------
    MethodError
        If the rule is unknown, or needs more steps.
    """
    check_quadrature(name, n_steps)
    if name == "gausslegendre":
        points, weights = gauss_legendre(n_steps)
        return (points + 1) / 2, weights / 2
    steps = np.arange(n_steps, dtype=np.float64)
    if name == "riemann_trapezoid":
        weights = np.full(n_steps, 1.0 / (n_steps - 1))
        weights[[0, -1]] /= 2
        return steps / (n_steps - 1), weights
    shift = {"riemann_left": 0.0, "riemann_right": 1.0, "riemann_middle": 0.5}[name]
    return (steps + shift) / n_steps, np.full(n_steps, 1.0 / n_steps)


@functools.lru_cache(maxsize=8)
def gauss_legendre(n: int) -> tuple[FloatArray, FloatArray]:
    r"""Return the points and weights of Gauss and Legendre on [-1, 1].

    The points are the zeros of the Legendre polynomial :math:`P_n`, found by Newton's method in
    :math:`\theta = \arccos x`, where :math:`w = 2 / (dP_n / d\theta)^2` loses no digits near the ends.  Time
    and memory grow with n alone: for many points Stieltjes' asymptotic series gives :math:`P_n` (Hale and
    Townsend 2013).

    Parameters
    ----------
    n
        Number of points, at least 1.

    Returns
    -------
    tuple of ndarray
        Points in rising order and weights that sum to 2, each (n,), float64, not to be written to.
    """
    half = (n + 1) // 2  # the others mirror them
    k = np.arange(1, half + 1)
    guess = math.pi * (k - 0.25) / (n + 0.5)  # of Tricomi
    theta = guess + (1 - 1 / n) / (8 * n**2) / np.tan(guess) if n > 1 else np.array([math.pi / 2])
    slope = np.empty(half)
    near = half if n <= _MANY else _NEAR_ENDS
    for part, evaluate in ((slice(near), _recurrence), (slice(near, None), _series)):
        for _ in range(_NEWTON_STEPS):
            value, slope[part] = evaluate(n, theta[part])
            theta[part] -= value / slope[part]
        slope[part] = evaluate(n, theta[part])[1]
    if n % 2:
        theta[-1] = math.pi / 2
    points, weights = np.cos(theta), 2 / slope**2
    if n % 2:
        points[-1] = 0
    mirrored = slice(None, n // 2)
    points = np.concatenate([-points, points[mirrored][::-1]])
    weights = np.concatenate([weights, weights[mirrored][::-1]])
    weights *= 2 / weights.sum()
    for array in (points, weights):
        array.flags.writeable = False
    return points, weights


def _recurrence(n: int, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P_n(cos theta) and its derivative by theta, from P_0 and P_1 upwards."""
    x = np.cos(theta)
    before, value = np.ones_like(x), x
    for j in range(2, n + 1):
        before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
    return value, n * (x * value - before) / np.sin(theta)


def _series(n: int, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the same by Stieltjes' series; for many points, away from the ends."""
    x = n + 1.0
    ratio = 1 - 1 / (8 * x) + 1 / (128 * x**2) + 5 / (1024 * x**3) - 21 / (32768 * x**4)
    scale = 2 / math.sqrt(math.pi * x) / ratio  # 2 / sqrt(pi) Gamma(n + 1) / Gamma(n + 3/2)
    sine, cotangent = np.sin(theta), 1 / np.tan(theta)
    value, slope = np.zeros_like(theta), np.zeros_like(theta)
    factor = scale / np.sqrt(2 * sine)
    for m in range(_TERMS):
        angle = (n + m + 0.5) * theta - (m + 0.5) * math.pi / 2
        cosine = np.cos(angle)
        value += factor * cosine
        slope -= factor * ((n + m + 0.5) * np.sin(angle) + (m + 0.5) * cotangent * cosine)
        factor *= (m + 0.5) ** 2 / ((m + 1) * (n + m + 1.5)) / (2 * sine)
    return value, slope
