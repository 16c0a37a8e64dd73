"""Names that are free."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["Names"]


class Names:
    """Names that graphs do not use yet (they may be what this package wrote); bodies in them do not count."""

    def __init__(self, *graphs: ir.Graph) -> None:
        self._taken: set[str] = set()
        for graph in graphs:
            values = [*graph.inputs, *graph.initializers.values(), *(o for n in graph for o in n.outputs)]
            self._taken |= {str(v.name) for v in values} | {str(n.name) for n in graph}

    def free(self, name: str) -> str:
        """Return a name like this one that is free, and take it."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def scope(self, name: str) -> str:
        """Return a prefix like this one that no name has."""
        while any(taken.startswith(f"{name}/") for taken in self._taken):
            name += "_"
        return name
