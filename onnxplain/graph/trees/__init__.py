"""Tree ensembles of a model, read once into flat arrays."""

from onnxplain.graph.trees.reading import OPERATORS, find, parse
from onnxplain.kernels.ensemble import Ensemble, Mode

__all__ = ["OPERATORS", "Ensemble", "Mode", "find", "parse"]
