"""How many rows the tables have from which an input of integers picks."""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers

__all__ = ["table_rows"]

#: Operators that hand on every number they get, and no others.
_KEEPERS = movers(lacks=Is.DROPS | Is.FILLS)

#: What holds any row number; narrower ones wrap around.
_WIDE = frozenset({ir.DataType.INT32, ir.DataType.INT64})


def table_rows(value: ir.Value) -> int | None:
    """Return how many rows the smallest table has that the numbers of an input index as they are.

    None where no constant table is known.  Nodes in the bodies of control flow do not count, since they may
    never run.
    """
    smallest: int | None = None
    seen, stack = {value}, [value]
    while stack:
        for node, index in stack.pop().uses():
            if node.domain not in ("", "ai.onnx") or node.graph is not value.graph:
                continue
            if node.op_type == "Gather" and index == 1:
                rows = _rows(node)
                if rows is not None:
                    smallest = rows if smallest is None else min(smallest, rows)
            elif node.op_type in _KEEPERS and index == 0 and node.outputs[0].dtype in _WIDE:
                stack += [o for o in node.outputs if o not in seen]
                seen.update(node.outputs)
    return smallest


def _rows(gather: ir.Node) -> int | None:
    table = gather.inputs[0]
    if table is None or not facts.is_constant(table):
        return None
    shape, axis = facts.static_shape(table), facts.attr(gather, "axis", 0)
    assert isinstance(axis, int)
    return shape[axis] if shape and -len(shape) <= axis < len(shape) else None
