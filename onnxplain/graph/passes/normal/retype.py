"""Change the floating-point type in which a whole graph computes.

Used to explain float16 models in float32, and by the tests to check gradients in float64.  Inputs,
outputs, initializers, ``Cast`` targets, tensor attributes and subgraphs change together.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["Retype"]

_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "stash_type", "output_dtype"})
# Their bodies cast to this type; LayerNormalization allows no other, and kernels ignore it.
_STASHING = frozenset({"GroupNormalization", "RMSNormalization"})


class Retype(ir.passes.InPlacePass):
    """Replace float types.

    Parameters
    ----------
    sources
        The types to replace.
    target
        The type to compute in.
    """

    def __init__(self, sources: frozenset[ir.DataType], target: ir.DataType) -> None:
        super().__init__()
        self.sources = sources
        self.target = target

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for value in [*graph.inputs, *graph.outputs, *graph.initializers.values()]:
                modified |= self._value(value)
        for node in model.graph.all_nodes():
            for output in node.outputs:
                modified |= self._value(output)
            modified |= self._spell_out(node)
            for name, attribute in list(node.attributes.items()):
                if name == "stash_type" and node.op_type not in _STASHING:
                    continue
                if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in self.sources:
                    node.attributes[name] = ir.AttrTensor(name, self._tensor(attribute.as_tensor()))
                    modified = True
                elif attribute.type == ir.AttributeType.INT and name in _TYPE_ATTRIBUTES:
                    if ir.DataType(attribute.as_int()) not in self.sources:
                        continue
                    node.attributes[name] = ir.AttrInt64(name, int(self.target))
                    modified = True
        return ir.passes.PassResult(model, modified)

    def _spell_out(self, node: ir.Node) -> bool:
        """Write the attributes down that mean float32 where they are absent."""
        if ir.DataType.FLOAT not in self.sources or node.domain not in ("", "ai.onnx"):
            return False
        if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
            node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1, self.target.numpy())))
            return True
        if node.op_type in _STASHING and "stash_type" not in node.attributes:
            node.attributes["stash_type"] = ir.AttrInt64("stash_type", int(self.target))
            return True
        return False

    def _tensor(self, tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        return ir.tensor(tensor.numpy().astype(self.target.numpy()), name=tensor.name)

    def _value(self, value: ir.Value) -> bool:
        if value.dtype not in self.sources:
            return False
        if value.const_value is not None:
            value.const_value = self._tensor(value.const_value)
        value.type = ir.TensorType(self.target)
        return True
