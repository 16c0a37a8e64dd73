"""Data sets larger than memory, explained by one machine or by many, and resumed where a run ended."""

from onnxplain.scale.datasets import explain_dataset
from onnxplain.scale.parts import read_parts
from onnxplain.scale.running import Summary, explain_files

__all__ = ["Summary", "explain_dataset", "explain_files", "read_parts"]
