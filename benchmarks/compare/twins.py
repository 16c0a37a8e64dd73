"""PyTorch networks with the weights of an ONNX graph, each layer a module; imported only where torch is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from onnx import helper, numpy_helper
from torch import nn

if TYPE_CHECKING:
    import onnx

__all__ = ["Add", "Twin", "layer", "tensor"]


class Add(nn.Module):
    """A sum of two as a module, so that hooks see it."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Add."""
        return x + y


class Twin(nn.Module):
    """A chain of layers with residual sums, as the graph has them, node by node.

    Parameters
    ----------
    model
        Of convolutions, batch normalisations, rectifiers, poolings and dense layers.
    add
        What sums two values.

    Attributes
    ----------
    merged
        Pairs of a layer, in a tuple, and the batch normalisation behind it, by name.
    made_by
        The module's name, by the name of the value that it makes.

    Raises
    ------
    ValueError
        If a node is of another kind.
    """

    def __init__(self, model: onnx.ModelProto, add: Callable[[], nn.Module] = Add) -> None:
        super().__init__()
        graph = model.graph
        weights = {t.name: tensor(t) for t in graph.initializer}
        self.merged: list[tuple[tuple[str], str]] = []
        self.made_by: dict[str, str] = {}
        self._steps: list[tuple[str, tuple[str, ...], str]] = []
        self._last = ""
        same: dict[str, str] = {}  # values that are others, by another name
        for node in graph.node:
            kind = node.op_type
            if kind in ("Shape", "Constant", "Gather", "Unsqueeze", "Concat"):
                if kind == "Constant" and node.attribute[0].name == "value":
                    weights[node.output[0]] = tensor(node.attribute[0].t)
                continue  # they compute a Reshape's shape
            reads = [same.get(n, n) for n in node.input if n and n not in weights]
            if kind in ("Identity", "Dropout"):
                same[node.output[0]] = reads[0]
                continue
            if kind in ("GlobalAveragePool", "Flatten", "Reshape") and not self._last:
                self._last = self.made_by[reads[0]]
            if kind in ("Flatten", "Reshape"):
                self._steps.append(("", (reads[0],), node.output[0]))
                continue
            given = [weights[n] for n in node.input if n in weights]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            name = f"{kind.lower()}_{len(self._steps)}"
            self.add_module(name, add() if kind == "Add" else layer(kind, given, attributes))
            if kind == "BatchNormalization" and reads[0] in self.made_by:
                before = self.made_by[reads[0]]
                inner = f"{before}.1" if isinstance(self._modules[before], nn.Sequential) else before
                self.merged.append(((inner,), name))
            self.made_by[node.output[0]] = name
            self._steps.append((name, tuple(reads), node.output[0]))
        self._input = next(i.name for i in graph.input if i.name not in weights)
        self._output = same.get(graph.output[0].name, graph.output[0].name)
        self.eval().requires_grad_(False)

    def last_with_space(self) -> nn.Module:
        """Return the layer in front of the global pooling or the dense layers."""
        return self._modules[self._last]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        values = {self._input: x}
        for name, reads, writes in self._steps:
            given = [values[r] for r in reads]
            # no module flattens: Captum's LRP has no rule for one
            values[writes] = self._modules[name](*given) if name else given[0].flatten(1)
        return values[self._output]


def layer(kind: str, given: list[torch.Tensor], attributes: dict[str, Any]) -> nn.Module:
    """Return the module of a node, with its weights."""
    if kind == "Conv":
        return _conv(given, attributes)
    if kind == "BatchNormalization":
        norm = nn.BatchNorm2d(len(given[0]), attributes.get("epsilon", 1e-5))
        held = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        for place, value in zip(held, given, strict=True):
            place.data.copy_(value)
        return norm
    if kind in ("Gemm", "MatMul"):
        w = given[0] if attributes.get("transB") else given[0].T
        dense = nn.Linear(w.shape[1], w.shape[0], bias=len(given) > 1)
        dense.weight.data.copy_(w)
        if len(given) > 1:
            dense.bias.data.copy_(given[1])
        return dense
    if kind == "Clip" and [float(v) for v in given] == [0, 6]:
        return nn.ReLU6()
    if kind == "MaxPool":
        pads = _same(attributes.get("pads", [0] * 4))
        return nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"], pads)
    simple = {"Relu": nn.ReLU, "GlobalAveragePool": lambda: nn.AdaptiveAvgPool2d(1)}
    if kind not in simple:
        raise ValueError(f"no PyTorch module stands for the operator {kind}")
    return simple[kind]()


def _conv(given: list[torch.Tensor], attributes: dict[str, Any]) -> nn.Module:
    weight, group = given[0], attributes.get("group", 1)
    pads = list(attributes.get("pads", [0] * 4))
    conv = nn.Conv2d(
        weight.shape[1] * group, weight.shape[0], weight.shape[2:],
        attributes.get("strides", 1), _same(pads) if pads[:2] == pads[2:] else 0,
        attributes.get("dilations", 1), group, bias=len(given) > 1,
    )  # fmt: skip
    conv.weight.data.copy_(weight)
    if len(given) > 1:
        conv.bias.data.copy_(given[1])
    if pads[:2] == pads[2:]:
        return conv
    return nn.Sequential(nn.ZeroPad2d((pads[1], pads[3], pads[0], pads[2])), conv)


def _same(pads: list[int]) -> tuple[int, ...]:
    """Return the pads of each axis, which must be the same at both ends."""
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise ValueError(f"pads {pads} differ at the two ends")
    return tuple(pads[:half])


def tensor(t: onnx.TensorProto) -> torch.Tensor:
    """Return a weight."""
    return torch.from_numpy(numpy_helper.to_array(t).copy())
