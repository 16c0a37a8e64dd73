"""What prepares features: scaling, imputing, selecting, putting together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.decomposition import classic, inputs, number, numbers
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["as_float", "as_rows", "categories"]


def as_float(op: Writer, x: Any) -> Any:
    """Return a tensor of any numbers as float32, in which these operators compute."""
    return x if x.dtype == ir.DataType.FLOAT else op.Cast(x, to=int(ir.DataType.FLOAT))


def categories(node: ir.Node) -> int:
    """Return the number of columns that a OneHotEncoder makes of one."""
    known = (facts.attr(node, name, ()) for name in ("cats_strings", "cats_int64s"))
    return max(len(names) for names in known if isinstance(names, tuple))


def as_rows(op: Writer, x: Any) -> Any:
    """Return a tensor with one sample per row; a vector is one sample."""
    rank = facts.rank(x)
    if rank not in (1, 2):
        raise NotDecomposedError(
            f"the number of axes of '{x.name}' is unknown" if rank is None else f"its input has {rank} axes"
        )
    return op.Unsqueeze(x, [0]) if rank == 1 else x


@classic("Scaler")
def scaler(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``(x - offset) * scale``."""
    x, offset, scale = as_float(op, node.inputs[0]), numbers(node, "offset"), numbers(node, "scale")
    x = op.Sub(x, offset) if offset.any() else x
    return [op.Mul(x, scale)]


@classic("Normalizer")
def normalizer(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``x / norm(x)`` by row; a row whose norm is 0 stays. MAX is the largest element, not magnitude."""
    x = as_float(op, node.inputs[0])
    kind = str(facts.attr(node, "norm", "MAX"))
    made_by = x.producer()
    if kind == "L1" and made_by is not None and made_by.op_type == "Softmax":
        return [op.Identity(x)]  # its rows sum to 1 as they are
    if kind == "MAX":
        size = op.ReduceMax(x, [-1], keepdims=1)
    elif kind in ("L1", "L2"):
        size = op.ReduceSum(op.Abs(x) if kind == "L1" else op.Mul(x, x), [-1], keepdims=1)
    else:
        raise NotDecomposedError(f"its norm '{kind}' is unknown")
    size = op.Where(op.Equal(size, 0.0), op.const(np.ones((), np.float32)), size)
    return [op.Div(x, op.Sqrt(size) if kind == "L2" else size)]


@classic("Imputer")
def imputer(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Put a given value in the place of each missing one."""
    x = node.inputs[0]
    assert x is not None
    if facts.is_integer(x):
        given = np.asarray(facts.attr(node, "imputed_value_int64s", ()), np.int64)
        missing = op.Equal(x, np.asarray(facts.attr(node, "replaced_value_int64", 0), np.int64))
    else:
        given, replaced = numbers(node, "imputed_value_floats"), number(node, "replaced_value_float", 0.0)
        missing = op.IsNaN(x) if math.isnan(replaced) else op.Equal(x, replaced)
    return [op.Where(missing, given, x)]


@classic("ArrayFeatureExtractor")
def array_feature_extractor(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Take columns."""
    x, index = inputs(node, 2)
    if facts.rank(x) is None:
        raise NotDecomposedError(f"the number of axes of '{x.name}' is unknown")
    x = op.Unsqueeze(x, [0]) if facts.rank(x) == 1 else x
    return [op.Gather(x, op.Reshape(index, [-1]), axis=-1)]


@classic("FeatureVectorizer")
def feature_vectorizer(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Put columns side by side, each input cut or filled with zeros to its stated width."""
    widths = facts.attr(node, "inputdimensions", ())
    assert isinstance(widths, tuple)
    parts = []
    for x, width in zip(node.inputs, widths, strict=True):
        part = as_rows(op, as_float(op, x))
        held = facts.static_dim(part, 1)
        if held is None:
            raise NotDecomposedError(f"the number of columns of '{part.name}' is unknown")
        if held > width:
            part = op.Slice(part, [0], [width], [1])
        elif held < width:
            part = op.Pad(part, [0, 0, 0, width - held])
        parts.append(part)
    return [op.Concat(*parts, axis=1)]
