"""The gradients of the ONNX operators, one file per kind of operator.

Importing this package fills the table of :mod:`onnxplain.backward.registry`.
"""

from onnxplain.backward.ops import (
    activations,
    arithmetic,
    convolution,
    indexing,
    linear,
    normalization,
    pooling,
    reductions,
    resizing,
    stops,
    structural,
)

__all__ = [
    "activations",
    "arithmetic",
    "convolution",
    "indexing",
    "linear",
    "normalization",
    "pooling",
    "reductions",
    "resizing",
    "stops",
    "structural",
]
