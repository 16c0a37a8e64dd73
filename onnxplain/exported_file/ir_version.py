"""The oldest version of ONNX's file format that holds a model: older runtimes load no newer one."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnxplain.exported_file.scopes import graphs_of

__all__ = ["needed_ir"]

#: Since 4, weights need not be inputs.
_OLDEST = 4
#: The first version that has a type of numbers.
_TYPES = {
    **dict.fromkeys(("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), 9),
    **dict.fromkeys(("INT4", "UINT4"), 10),
    "FLOAT4E2M1": 11,
    "FLOAT8E8M0": 12,
    **dict.fromkeys(("INT2", "UINT2"), 13),
}


def needed_ir(model: ir.Model) -> int:
    """Return the oldest IR version that has a model's opset and its types.

    Parameters
    ----------
    model
        A model without functions, whose weights are no inputs.
    """
    opsets = [onnx.helper.make_opsetid(d, v) for d, v in model.graph.opset_imports.items()]
    needed = max(_OLDEST, onnx.helper.find_min_ir_version_for(opsets, ignore_unknown=True))
    for graph in graphs_of(model):
        values = [*graph.inputs, *graph.initializers.values(), *(o for n in graph for o in n.outputs)]
        weights = [v.const_value for v in values if v.const_value is not None]
        dtypes = {v.dtype for v in values} | {w.dtype for w in weights}
        needed = max([needed, *(_TYPES.get(d.name, _OLDEST) for d in dtypes if d is not None)])
    return needed
