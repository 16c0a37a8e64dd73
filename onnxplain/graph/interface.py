"""A model's inputs and outputs as its user sees them, and where each input can be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["InputInfo", "OutputInfo", "inputs_of", "outputs_of"]

#: float: explained as it is. token: integer, explained at its embedding. other: taken as given.
Role = Literal["float", "token", "number", "other"]

_INTEGER_MOVERS = frozenset(
    """Add Cast Concat Expand Flatten Gather Identity Max Min Mul Pad Reshape Slice Split Squeeze
    Sub Tile Transpose Unsqueeze Where""".split()
)


@dataclass(frozen=True)
class InputInfo:
    """An input.

    Attributes
    ----------
    name, dtype, shape
        As the model states them; unknown axes are names or None.
    role
        ``"float"``; ``"token"`` for integers that pick rows of an embedding; ``"number"`` for integers
        that are turned into floats; ``"other"``.
    entries
        Names of the values at which it can be explained: itself for floats, the embeddings for tokens.
    explained
        Whether it is explained if nothing else is said.
    """

    name: str
    dtype: np.dtype[np.generic] | None
    shape: tuple[facts.Dim, ...] | None
    role: Role
    entries: tuple[str, ...]
    explained: bool = False

    @property
    def token(self) -> bool:
        """Whether it is explained at an embedding."""
        return self.role == "token"

    @property
    def spelled(self) -> str:
        """The shape as messages write it, ``?`` for unknown axes."""
        return "(" + ", ".join("?" if d is None else str(d) for d in self.shape or ()) + ")"


@dataclass(frozen=True)
class OutputInfo:
    """An output: name, dtype and shape; unknown axes are names or None."""

    name: str
    dtype: np.dtype[np.generic] | None
    shape: tuple[facts.Dim, ...] | None


def _dtype(value: ir.Value) -> np.dtype[np.generic] | None:
    try:
        return None if value.dtype is None else np.dtype(value.dtype.numpy())
    except TypeError:
        return None


def outputs_of(graph: ir.Graph) -> tuple[OutputInfo, ...]:
    """Describe all outputs."""
    return tuple(OutputInfo(str(v.name), _dtype(v), facts.dims(v)) for v in graph.outputs)


def inputs_of(graph: ir.Graph) -> tuple[InputInfo, ...]:
    """Describe all inputs; floats are explained by default, tokens where there are no floats."""
    found = [_describe(v) for v in graph.inputs]
    for role in ("float", "token", "number"):
        if any(i.role == role for i in found):
            return tuple(_with_default(i, i.role == role) for i in found)
    return tuple(found)


def _with_default(info: InputInfo, explained: bool) -> InputInfo:
    return InputInfo(info.name, info.dtype, info.shape, info.role, info.entries, explained)


def _describe(value: ir.Value) -> InputInfo:
    name, role = str(value.name), "other"
    entries: tuple[str, ...] = ()
    if value.dtype is not None and facts.is_float(value):
        role, entries = "float", (name,)
    elif facts.is_integer(value):
        embeddings, numbers = _embeddings(value)
        if embeddings:
            role, entries = "token", tuple(embeddings)
        elif numbers:
            role, entries = "number", tuple(numbers)
    return InputInfo(name, _dtype(value), facts.dims(value), role, entries)  # type: ignore[arg-type]


def _embeddings(value: ir.Value) -> tuple[list[str], list[str]]:
    """Follow integers to the embeddings (or one-hot rows) that they pick, and to floats they become."""
    embeddings: list[str] = []
    numbers: list[str] = []
    seen, stack = {value}, [value]
    while stack:
        current = stack.pop()
        for node, index in current.uses():
            if node.domain not in ("", "ai.onnx") or node.graph is not value.graph:
                continue
            output = node.outputs[0]
            if output in seen:
                continue
            if facts.is_float(output):
                picks = node.op_type in ("Gather", "GatherND") and index == 1
                if picks or (node.op_type == "OneHot" and index == 0):
                    embeddings.append(str(output.name))
                elif node.op_type == "Cast":
                    one_hot = current.dtype == ir.DataType.BOOL
                    (embeddings if one_hot else numbers).append(str(output.name))
            elif node.op_type == "Equal" and (facts.rank(output) or 0) > (facts.rank(value) or 0):
                seen.add(output)  # compared with all classes: one-hot rows, once they are floats
                stack.append(output)
            elif node.op_type in _INTEGER_MOVERS and facts.is_integer(output):
                seen.add(output)
                stack.append(output)
    return embeddings, numbers
