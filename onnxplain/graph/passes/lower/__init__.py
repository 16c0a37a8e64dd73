"""Passes that suit a finished program to a device; they touch only nodes that a walk wrote."""

from onnxplain.graph.passes.lower.flip_transposed_convs import FlipTransposedConvs
from onnxplain.graph.passes.lower.fuse_elementwise import FuseElementwise
from onnxplain.graph.passes.lower.fuse_gelu import FuseGelu
from onnxplain.graph.passes.lower.fuse_rows import FuseRows
from onnxplain.graph.passes.lower.fuse_shares import FuseShares
from onnxplain.graph.passes.lower.fuse_sums import FuseSums
from onnxplain.graph.passes.lower.keep_blocked import KeepBlocked
from onnxplain.graph.passes.lower.mask_by_hard_sigmoid import MaskByHardSigmoid
from onnxplain.graph.passes.lower.matching import DOMAIN
from onnxplain.graph.passes.lower.max_pool_grads import MaxPoolGrads
from onnxplain.graph.passes.lower.pick_rows import PickRows
from onnxplain.graph.passes.lower.sparse_convs import SparseConvs
from onnxplain.graph.passes.lower.split_strides import SplitStrides
from onnxplain.graph.passes.lower.thin_convs import ThinConvs
from onnxplain.graph.passes.lower.winograd_convs import WinogradConvs

__all__ = [
    "DOMAIN",
    "FlipTransposedConvs",
    "FuseElementwise",
    "FuseGelu",
    "FuseRows",
    "FuseShares",
    "FuseSums",
    "KeepBlocked",
    "MaskByHardSigmoid",
    "MaxPoolGrads",
    "PickRows",
    "SparseConvs",
    "SplitStrides",
    "ThinConvs",
    "WinogradConvs",
]
