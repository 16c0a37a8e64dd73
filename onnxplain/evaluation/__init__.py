"""Methods by metrics: what explanations are worth, ranks, and where metrics disagree."""

from onnxplain.evaluation.chosen import chosen_methods, chosen_metrics
from onnxplain.evaluation.comparing import compare
from onnxplain.evaluation.comparison import Comparison
from onnxplain.evaluation.result import Cell, Evaluation
from onnxplain.evaluation.running import evaluate

__all__ = ["Cell", "Comparison", "Evaluation", "chosen_methods", "chosen_metrics", "compare", "evaluate"]
