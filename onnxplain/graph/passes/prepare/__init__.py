"""Passes that suit a model in normal form to the rules of a walk; they cost what gradients do not need."""

from onnxplain.graph.passes.prepare.decompose_recurrent import DecomposeRecurrent
from onnxplain.graph.passes.prepare.fold_affine import FoldAffine
from onnxplain.graph.passes.prepare.mark_steps import MARKS, STEPS, MarkSteps
from onnxplain.graph.passes.prepare.split_batchnorm import SplitBatchNorm
from onnxplain.graph.passes.prepare.split_bias import WITH_BIAS, SplitBias
from onnxplain.graph.passes.prepare.write_out_norms import WRITTEN_OUT, WriteOutNorms, WriteOutSums

__all__ = [
    "MARKS",
    "STEPS",
    "WITH_BIAS",
    "WRITTEN_OUT",
    "DecomposeRecurrent",
    "FoldAffine",
    "MarkSteps",
    "SplitBatchNorm",
    "SplitBias",
    "WriteOutNorms",
    "WriteOutSums",
]
