"""Methods by metrics: what explanations are worth, ranks, and where metrics disagree."""

from onnxplain.evaluation.result import Cell, Evaluation
from onnxplain.evaluation.running import evaluate

__all__ = ["Cell", "Evaluation", "evaluate"]
