"""Fold BatchNormalization into the linear layer before it.

Cases: Conv, ConvTranspose, Gemm (with constant weight and bias) whose output goes nowhere else, followed by
an inference-mode BatchNormalization with constant parameters.  This is also what LRP wants: a layer and its
normalisation are one linear map.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts

__all__ = ["FoldBatchNorm"]


class FoldBatchNorm(ir.passes.InPlacePass):
    """Merge ``s * (w x + b - mean) / sqrt(var + eps) + beta`` into new ``w`` and ``b``."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:  # noqa: D102
        modified = False
        for node in list(model.graph):
            if node.op_type == "BatchNormalization" and node.domain in ("", "ai.onnx"):
                modified |= self._fold(model.graph, node)
        return ir.passes.PassResult(model, modified)

    def _fold(self, graph: ir.Graph, norm: ir.Node) -> bool:
        source = norm.inputs[0]
        layer = source.producer() if source is not None else None
        if layer is None or source is None or layer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            return False
        if len(source.uses()) != 1 or source.is_graph_output() or facts.attr(norm, "training_mode", 0):
            return False
        if layer.domain not in ("", "ai.onnx") or any(o.uses() for o in norm.outputs[1:]):
            return False
        arrays = [facts.constant(v) for v in norm.inputs[1:5]]
        weight = facts.constant(layer.inputs[1])
        bias_value = layer.inputs[2] if len(layer.inputs) > 2 else None
        bias = facts.constant(bias_value)
        if weight is None or any(a is None for a in arrays) or (bias_value is not None and bias is None):
            return False
        if layer.op_type == "Gemm" and facts.attr(layer, "beta", 1.0) != 1.0:
            return False
        gamma, beta, mean, var = (np.asarray(a, np.float64) for a in arrays)
        epsilon = facts.attr(norm, "epsilon", 1e-5)
        assert isinstance(epsilon, float)
        factor = gamma / np.sqrt(var + epsilon)
        old_bias = np.zeros_like(mean) if bias is None else np.asarray(bias, np.float64)
        new_weight = self._scale(layer, weight.astype(np.float64), factor)
        new_bias = (old_bias - mean) * factor + beta
        if layer.op_type == "Gemm" and new_bias.ndim != 1:
            return False
        name = norm.outputs[0].name
        tensors = [
            self._store(graph, f"{name}/{label}", array.astype(weight.dtype))
            for label, array in (("weight", new_weight), ("bias", new_bias))
        ]
        if len(layer.inputs) < 3:
            layer.resize_inputs(3)
        layer.replace_input_with(1, tensors[0])
        layer.replace_input_with(2, tensors[1])
        output = norm.outputs[0]
        source.shape, source.type = output.shape, output.type
        is_output = output.is_graph_output()
        ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=is_output)
        graph.remove(norm, safe=True)
        if is_output:
            source.name = name
        return True

    @staticmethod
    def _store(graph: ir.Graph, name: str, array: Array) -> ir.Value:
        tensor = ir.tensor(np.ascontiguousarray(array), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        graph.register_initializer(value)
        return value

    @staticmethod
    def _scale(layer: ir.Node, weight: Array, factor: Array) -> Array:
        if layer.op_type == "Gemm":
            return weight * (factor[:, None] if facts.attr(layer, "transB", 0) else factor)
        ones = (1,) * (weight.ndim - 2)
        if layer.op_type == "Conv":
            return weight * factor.reshape(-1, 1, *ones)
        group = facts.attr(layer, "group", 1)  # ConvTranspose: (in, out / group, kernel)
        assert isinstance(group, int)
        split = weight.reshape(group, -1, *weight.shape[1:])
        scaled = split * factor.reshape(group, 1, -1, *ones)
        return np.asarray(scaled.reshape(weight.shape))
