"""A model's inputs and outputs as its user sees them, and where each input can be explained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.positions import keeps_order
from onnxplain.graph.side_inputs import main_inputs
from onnxplain.graph.traits import Is, is_a, movers, traits
from onnxplain.graph.vocabulary import table_rows

__all__ = ["InputInfo", "OutputInfo", "inputs_of", "output_of", "outputs_of"]

#: float: explained as it is. token: integer, explained at its embedding. other: taken as given.
#: raw: varied as it is, whatever it is made of.
Role = Literal["float", "token", "number", "other", "raw"]

_MOVERS = movers()
_NARROW = frozenset({ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4})


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
    moved
        Those entries whose rows do not lie as the tokens do (time first, say).
    rows
        Rows of the table that its numbers index as they are, if that is known.
    data
        Whether it holds data, of whatever type, and does not stand beside them (masks, lengths, states).
    """

    name: str
    dtype: np.dtype[np.generic] | None
    shape: tuple[facts.Dim, ...] | None
    role: Role
    entries: tuple[str, ...]
    explained: bool = False
    moved: frozenset[str] = frozenset()
    rows: int | None = None
    data: bool = True

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
    return tuple(map(output_of, graph.outputs))


def output_of(value: ir.Value) -> OutputInfo:
    """Describe a value as an output."""
    return OutputInfo(str(value.name), _dtype(value), facts.dims(value))


def inputs_of(graph: ir.Graph) -> tuple[InputInfo, ...]:
    """Describe all inputs; floats are explained by default, tokens where there are no floats.

    Masks, lengths, states and other side inputs are explained by default only where there is nothing else.
    """
    data = main_inputs(list(graph.inputs))
    found = {v: replace(_describe(v), data=v in data) for v in graph.inputs}
    for role in ("float", "token", "number"):
        of_role = [v for v, info in found.items() if info.role == role]
        if of_role:
            main = main_inputs(of_role)
            return tuple(replace(info, explained=v in main) for v, info in found.items())
    return tuple(found.values())


def _describe(value: ir.Value) -> InputInfo:
    name = str(value.name)
    role: Role = "other"
    entries: tuple[str, ...] = ()
    if value.dtype is not None and facts.is_float(value):
        role, entries = "float", (name,)
    elif facts.is_integer(value):
        embeddings, numbers = _embeddings(value)
        if embeddings:
            role, entries = "token", tuple(embeddings)
        elif numbers:
            role, entries = "number", tuple(numbers)
    moved = frozenset() if role == "float" else _moved(value, entries)
    rows = table_rows(value) if facts.is_integer(value) else None
    return InputInfo(name, _dtype(value), facts.dims(value), role, entries, False, moved, rows)


def _moved(value: ir.Value, entries: tuple[str, ...]) -> frozenset[str]:
    values = {v.name: v for node in value.graph or () for v in node.outputs}
    return frozenset(e for e in entries if not keeps_order(value, values[e]))


def _embeddings(value: ir.Value) -> tuple[list[str], list[str]]:
    """Follow integers to the embeddings (or one-hot rows) that they pick, and to floats they become."""
    embeddings: list[str] = []
    numbers: list[str] = []
    seen, stack = {value}, [value]
    picked: set[ir.Value] = set()  # rows of a table of integers
    hot: set[ir.Value] = set()  # one-hot rows of integers
    while stack:
        current = stack.pop()
        for node, index in current.uses():
            if node.domain not in ("", "ai.onnx") or node.graph is not value.graph:
                continue
            output = node.outputs[0]
            if output in seen:
                continue
            picks = node.op_type in ("Gather", "GatherND") and index == 1
            if facts.is_float(output):
                if picks or (node.op_type == "OneHot" and index == 0):
                    embeddings.append(str(output.name))
                elif node.op_type == "Cast" and current in picked:
                    embeddings += [str(v.name) for v in _dequantized(output)]
                elif node.op_type == "Cast":
                    one_hot = current.dtype == ir.DataType.BOOL or current in hot
                    (embeddings if one_hot else numbers).append(str(output.name))
            elif node.op_type == "Equal" and (facts.rank(output) or 0) > (facts.rank(value) or 0):
                seen.add(output)  # compared with all classes: one-hot rows, once they are floats
                stack.append(output)
            elif node.op_type == "OneHot" and index == 0:
                seen.add(output)
                stack.append(output)
                hot.add(output)
            elif (picks or _hands_on(node, index)) and facts.is_integer(output):
                seen.add(output)
                stack.append(output)
                if current in picked or (picks and _is_table(node.inputs[0])):
                    picked.add(output)
    return list(dict.fromkeys(embeddings)), list(dict.fromkeys(numbers))


def _hands_on(node: ir.Node, index: int) -> bool:
    """Tell whether a node moves the elements of an input, or computes with each of them by itself."""
    row = traits(node)
    return row.holds(index) and bool(row.flags & (Is.MOVES | Is.ELEMENTWISE))


def _is_table(value: ir.Value | None) -> bool:
    """Tell whether a value holds the rows of a quantised embedding."""
    if value is None or not facts.is_constant(value) or value.dtype not in _NARROW:
        return False
    return (facts.rank(value) or 0) >= 2


def _dequantized(value: ir.Value) -> list[ir.Value]:
    """Return where rows of integers are real numbers: behind their offset and scale, wherever these stand."""
    if not _scaled_later(value):
        return [value]
    found: list[ir.Value] = []
    for node, index in value.uses():
        if is_a(node, Is.SHAPE_ONLY):
            continue
        if not (_scales(node, index) or (node.op_type in _MOVERS and index == 0)):
            return [value]  # somebody reads the integers
        found += [v for output in node.outputs for v in _dequantized(output)]
    return found


def _scaled_later(value: ir.Value) -> bool:
    return any(
        _scales(node, index)
        or (node.op_type in _MOVERS and index == 0 and any(map(_scaled_later, node.outputs)))
        for node, index in value.uses()
    )


def _scales(node: ir.Node, index: int) -> bool:
    return node.op_type in ("Sub", "Mul") and facts.is_constant(node.inputs[1 - index])
