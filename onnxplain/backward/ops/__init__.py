"""The gradients of the ONNX operators, one file per kind of operator.

Importing this package fills the table of :mod:`onnxplain.backward.registry`.
"""

from onnxplain.backward.ops import (
    activations,
    arithmetic,
    control_flow,
    convolution,
    indexing,
    linear,
    normalization,
    pooling,
    recurrent,
    reductions,
    resizing,
    stops,
    structural,
)

__all__ = [
    "activations",
    "arithmetic",
    "control_flow",
    "convolution",
    "indexing",
    "linear",
    "normalization",
    "pooling",
    "recurrent",
    "reductions",
    "resizing",
    "stops",
    "structural",
]
