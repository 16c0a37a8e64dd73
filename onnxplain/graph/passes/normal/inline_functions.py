"""Replace calls of a model's own functions by their bodies, in time that grows with what comes out.

A few functions that each call the one before twice are a file of a kilobyte and a graph of millions of nodes;
how many nodes will come out is counted first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.errors import InvalidModelError

__all__ = ["MOST_NODES", "InlineFunctions", "check_functions"]

#: The most nodes that calls of functions may become, beyond a multiple of those in the file.
MOST_NODES = 50_000
_TIMES = 20


class InlineFunctions(common.InlinePass):
    """onnx_ir's pass without its search for free names.

    That search tries ``name_2``, ``name_3``... for each copy of a body; here the body itself takes names that
    are free before it is copied.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, int] = {}
        self._names: dict[ir.Node | ir.Value, str] = {}

    def call(self, model: ir.Model) -> Any:
        """Inline all calls, in the model's versions: onnx.checker refuses operators that changed between."""
        imports = model.graph.opset_imports
        for function in model.functions.values():
            held = function.opset_imports
            held.update({domain: imports.get(domain, version) for domain, version in held.items()})
        return super().call(model)

    def _instantiate_call(self, node: ir.Node, call_site_id: str) -> Any:
        for inner in self._functions[node.op_identifier()].all_nodes():
            inner.name = self._free(inner, inner.name or "node", self._used_node_names)
            for output in inner.outputs:
                output.name = self._free(output, output.name or "val", self._used_value_names)
        return super()._instantiate_call(node, call_site_id)

    def _free(self, item: ir.Node | ir.Value, name: str, used: set[str]) -> str:
        base = self._names.setdefault(item, name)
        if base not in used:
            return base
        count = self._last.get(base, 1) + 1
        while f"{base}_{count}" in used:
            count += 1
        self._last[base] = count
        return f"{base}_{count}"


def check_functions(model: ir.Model) -> None:
    """Count the nodes that will be there, without making them.

    Raises
    ------
    InvalidModelError
        If a function calls itself, or there would be too many nodes.
    """
    counts: dict[ir.OperatorIdentifier, int] = {}
    pending: dict[ir.OperatorIdentifier, None] = {}

    def size(nodes: Iterable[ir.Node]) -> int:
        total = 0
        for node in nodes:
            key = node.op_identifier()
            total += of_function(key) if key in model.functions else 1
        return total

    def of_function(key: ir.OperatorIdentifier) -> int:
        if key in pending:
            raise InvalidModelError(f"function '{_spelled(key)}' calls itself; export the model again")
        if key not in counts:
            pending[key] = None
            counts[key] = size(model.functions[key].all_nodes())
            pending.pop(key)
        return counts[key]

    written = sum(1 for f in model.functions.values() for _ in f.all_nodes())
    written += sum(1 for _ in model.graph.all_nodes())
    total = size(model.graph.all_nodes())
    for key in model.functions:
        of_function(key)
    if total > MOST_NODES + _TIMES * written:
        raise InvalidModelError(
            f"the functions of the model call each other so often that its {written} nodes would become "
            f"{total}; {MOST_NODES + _TIMES * written} are read at most: export it without functions"
        )


def _spelled(key: ir.OperatorIdentifier) -> str:
    return "::".join(part for part in key if part)
