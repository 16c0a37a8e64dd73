"""Attributes of tree ensembles as arrays, checked, and the table of nodes that all operators become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnxplain.errors import InvalidModelError
from onnxplain.graph import facts

__all__ = ["Entries", "NodeTable", "broken", "equal_lengths", "floats", "integers"]


@dataclass(frozen=True, eq=False)
class Entries:
    """Numbers that belong to nodes, several to one: the node of each, and the numbers."""

    node: NDArray[np.int64]
    target: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NodeTable:
    """Nodes in any order, children by their place in it (-1 at leaves), before anything is followed.

    ``place(k)`` says in words where the model keeps node k.
    """

    mode: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    true_child: NDArray[np.int64]
    false_child: NDArray[np.int64]
    missing_true: NDArray[np.bool_]
    hitrates: NDArray[np.float64] | None
    roots: NDArray[np.int64]
    leaves: Entries
    members: Entries
    place: Callable[[int], str]


def broken(node: ir.Node, what: str) -> InvalidModelError:
    """Return the error for an ensemble that cannot be read."""
    return InvalidModelError(f"{facts.node_label(node)}: {what}; export the model again")


def integers(node: ir.Node, name: str) -> NDArray[np.int64]:
    """Return an attribute of several integers, empty if the node does not carry it."""
    return np.asarray(_numbers(node, name, "iub"), np.int64).ravel()


def floats(node: ir.Node, name: str) -> NDArray[np.float64]:
    """Return an attribute of several floats, from the tensor called the same if there is one.

    The widening from float32 is exact.
    """
    tensor = _numbers(node, f"{name}_as_tensor", "f")
    plain = _numbers(node, name, "f")
    if tensor.size and plain.size:
        raise broken(node, f"it carries both {name} and {name}_as_tensor")
    found = tensor if tensor.size else plain
    return np.asarray(found, np.float64).ravel()


def _numbers(node: ir.Node, name: str, kinds: str) -> NDArray[Any]:
    found = facts.attr(node, name, ())
    if isinstance(found, ir.TensorProtocol):
        array = found.numpy()
    elif isinstance(found, tuple):
        array = np.asarray(
            found, np.float32 if kinds == "f" and all(isinstance(v, float) for v in found) else None
        )
    else:
        raise broken(node, f"{name} is no list of numbers")
    if array.size and array.dtype.kind not in kinds:
        raise broken(node, f"{name} is no list of {'floats' if kinds == 'f' else 'integers'}")
    return array


def equal_lengths(node: ir.Node, prefix: str, **arrays: NDArray[Any]) -> None:
    """Raise InvalidModelError unless attributes that describe the same things have the same length."""
    sizes = {f"{prefix}{name}": array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise broken(node, f"{', '.join(f'{k} has {v} entries' for k, v in sizes.items())}")
