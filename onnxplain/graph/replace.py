"""Letting one value stand in another's place."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["take_place"]


def take_place(old: ir.Value, new: ir.Value) -> None:
    """Let a new value stand for an old one everywhere: for its users, as an output, under its name.

    Parameters
    ----------
    old
        The value that goes; it has no users and no name afterwards.
    new
        What a node makes in its place; it gets the old one's dtype and shape too, where these are known.
    """
    name, dtype, shape = old.name, old.type, old.shape
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name = None
    new.name, new.type, new.shape = name, dtype or new.type, new.shape if shape is None else shape
