"""A model in two halves, in float64 on the standard's reference evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


class Halves:
    """What enters a value of a model, and what stands behind it.

    Parameters
    ----------
    model
        Its first input is x, its first output the scores.
    layer
        Name of the value.
    """

    def __init__(self, model: onnx.ModelProto, layer: str) -> None:
        self.layer = layer
        wide = onnx.ModelProto()
        wide.CopyFrom(model)
        for tensor in wide.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            if array.dtype == np.float32:
                tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float64), tensor.name))
        for value in (*wide.graph.input, *wide.graph.output):
            if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
                value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        self.x = wide.graph.input[0].name
        front, back = onnx.ModelProto(), onnx.ModelProto()
        front.CopyFrom(wide)
        made = onnx.helper.make_tensor_value_info(layer, onnx.TensorProto.DOUBLE, None)
        front.graph.output.append(made)
        back.CopyFrom(wide)
        maker = next(node for node in back.graph.node if layer in node.output)
        back.graph.node.remove(maker)
        back.graph.input.append(made)
        self._front, self._back = ReferenceEvaluator(front), ReferenceEvaluator(back)

    def activations(self, x: np.ndarray) -> np.ndarray:
        """Return the value."""
        return np.asarray(self._front.run([self.layer], {self.x: x.astype(np.float64)})[0])

    def scores(self, x: np.ndarray, a: np.ndarray | None = None) -> np.ndarray:
        """Return the scores, (n, classes), maybe with another value than the model's own."""
        a = self.activations(x) if a is None else a
        made = self._back.run(None, {self.x: x.astype(np.float64), self.layer: a})[0]
        return np.asarray(made)

    def gradients(
        self, x: np.ndarray, target: int, step: float = 1e-5, at: np.ndarray | None = None
    ) -> np.ndarray:
        """Return dS/dA of one sample, by central differences, maybe at another value than the model's own."""
        a = self.activations(x) if at is None else at
        made = np.zeros_like(a)
        for place in np.ndindex(a.shape):
            bump = np.zeros_like(a)
            bump[place] = step
            up, down = (self.scores(x, a + sign * bump)[0, target] for sign in (1, -1))
            made[place] = (up - down) / (2 * step)
        return made


def turned(array: np.ndarray, kind: str) -> np.ndarray:
    """Bring a value of one sample to (C, *space): a class token is left out."""
    if kind == "first":
        return array[0]
    if kind == "last":
        return np.moveaxis(array[0], -1, 0)
    rows = {"tokens": array[0], "class and tokens": array[0][1:]}[kind]
    return rows.T


def resized(picture: Any, sides: tuple[int, ...]) -> np.ndarray:
    """Resize linearly along each axis, by the definition, one place at a time."""
    made = np.zeros(sides)
    for place in np.ndindex(sides):
        total = 0.0
        for corner in np.ndindex((2,) * len(sides)):
            weight, where = 1.0, []
            for at, upper, side, length in zip(place, corner, sides, picture.shape, strict=True):
                spot = min(max((at + 0.5) * length / side - 0.5, 0.0), length - 1.0)
                low = int(spot)
                weight *= spot - low if upper else 1 - (spot - low)
                where.append(min(low + upper, length - 1))
            total += weight * picture[tuple(where)]
        made[place] = total
    return made
