"""Layers with weights, pools, reductions and normalisations; what works on windows and regions of images."""

from __future__ import annotations

from onnxplain.graph.traits.table import Is, declare

__all__: list[str] = []

_LAYER = Is.LAYER | Is.BILINEAR
_IMAGES = Is.WINDOW | Is.SPATIAL
declare("Conv ConvTranspose", _LAYER | _IMAGES, weight=1, bias=2)
declare("Gemm", _LAYER, weight=1, bias=2)
declare("MatMul", _LAYER, weight=1)
declare("Einsum", _LAYER, None, weight=1)
declare("STFT", Is.BILINEAR, weight=2)
declare("DeformConv", _IMAGES, weight=1, bias=3)

_MEAN = Is.AVERAGES | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL
declare("AveragePool", _MEAN | _IMAGES)
declare("GlobalAveragePool", _MEAN | Is.REDUCES | Is.SPATIAL)
declare("ReduceMean ReduceSum", _MEAN | Is.REDUCES)
declare("CumSum", Is.LIKE_FIRST | Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL)
declare("Col2Im", Is.HOMOGENEOUS | Is.NON_NEGATIVE_IF_ALL)
declare("DFT", Is.HOMOGENEOUS)
declare("Resize Upsample GridSample", Is.SPATIAL | Is.GROWS)  # a copy of their data only in some modes
declare("RoiAlign", Is.HOMOGENEOUS | Is.SPATIAL)
declare("AffineGrid", Is.GROWS)

_NORM = Is.NORM | Is.HOMOGENEOUS | Is.NON_NEGATIVE
declare("LpPool", _NORM | _IMAGES)
declare("GlobalLpPool", _NORM | Is.REDUCES | Is.SPATIAL)
declare("ReduceL1 ReduceL2", _NORM | Is.REDUCES)
declare("ReduceSumSquare", Is.REDUCES | Is.NON_NEGATIVE)
declare("ReduceLogSum", Is.REDUCES | Is.PARTIAL | Is.POLE)
declare("ReduceLogSumExp", Is.REDUCES | Is.OVERFLOWS)
declare("ReduceProd", Is.REDUCES | Is.NON_NEGATIVE_IF_ALL | Is.OVERFLOWS)
declare("CumProd", Is.LIKE_FIRST | Is.NON_NEGATIVE_IF_ALL | Is.OVERFLOWS)
declare("Det", Is.OVERFLOWS)

declare("Softmax", Is.LIKE_FIRST | Is.UNIT | Is.NON_NEGATIVE)
declare("LogSoftmax", Is.LIKE_FIRST | Is.POLE)
declare("Hardmax", Is.LIKE_FIRST | Is.UNIT | Is.NON_NEGATIVE | Is.JUMPS)
declare("LayerNormalization", Is.LIKE_FIRST | Is.CENTRED | Is.POLE, weight=1, bias=2)  # its second statistic
declare("InstanceNormalization", Is.LIKE_FIRST | Is.CENTRED | Is.SPATIAL, weight=1, bias=2)
declare("GroupNormalization", Is.LIKE_FIRST | Is.CENTRED | Is.SPATIAL, weight=1, bias=2)
declare("MeanVarianceNormalization", Is.LIKE_FIRST | Is.CENTRED)
declare("RMSNormalization", Is.LIKE_FIRST, weight=1)
declare("LpNormalization", Is.LIKE_FIRST)
declare("LRN", Is.LIKE_FIRST | Is.SPATIAL | Is.NON_NEGATIVE_IF_ALL)
declare("BatchNormalization", Is.LIKE_FIRST | Is.SPATIAL, weight=1, bias=2)
