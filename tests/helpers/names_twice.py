"""Names that a value in a body has, and another value around it."""

from __future__ import annotations

from pathlib import Path

import onnx

__all__ = ["names_twice"]


def names_twice(path: Path) -> set[str]:
    """Return the names that a file gives twice where both values can be seen."""
    return _twice(onnx.load(path, load_external_data=False).graph, frozenset())


def _twice(graph: onnx.GraphProto, around: frozenset[str]) -> set[str]:
    made = [o for n in graph.node for o in n.output if o]
    taken = {i.name for i in graph.input}
    held = {i.name for i in graph.initializer} - taken
    own = {*made, *taken, *held}
    found = own & around | ({n for n in made if made.count(n) > 1} if len(set(made)) < len(made) else set())
    found |= set(made) & (taken | held)
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                found |= _twice(body, around | own)
    return found
