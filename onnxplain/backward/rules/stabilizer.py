"""Keeping denominators away from zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
import onnx_ir as ir
from pydantic import Field

from onnxplain.backward.emitter import Emitter
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.options import Weight, check_fields

__all__ = ["Stabilize", "Stabilizer", "Written", "is_elementwise", "share", "share_and_rest"]

#: With epsilon 0, sums of magnitudes below this count as 0: relevance over them could overflow.
_NONE = 1e-30

#: A function ``(op, z) -> stabilised z`` that writes nodes.
Written: TypeAlias = Callable[[Emitter, ir.Value], ir.Value]

#: A number (epsilon), or a function that writes nodes.
Stabilize: TypeAlias = Weight | Written


@dataclass(frozen=True)
class Stabilizer:
    """``z + eps sign(z)`` with ``sign(0) = +1``, or one of its variants.

    Parameters
    ----------
    epsilon
        What is added, absolute.
    clip
        Instead of adding, keep the magnitude at least at epsilon.
    norm_scale
        Multiply epsilon by the root of the mean of z squared, over all axes but the batch axis.

    Raises
    ------
    MethodError
        If epsilon is not above 0; while writing, if the numbers of the graph cannot hold it.
    """

    epsilon: Annotated[
        float, Field(gt=0, description="a number above 0 (or the number 0 alone for LRP-0)")
    ] = 1e-6
    clip: bool = False
    norm_scale: bool = False

    def __post_init__(self) -> None:
        check_fields(self, MethodError)

    def __call__(self, op: Emitter, z: ir.Value, sign: int = 0) -> Any:
        """Write the stabilised value; ``sign`` is +1 or -1 where z is known never to have the other sign."""
        epsilon: Any = op.const(self._as(z.dtype or ir.DataType.FLOAT))
        if self.norm_scale:
            rank = facts.rank(z) or 0
            axes = list(range(1, rank)) if rank > 1 else list(range(rank))
            epsilon = op.Mul(op.Sqrt(op.mean(op.Mul(z, z), axes)), epsilon)
        if sign > 0:
            return op.Max(z, epsilon) if self.clip else op.Add(z, epsilon)
        if sign < 0:
            return op.Min(z, op.Neg(epsilon)) if self.clip else op.Sub(z, epsilon)
        negative = op.Less(z, 0.0)
        if self.clip:
            return op.Where(negative, op.Min(z, op.Neg(epsilon)), op.Max(z, epsilon))
        return op.Add(z, op.Where(negative, op.Neg(epsilon), epsilon))

    def _as(self, dtype: ir.DataType) -> Any:
        """Return epsilon as a number of a dtype.

        Raises
        ------
        MethodError
            If it would be 0, or infinite.
        """
        limits = np.finfo(dtype.numpy())
        if not float(limits.tiny) <= self.epsilon <= float(limits.max):
            raise MethodError(
                f"epsilon is {self.epsilon!r}, which {limits.dtype} cannot hold ({limits.tiny:g} to "
                f"{limits.max:g}); give a number such as 1e-6 (or the number 0 alone for LRP-0)"
            )
        return np.asarray(self.epsilon, limits.dtype)


def is_elementwise(stabilize: Stabilize) -> bool:
    """Tell whether what is added to a value depends on that value alone."""
    if isinstance(stabilize, Stabilizer):
        return not stabilize.norm_scale
    return not callable(stabilize)


def share(op: Emitter, relevance: Any, z: ir.Value, stabilize: Stabilize, sign: int = 0) -> Any:
    """Return relevance over the stabilised denominator; with epsilon 0, nothing where z is 0.

    Parameters
    ----------
    op
        Writes.
    relevance, z
        What is shared out, and the sum of all contributions; same shape.
    stabilize
        Number or function.
    sign
        +1 or -1 where z is known never to have the other sign.
    """
    if not callable(stabilize):
        if stabilize == 0:
            empty = op.Equal(z, 0.0)
            return op.Where(empty, 0.0, op.Div(relevance, op.Where(empty, 1.0, z)))
        stabilize = Stabilizer(float(stabilize))
    if isinstance(stabilize, Stabilizer):
        return op.Div(relevance, stabilize(op, z, sign))
    return op.Div(relevance, stabilize(op, z))


def share_and_rest(
    op: Emitter, relevance: Any, z: ir.Value, stabilize: Stabilize, sign: int = 0
) -> tuple[Any, Any]:
    """Return relevance over the stabilised denominator, and what the stabiliser takes of the relevance.

    ``part = R / stab(z)`` and ``rest = part (stab(z) - z)``, so that ``part z + rest`` is R; with epsilon 0
    the rest is what arrives where z is 0.

    Parameters
    ----------
    op, relevance, z, stabilize
        As for :func:`share`.
    sign
        +1 where z is a sum of magnitudes.
    """
    if not callable(stabilize):
        if stabilize == 0:
            empty = op.Less(z, _NONE) if sign > 0 else op.Equal(z, 0.0)
            part = op.Where(empty, 0.0, op.Div(relevance, op.Where(empty, 1.0, z)))
            return part, op.Where(empty, relevance, 0.0)
        stabilize = Stabilizer(float(stabilize))
    if isinstance(stabilize, Stabilizer):
        whole = stabilize(op, z, sign)
        if not (stabilize.clip or stabilize.norm_scale):
            part = op.Div(relevance, whole)
            epsilon = op.const(stabilize.epsilon, z.dtype or ir.DataType.FLOAT)
            signed = epsilon if sign > 0 else op.Where(op.Less(z, 0.0), op.Neg(epsilon), epsilon)
            return part, op.Mul(part, signed)
    else:
        whole = stabilize(op, z)
    part = op.Div(relevance, whole)
    return part, op.Mul(part, op.Sub(whole, z))
