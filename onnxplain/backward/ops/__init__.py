"""The gradients of the ONNX operators, one file per kind of operator.

Importing this package fills the table of :mod:`onnxplain.backward.registry`.
"""

from onnxplain.backward.ops import (
    activations,
    arithmetic,
    control_flow,
    convolution,
    einsum,
    indexing,
    linear,
    normalization,
    pooling,
    quantized,
    recurrent,
    reductions,
    resizing,
    sampling,
    scatter,
    signal,
    stops,
    structural,
)

__all__ = [
    "activations",
    "arithmetic",
    "control_flow",
    "convolution",
    "einsum",
    "indexing",
    "linear",
    "normalization",
    "pooling",
    "quantized",
    "recurrent",
    "reductions",
    "resizing",
    "sampling",
    "scatter",
    "signal",
    "stops",
    "structural",
]
