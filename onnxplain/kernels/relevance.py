"""Elementwise steps of the modified backward passes.

All take two arrays of one shape and one dtype and return a new array of that shape.
"""

from __future__ import annotations

import numpy as np

from onnxplain.kernels import numpy_kernels
from onnxplain.kernels._native import FloatArray, check_float, check_same, core

__all__ = ["alpha_beta_merge", "guided_mask", "relu_mask", "stabilised_divide"]


def stabilised_divide(r: FloatArray, z: FloatArray, epsilon: float = 1e-6) -> FloatArray:
    r"""Divide relevance by outputs that are kept away from zero.

    .. math:: \frac{r}{z + \epsilon\,\mathrm{sign}(z)}, \quad \mathrm{sign}(0) = +1

    This is the first step of the epsilon rule of layer-wise relevance propagation (Bach et al.,
    2015, equation 58). Epsilon is absolute: it is not scaled by ``z``.

    Parameters
    ----------
    r : ndarray, any shape, float32 or float64
        Relevance of the outputs of a layer.
    z : ndarray, shape and dtype of ``r``
        The outputs.
    epsilon : float
        The stabiliser, not negative; rounded to the dtype of ``r``. With 0, a division by zero
        gives infinity or NaN as in NumPy, without a warning.

    Returns
    -------
    ndarray, shape and dtype of ``r``

    Raises
    ------
    ValueError
        If the arrays differ in shape or dtype, are not floating point, or epsilon is negative.
    """
    first, second, out = _operands(r, "r", z, "z")
    if not epsilon >= 0:
        raise ValueError(f"epsilon must not be negative, but it is {epsilon}")
    if core is None:
        return numpy_kernels.stabilised_divide(first, second, epsilon)
    core.stabilised_divide(first, second, epsilon, out)
    return out


def relu_mask(g: FloatArray, y: FloatArray) -> FloatArray:
    """Keep a gradient where the activation is positive; zero elsewhere.

    Parameters
    ----------
    g : ndarray, any shape, float32 or float64
        The gradient that arrives from above.
    y : ndarray, shape and dtype of ``g``
        Input or output of the ReLU. Where it is zero or NaN the result is zero.

    Returns
    -------
    ndarray, shape and dtype of ``g``

    Raises
    ------
    ValueError
        If the arrays differ in shape or dtype or are not floating point.
    """
    first, second, out = _operands(g, "g", y, "y")
    if core is None:
        return numpy_kernels.relu_mask(first, second)
    core.relu_mask(first, second, out)
    return out


def guided_mask(g: FloatArray, y: FloatArray) -> FloatArray:
    """Keep a gradient where it and the activation are positive; zero elsewhere.

    This is the backward step of guided backpropagation (Springenberg et al., 2015).

    Parameters
    ----------
    g : ndarray, any shape, float32 or float64
        The gradient that arrives from above.
    y : ndarray, shape and dtype of ``g``
        Input or output of the ReLU.

    Returns
    -------
    ndarray, shape and dtype of ``g``

    Raises
    ------
    ValueError
        If the arrays differ in shape or dtype or are not floating point.
    """
    first, second, out = _operands(g, "g", y, "y")
    if core is None:
        return numpy_kernels.guided_mask(first, second)
    core.guided_mask(first, second, out)
    return out


def alpha_beta_merge(pos: FloatArray, neg: FloatArray, alpha: float, beta: float) -> FloatArray:
    r"""Merge the positive and the negative branch of the alpha-beta rule.

    .. math:: \alpha\, pos - \beta\, neg

    (Bach et al., 2015, equation 60.)

    Parameters
    ----------
    pos, neg : ndarray, any shape, float32 or float64
        Relevance that flowed through the positive and through the negative branch; one shape, one
        dtype.
    alpha, beta : float
        Weights of the branches, rounded to the dtype of ``pos``. Relevance is conserved where
        ``alpha - beta`` is 1.

    Returns
    -------
    ndarray, shape and dtype of ``pos``

    Raises
    ------
    ValueError
        If the arrays differ in shape or dtype or are not floating point.
    """
    first, second, out = _operands(pos, "pos", neg, "neg")
    if core is None:
        return numpy_kernels.alpha_beta_merge(first, second, alpha, beta)
    core.alpha_beta_merge(first, second, alpha, beta, out)
    return out


def _operands(
    a: FloatArray, a_name: str, b: FloatArray, b_name: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Check two operands; return them contiguous, and an empty array for the result."""
    check_float(a, a_name)
    check_float(b, b_name)
    check_same(a, a_name, b, b_name)
    if a.shape != b.shape:
        raise ValueError(f"{a_name} and {b_name} must have the same shape, not {a.shape} and {b.shape}")
    # order="C" alone keeps scalars scalar, which np.ascontiguousarray does not.
    return np.asarray(a, order="C"), np.asarray(b, order="C"), np.empty(a.shape, a.dtype)
