"""Reading a model: from files, bytes or objects, with its weights, refusing what is broken."""

from onnxplain.graph.load.source import ModelSource, load

__all__ = ["ModelSource", "load"]
