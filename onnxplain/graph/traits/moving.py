"""Operators that move values, or choose among them."""

from __future__ import annotations

from onnxplain.graph.traits.table import Is, declare

__all__: list[str] = []

_MOVES = Is.MOVES | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL
_SOME = _MOVES | Is.DROPS
_ANYWHERE = _SOME | Is.REORDERS | Is.REPEATS
_LIKE = Is.LIKE_FIRST

declare("Identity", _MOVES | _LIKE | Is.ELEMENTWISE | Is.EXACT)
declare("Cast", _MOVES | _LIKE | Is.ELEMENTWISE | Is.CASTS | Is.JUMPS)  # jumps where it makes whole numbers
declare("CastLike", _MOVES | _LIKE | Is.ELEMENTWISE | Is.CASTS | Is.JUMPS)
declare("Dropout", _MOVES | _LIKE | Is.ELEMENTWISE | Is.RANDOM)  # moves where it does not train
declare("Reshape Flatten Squeeze Unsqueeze", _MOVES | Is.EXACT)
declare("Transpose", _MOVES | Is.REORDERS | Is.EXACT)
declare("DepthToSpace SpaceToDepth", _MOVES | Is.REORDERS)
declare("ReverseSequence", _MOVES | _LIKE | Is.REORDERS)
declare("Expand", _MOVES | Is.REORDERS | Is.REPEATS | Is.EXACT | Is.GROWS)
declare("Tile", _MOVES | Is.REORDERS | Is.REPEATS | Is.EXACT | Is.GROWS)
declare("Split", _SOME | Is.EXACT)
declare("Slice", _SOME | Is.REORDERS | Is.EXACT)  # with negative steps
declare("Gather", _ANYWHERE | Is.EXACT)
declare("GatherElements GatherND", _ANYWHERE)
declare("Compress", _SOME | Is.PICKS)
declare("TopK", _SOME | Is.REORDERS | Is.PICKS | Is.CHOOSES)
declare("Trilu", _SOME | _LIKE | Is.FILLS)
declare("MaxUnpool", _SOME | Is.REORDERS | Is.FILLS | Is.PICKS | Is.GROWS)
declare("CenterCropPad", _SOME | Is.FILLS | Is.GROWS)
declare("Pad", _ANYWHERE | Is.FILLS | Is.GROWS, (0, 2))  # repeats and reorders by its mode
declare("Concat", _MOVES | Is.EXACT, None)
declare("Where", _SOME | Is.ELEMENTWISE | Is.BROADCASTS | Is.CHOOSES | Is.JUMPS | Is.EXACT, (1, 2))
declare("ScatterElements ScatterND", _SOME | _LIKE, (0, 2))  # without a reduction
declare("TensorScatter", _SOME | _LIKE, (0, 1))

_EXTREME = Is.EXTREME | Is.CHOOSES | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL
declare("MaxPool", _EXTREME | Is.WINDOW | Is.SPATIAL)
declare("GlobalMaxPool", _EXTREME | Is.REDUCES | Is.SPATIAL)
declare("MaxRoiPool", _EXTREME | Is.SPATIAL)
declare("ReduceMax ReduceMin", _EXTREME | Is.REDUCES)
declare(
    "Max",
    (_EXTREME ^ Is.NON_NEGATIVE_IF_ALL) | Is.NON_NEGATIVE_IF_ANY | Is.ELEMENTWISE | Is.BROADCASTS
    | Is.PIECEWISE | Is.EXACT,
    None,
)  # fmt: skip
declare("Min", _EXTREME | Is.ELEMENTWISE | Is.BROADCASTS | Is.PIECEWISE | Is.EXACT, None)
