"""Operators with bodies, recurrent ones, and what makes numbers of shapes, positions or chance."""

from __future__ import annotations

from onnxplain.graph.traits.table import NOTHING, Is, declare

__all__: list[str] = []

declare("If Loop Scan", NOTHING, None)
declare("LSTM GRU RNN", NOTHING, weight=1, bias=3)

declare("Shape Size", Is.SHAPE_ONLY | Is.INT64 | Is.EXACT)
declare("EyeLike", Is.SHAPE_ONLY | Is.LIKE_FIRST)
declare("RandomNormalLike RandomUniformLike", Is.SHAPE_ONLY | Is.LIKE_FIRST | Is.RANDOM)
declare("RandomNormal RandomUniform", Is.RANDOM, ())
declare("Bernoulli", Is.LIKE_FIRST | Is.RANDOM)
declare("Multinomial", Is.RANDOM)
declare("ConstantOfShape", Is.EXACT | Is.GROWS, ())
declare("Range OneHot", Is.GROWS, ())
declare("ArgMax ArgMin", Is.INT64)
declare("NonZero", Is.INT64 | Is.EXACT)
