"""Functions of each element by itself; sums, products and comparisons with broadcasting."""

from __future__ import annotations

from onnxplain.graph.traits.table import Is, declare

__all__: list[str] = []

_UNARY = Is.ELEMENTWISE | Is.LIKE_FIRST
_KEEPS_SIGN = _UNARY | Is.NON_NEGATIVE_IF_ALL  # f(x) >= 0 where x >= 0

declare("Abs", _UNARY | Is.HOMOGENEOUS | Is.PIECEWISE | Is.NON_NEGATIVE)
declare("Neg", _UNARY | Is.HOMOGENEOUS | Is.EXACT)
declare("Sign", _KEEPS_SIGN | Is.JUMPS)
declare("Floor Ceil Round", _KEEPS_SIGN | Is.JUMPS)

declare("Relu", _UNARY | Is.RECTIFIER | Is.HOMOGENEOUS | Is.PIECEWISE | Is.NON_NEGATIVE | Is.CHOOSES)
declare("LeakyRelu", _KEEPS_SIGN | Is.RECTIFIER | Is.HOMOGENEOUS | Is.PIECEWISE)
declare("PRelu", _KEEPS_SIGN | Is.RECTIFIER | Is.HOMOGENEOUS | Is.PIECEWISE, weight=1)
declare("ThresholdedRelu", _UNARY | Is.RECTIFIER | Is.PIECEWISE | Is.NON_NEGATIVE | Is.CHOOSES | Is.JUMPS)
declare("Clip", _UNARY | Is.RECTIFIER | Is.BOUNDED | Is.PIECEWISE | Is.NON_NEGATIVE | Is.CHOOSES, (0, 1, 2))
declare("Elu Celu Gelu Mish Swish", _KEEPS_SIGN | Is.RECTIFIER)
declare("Selu", _UNARY | Is.RECTIFIER)
declare("HardSwish", _KEEPS_SIGN | Is.RECTIFIER | Is.CHOOSES)
declare("Softplus", _UNARY | Is.RECTIFIER | Is.NON_NEGATIVE)
declare("Shrink", _UNARY | Is.CHOOSES | Is.JUMPS)

declare("Sigmoid", _UNARY | Is.BOUNDED | Is.UNIT | Is.NON_NEGATIVE)
declare("HardSigmoid", _UNARY | Is.BOUNDED | Is.UNIT | Is.NON_NEGATIVE | Is.CHOOSES)
declare("Erf Tanh Softsign Atan", _KEEPS_SIGN | Is.BOUNDED)

declare("Exp", _UNARY | Is.NON_NEGATIVE | Is.OVERFLOWS)
declare("Cosh", _UNARY | Is.NON_NEGATIVE | Is.OVERFLOWS)
declare("Sinh", _KEEPS_SIGN | Is.OVERFLOWS)
declare("Log", _UNARY | Is.PARTIAL | Is.POLE)
declare("Sqrt", _UNARY | Is.NON_NEGATIVE | Is.PARTIAL | Is.STEEP)
declare("Reciprocal", _UNARY | Is.PARTIAL | Is.POLE)
declare("Asinh", _KEEPS_SIGN)
declare("Acosh", _UNARY | Is.NON_NEGATIVE | Is.PARTIAL | Is.STEEP)
declare("Atanh", _KEEPS_SIGN | Is.PARTIAL | Is.POLE)
declare("Sin Cos", _UNARY)
declare("Tan", _UNARY | Is.POLE)
declare("Asin", _KEEPS_SIGN | Is.PARTIAL | Is.STEEP)
declare("Acos", _UNARY | Is.NON_NEGATIVE | Is.PARTIAL | Is.STEEP)

_BINARY = Is.ELEMENTWISE | Is.BROADCASTS
declare("Add", _BINARY | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL | Is.EXACT, None)
declare("Sub", _BINARY | Is.HOMOGENEOUS | Is.EXACT, None)
declare("Sum Mean", _BINARY | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL, None)
declare("Mul", _BINARY | Is.BILINEAR | Is.NON_NEGATIVE_IF_ALL | Is.EXACT, None, weight=1)
declare("Div", _BINARY | Is.NON_NEGATIVE_IF_ALL | Is.PARTIAL | Is.POLE, None)
declare("Mod", _BINARY | Is.PARTIAL | Is.JUMPS, None)
declare("Pow", _BINARY | Is.PARTIAL | Is.POLE, None)

declare("Equal Greater GreaterOrEqual Less LessOrEqual", _BINARY | Is.TRUTH | Is.JUMPS | Is.EXACT, None)
declare("And Or Xor", _BINARY | Is.TRUTH | Is.JUMPS | Is.EXACT, None)
declare("Not", _UNARY | Is.TRUTH | Is.JUMPS | Is.EXACT)
declare("IsInf IsNaN", _UNARY | Is.TRUTH | Is.JUMPS)
declare("BitShift BitwiseAnd BitwiseOr BitwiseXor", _BINARY, None)
declare("BitwiseNot BitCast", _UNARY)
declare("RegexFullMatch", _UNARY | Is.TRUTH)
declare("StringConcat", _BINARY, None)
