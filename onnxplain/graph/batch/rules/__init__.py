"""The rules by family; importing them fills the table."""

from onnxplain.graph.batch.rules import (
    attending,
    classic,
    control_flow,
    elementwise,
    indexing,
    joining,
    linear,
    norms,
    recurrent,
    reductions,
    shaping,
    windows,
)

__all__ = [
    "attending",
    "classic",
    "control_flow",
    "elementwise",
    "indexing",
    "joining",
    "linear",
    "norms",
    "recurrent",
    "reductions",
    "shaping",
    "windows",
]
