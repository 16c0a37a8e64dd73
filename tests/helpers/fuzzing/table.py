"""The operators that are drawn: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import elements as e
from . import flow as f
from . import layers as la
from . import movers as m

if TYPE_CHECKING:
    from .elements import Draw

__all__ = ["OPERATORS", "Operator"]


@dataclass(frozen=True)
class Operator:
    """How an operator is drawn, and since which opset there is one."""

    draw: Draw
    since: int = 17


OPERATORS: dict[str, Operator] = {
    # one operand, element by element
    "Abs": Operator(e.unary()),
    "Acos": Operator(e.unary("unit")),
    "Acosh": Operator(e.unary("above_one")),
    "Asin": Operator(e.unary("unit")),
    "Asinh": Operator(e.unary()),
    "Atan": Operator(e.unary()),
    "Atanh": Operator(e.unary("unit")),
    "Cast": Operator(e.cast),
    "Ceil": Operator(e.unary()),
    "Celu": Operator(e.unary(alpha=(1.0, 0.5))),
    "Clip": Operator(e.clip),
    "Cos": Operator(e.unary()),
    "Cosh": Operator(e.unary()),
    "Dropout": Operator(e.unary()),
    "Elu": Operator(e.unary(alpha=(1.0, 0.5))),
    "Erf": Operator(e.unary()),
    "Exp": Operator(e.unary()),
    "Floor": Operator(e.unary()),
    "Gelu": Operator(e.unary(approximate=("none", "tanh")), since=20),
    "HardSigmoid": Operator(e.unary(alpha=(0.2, 0.5))),
    "HardSwish": Operator(e.unary()),
    "Identity": Operator(e.unary()),
    "LeakyRelu": Operator(e.unary(alpha=(0.01, 0.3))),
    "Log": Operator(e.unary("positive")),
    "Mish": Operator(e.unary(), since=18),
    "Neg": Operator(e.unary()),
    "Reciprocal": Operator(e.unary("positive")),
    "Relu": Operator(e.unary()),
    "Selu": Operator(e.unary()),
    "Shrink": Operator(e.unary(lambd=(0.3,), bias=(0.0, 0.2))),
    "Sigmoid": Operator(e.unary()),
    "Sign": Operator(e.unary()),
    "Sin": Operator(e.unary()),
    "Sinh": Operator(e.unary()),
    "Softplus": Operator(e.unary()),
    "Softsign": Operator(e.unary()),
    "Sqrt": Operator(e.unary("positive")),
    "Tan": Operator(e.unary("unit")),
    "Tanh": Operator(e.unary()),
    "ThresholdedRelu": Operator(e.unary(alpha=(0.5, 0.2))),
    # several operands
    "Add": Operator(e.binary()),
    "Div": Operator(e.binary(None, "positive")),
    "Max": Operator(e.variadic()),
    "Mean": Operator(e.variadic()),
    "Min": Operator(e.variadic()),
    "Mod": Operator(e.binary(None, "positive", fmod=(1,))),
    "Mul": Operator(e.binary()),
    "PRelu": Operator(e.prelu),
    "Pow": Operator(e.power),
    "Sub": Operator(e.binary()),
    "Sum": Operator(e.variadic()),
    "Where": Operator(e.where),
    # reductions
    "ArgMax": Operator(e.argued),
    "ArgMin": Operator(e.argued),
    "CumSum": Operator(e.cumulative),
    "ReduceL1": Operator(e.reduction()),
    "ReduceL2": Operator(e.reduction()),
    "ReduceLogSum": Operator(e.reduction("positive")),
    "ReduceLogSumExp": Operator(e.reduction()),
    "ReduceMax": Operator(e.reduction()),
    "ReduceMean": Operator(e.reduction()),
    "ReduceMin": Operator(e.reduction()),
    "ReduceProd": Operator(e.reduction()),
    "ReduceSum": Operator(e.reduction(since=13)),
    "ReduceSumSquare": Operator(e.reduction()),
    # norms
    "BatchNormalization": Operator(e.batch_norm),
    "GroupNormalization": Operator(e.group_norm, since=21),
    "Hardmax": Operator(e.along()),
    "InstanceNormalization": Operator(e.instance_norm),
    "LRN": Operator(e.lrn),
    "LayerNormalization": Operator(e.layer_norm),
    "LogSoftmax": Operator(e.along()),
    "LpNormalization": Operator(e.along(p=(2, 1))),
    "MeanVarianceNormalization": Operator(e.mean_variance),
    "Softmax": Operator(e.along()),
    # layers and products
    "Conv": Operator(la.conv),
    "ConvTranspose": Operator(la.conv),
    "DequantizeLinear": Operator(la.quantised),
    "Det": Operator(la.det),
    "Einsum": Operator(la.einsum),
    "Gemm": Operator(la.gemm),
    "MatMul": Operator(la.matmul),
    # pooling and resampling
    "AveragePool": Operator(la.pool(ceil_mode=(0, 1), count_include_pad=(0, 1))),
    "GlobalAveragePool": Operator(la.whole()),
    "GlobalLpPool": Operator(la.whole(p=(2, 1, 3))),
    "GlobalMaxPool": Operator(la.whole()),
    "GridSample": Operator(la.grid_sample),
    "LpPool": Operator(la.pool(p=(2, 1, 3))),
    "MaxPool": Operator(la.pool(ceil_mode=(0, 1))),
    "MaxUnpool": Operator(la.unpool),
    "Resize": Operator(la.resize),
    # movers
    "CenterCropPad": Operator(m.center_crop_pad, since=18),
    "Col2Im": Operator(m.col2im, since=18),
    "Compress": Operator(m.compress),
    "Concat": Operator(m.concat),
    "DepthToSpace": Operator(m.depth_to_space),
    "Expand": Operator(m.expand),
    "Flatten": Operator(m.flatten),
    "Gather": Operator(m.gather),
    "GatherElements": Operator(m.gather_elements),
    "GatherND": Operator(m.gather_nd),
    "Pad": Operator(m.pad),
    "Reshape": Operator(m.reshape),
    "ReverseSequence": Operator(m.reverse_sequence),
    "ScatterElements": Operator(m.scatter_elements),
    "ScatterND": Operator(m.scatter_nd),
    "Slice": Operator(m.slice_),
    "SpaceToDepth": Operator(m.space_to_depth),
    "Split": Operator(m.split),
    "Squeeze": Operator(m.squeeze),
    "Tile": Operator(m.tile),
    "TopK": Operator(m.top_k),
    "Transpose": Operator(m.transpose),
    "Trilu": Operator(m.trilu),
    "Unsqueeze": Operator(m.unsqueeze),
    # state and bodies
    "GRU": Operator(f.recurrent),
    "If": Operator(f.if_),
    "LSTM": Operator(f.recurrent),
    "Loop": Operator(f.loop),
    "RNN": Operator(f.recurrent),
    "Scan": Operator(f.scan),
}
