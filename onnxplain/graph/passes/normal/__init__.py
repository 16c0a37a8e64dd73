"""Passes that bring a model into the one form that the rewriter understands."""

from onnxplain.graph.passes.normal.decompose import Decompose, claim_contrib
from onnxplain.graph.passes.normal.dequantize import Dequantize
from onnxplain.graph.passes.normal.drop_inference_noops import DropInferenceNoOps
from onnxplain.graph.passes.normal.expand_functions import expand_functions, has_body
from onnxplain.graph.passes.normal.fold_batchnorm import FoldBatchNorm
from onnxplain.graph.passes.normal.fold_constants import FoldConstants
from onnxplain.graph.passes.normal.fold_pad import FoldPad
from onnxplain.graph.passes.normal.fold_single_trees import FoldSingleTrees
from onnxplain.graph.passes.normal.hoist_loop_constants import HoistLoopConstants
from onnxplain.graph.passes.normal.inline_constant_if import InlineConstantIf
from onnxplain.graph.passes.normal.inline_functions import InlineFunctions, check_functions
from onnxplain.graph.passes.normal.name_casts import NameCasts
from onnxplain.graph.passes.normal.own_outputs import OwnOutputs
from onnxplain.graph.passes.normal.raise_opset import MIN_OPSET, raise_opset
from onnxplain.graph.passes.normal.recognise_softmax import RecogniseSoftmax
from onnxplain.graph.passes.normal.retype import Retype
from onnxplain.graph.passes.normal.sequences_to_tensors import SequencesToTensors
from onnxplain.graph.passes.normal.trim_ceil_pools import TrimCeilPools

__all__ = [
    "MIN_OPSET",
    "Decompose",
    "Dequantize",
    "DropInferenceNoOps",
    "FoldBatchNorm",
    "FoldConstants",
    "FoldPad",
    "FoldSingleTrees",
    "HoistLoopConstants",
    "InlineConstantIf",
    "InlineFunctions",
    "NameCasts",
    "OwnOutputs",
    "RecogniseSoftmax",
    "Retype",
    "SequencesToTensors",
    "TrimCeilPools",
    "check_functions",
    "claim_contrib",
    "expand_functions",
    "has_body",
    "raise_opset",
]
