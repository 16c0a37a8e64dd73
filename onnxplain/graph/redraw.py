"""The same model with other weights: those of some layers are drawn anew, all others are shared."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.learned import Layer, Learned, LearnedOf, learned_layers, unshared
from onnxplain.graph.normalize import Normalized

__all__ = ["Draw", "Order", "Redraw", "Redrawing", "with_weights"]

#: How weights are drawn.
Draw: TypeAlias = Literal["permutation", "normal", "glorot", "he", "torch"]

#: What of a layer is drawn.
Redraw: TypeAlias = Literal["weights", "biases", "all"]

#: In which order layers are drawn, and whether those before stay so.
Order: TypeAlias = Literal["top_down", "bottom_up", "independent"]

_DRAWN: dict[Redraw, frozenset[LearnedOf]] = {
    "weights": frozenset({"weight"}),
    "biases": frozenset({"weight", "bias"}),
    "all": frozenset({"weight", "bias", "norm"}),
}


@dataclass(frozen=True)
class Redrawing:
    """How weights are drawn anew.

    Attributes
    ----------
    redraw
        What of a layer: ``"weights"``, ``"biases"`` (weights and biases), or ``"all"``, which are
        normalisations' scales and shifts, too.
    draw
        How.  ``"permutation"``: the tensor's own numbers in another order.  ``"normal"``: normal numbers with
        the tensor's own mean and standard deviation.  ``"glorot"``: uniform within
        ``+-sqrt(6 / (fan_in + fan_out))``, and ``"he"``: normal with variance ``2 / fan_in``; biases are 0
        then, scales 1, shifts 0.  ``"torch"``: what torch's ``reset_parameters`` draws, uniform within
        ``+-1 / sqrt(fan_in)`` for weights and biases, standard normal for embeddings; scales 1, shifts 0.
    seed
        A tensor's numbers depend on it and on the tensor's place in the model, and not on what else is drawn.
    """

    redraw: Redraw = "weights"
    draw: Draw = "permutation"
    seed: int = 0

    def layers(self, normal: Normalized, order: Order = "top_down") -> tuple[Layer, ...]:
        """Return the layers that have something to draw, in the order in which they are drawn.

        A weight that several layers share is the first one's in that order.

        Raises
        ------
        MethodError
            See :func:`~onnxplain.graph.learned.learned_layers`.
        """
        kinds = _DRAWN[self.redraw]
        found = learned_layers(normal.model.graph)
        kept = [replace(one, learned=tuple(w for w in one.learned if w.of in kinds)) for one in found]
        return unshared(reversed(kept) if order == "top_down" else kept)

    def drawn(self, layer: Layer) -> dict[ir.Value, ir.TensorProtocol]:
        """Return new tensors for a layer, by the initializers whose places they take."""
        made: dict[ir.Value, ir.TensorProtocol] = {}
        for learned in layer.learned:
            array = self._array(learned)
            made[learned.value] = _tensor(array, learned.value)
            for value, axes in learned.copies.items():
                made[value] = _tensor(np.ascontiguousarray(array.transpose(axes)), value)
        return made

    def _array(self, learned: Learned) -> Array:
        old = learned.array
        rng = np.random.Generator(np.random.Philox(key=self.seed | learned.number << 64))
        if self.draw == "permutation":
            mixed: Array = np.array(old)
            rng.shuffle(mixed.reshape(-1))
            return mixed
        made = self._numbers(learned, rng)
        if facts.is_integer(learned.value):
            lowest, highest = _limits(learned.value)
            made = np.clip(made.round(), lowest, highest)
        cast: Array = made.astype(old.dtype)
        return cast

    def _numbers(self, learned: Learned, rng: np.random.Generator) -> Array:
        shape = learned.array.shape
        if self.draw == "normal":
            old = learned.array.astype(np.float64)
            made: Array = old.mean() + old.std() * rng.standard_normal(shape)
            return np.abs(made) if learned.of == "norm" and (old > 0).all() else made
        if learned.rest is not None and not (self.draw == "torch" and learned.of == "bias"):
            return np.full(shape, learned.rest)
        if self.draw == "he":
            return math.sqrt(2 / learned.fan_in) * rng.standard_normal(shape)
        if self.draw == "torch" and learned.table:
            return rng.standard_normal(shape)
        if self.draw == "glorot":
            bound = math.sqrt(6 / (learned.fan_in + learned.fan_out))
        else:
            bound = 1 / math.sqrt(learned.width)
        return rng.uniform(-bound, bound, shape)


def with_weights(normal: Normalized, tensors: Mapping[ir.Value, ir.TensorProtocol]) -> Normalized:
    """Return a model with other weights; it shares all others with the one that is given.

    Parameters
    ----------
    normal
        The model; it is not changed.
    tensors
        By the initializers whose places they take.
    """
    model = normal.model.clone()
    told = hashlib.sha256(normal.content.encode())
    graphs = (normal.model.graph, *normal.model.graph.subgraphs())
    for old, new in zip(graphs, (model.graph, *model.graph.subgraphs()), strict=True):
        for name, value in old.initializers.items():
            tensor = tensors.get(value)
            if tensor is not None:
                new.initializers[name].const_value = tensor
                told.update(f"{name} {tensor.dtype.name} {list(tensor.shape)}".encode())
                told.update(tensor.tobytes())
    return replace(normal, model=model, content=told.hexdigest())


def _tensor(array: Array, value: ir.Value) -> ir.TensorProtocol:
    assert value.const_value is not None
    return ir.Tensor(array, dtype=value.const_value.dtype, name=value.name)


def _limits(value: ir.Value) -> tuple[Any, Any]:
    """Return the least and the largest whole number of an initializer's type."""
    assert value.const_value is not None
    kind = value.const_value.dtype
    bits = kind.bitwidth
    signed = kind.name.startswith("INT")
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
