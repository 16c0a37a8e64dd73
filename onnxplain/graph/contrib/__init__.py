"""Operators of onnxruntime's own domain (com.microsoft), in operators of the standard.

Importing this package enters them in :data:`~onnxplain.graph.decomposition.DECOMPOSITIONS`.
"""

from onnxplain.graph.contrib import activations, attention_operators, blocks, grouped, linear, norms

__all__ = ["activations", "attention_operators", "blocks", "grouped", "linear", "norms"]
