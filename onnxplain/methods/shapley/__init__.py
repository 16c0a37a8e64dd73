"""Shapley values: games whose players are features, by scores alone."""

from onnxplain.methods.shapley.exact import ExactShapley, ShapleyInteractions
from onnxplain.methods.shapley.partition import PartitionShap
from onnxplain.methods.shapley.permutation import PermutationShapley, ShapleyValueSampling
from onnxplain.methods.shapley.regression import KernelShap, RegressionAdjustedShapley

__all__ = [
    "ExactShapley",
    "KernelShap",
    "PartitionShap",
    "PermutationShapley",
    "RegressionAdjustedShapley",
    "ShapleyInteractions",
    "ShapleyValueSampling",
]
