"""Graph passes, one per file: each returns the model and whether it changed it."""

from onnxplain.graph.passes.decompose import Decompose, claim_contrib
from onnxplain.graph.passes.decompose_recurrent import DecomposeRecurrent
from onnxplain.graph.passes.dequantize import Dequantize
from onnxplain.graph.passes.drop_inference_noops import DropInferenceNoOps
from onnxplain.graph.passes.expand_functions import expand_functions, has_body
from onnxplain.graph.passes.flip_transposed_convs import FlipTransposedConvs
from onnxplain.graph.passes.fold_affine import FoldAffine
from onnxplain.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxplain.graph.passes.fold_constants import FoldConstants
from onnxplain.graph.passes.fold_pad import FoldPad
from onnxplain.graph.passes.hoist_loop_constants import HoistLoopConstants
from onnxplain.graph.passes.inline_constant_if import InlineConstantIf
from onnxplain.graph.passes.inline_functions import InlineFunctions, check_functions
from onnxplain.graph.passes.mark_steps import MARKS, MarkSteps
from onnxplain.graph.passes.mask_by_hard_sigmoid import MaskByHardSigmoid
from onnxplain.graph.passes.name_casts import NameCasts
from onnxplain.graph.passes.own_outputs import OwnOutputs
from onnxplain.graph.passes.raise_opset import MIN_OPSET, raise_opset
from onnxplain.graph.passes.recognise_softmax import RecogniseSoftmax
from onnxplain.graph.passes.retype import Retype
from onnxplain.graph.passes.sequences_to_tensors import SequencesToTensors
from onnxplain.graph.passes.split_batchnorm import SplitBatchNorm
from onnxplain.graph.passes.split_bias import SplitBias
from onnxplain.graph.passes.trim_ceil_pools import TrimCeilPools

__all__ = [
    "MARKS",
    "MIN_OPSET",
    "Decompose",
    "DecomposeRecurrent",
    "Dequantize",
    "DropInferenceNoOps",
    "FlipTransposedConvs",
    "FoldAffine",
    "FoldBatchNorm",
    "FoldConstants",
    "FoldPad",
    "HoistLoopConstants",
    "InlineConstantIf",
    "InlineFunctions",
    "MarkSteps",
    "MaskByHardSigmoid",
    "NameCasts",
    "OwnOutputs",
    "RecogniseSoftmax",
    "Retype",
    "SequencesToTensors",
    "SplitBatchNorm",
    "SplitBias",
    "TrimCeilPools",
    "check_functions",
    "claim_contrib",
    "expand_functions",
    "has_body",
    "raise_opset",
]
