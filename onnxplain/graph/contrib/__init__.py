"""Operators of onnxruntime's own domain (com.microsoft), in operators of the standard.

Importing this package fills :data:`~onnxplain.graph.contrib.table.CONTRIB`.
"""

from onnxplain.graph.contrib import activations, attention, blocks, grouped, linear, norms
from onnxplain.graph.contrib.table import CONTRIB

__all__ = ["CONTRIB", "activations", "attention", "blocks", "grouped", "linear", "norms"]
