"""Where a gradient may be exactly 0 because something else was chosen, and a derivative infinite.

``Where(d > 0, n / d, 0)`` is a safe way to divide: where d is 0 the quotient is infinite, but nobody uses it.
Its gradient there is 0, not 0 times infinity.  The same goes for ``Max(Log(x), -10)``, or for an ELU that was
written ``Where(x > 0, x, exp(x) - 1)`` and overflows where it is not chosen; and for the scores that are not
explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, lookup
from onnxplain.graph.traits import Is, operators

__all__ = ["nothing_where_zero", "unchosen"]

#: Operators that choose between values, and let nothing back to what was not chosen.
_CHOOSERS = operators(Is.CHOOSES)
#: Operators whose result may be infinite, element by element.
_INFINITE = operators(Is.ELEMENTWISE, some=Is.POLE | Is.OVERFLOWS)
#: Operators whose derivative may be.
_STEEP = _INFINITE | operators(Is.STEEP)
#: Operators of the categories below that mix elements.
_MIXERS = operators(Is.BILINEAR, lacks=Is.ELEMENTWISE)
_ELEMENTWISE = (Category.ELEMENTWISE, Category.BILINEAR)
_PASSING = (*_ELEMENTWISE, Category.STRUCTURAL, Category.SUM)


def unchosen(nodes: Sequence[ir.Node], ends: Iterable[ir.Value] = ()) -> set[ir.Node]:
    """Find the nodes at which 0 times infinity may come up: chosen from behind them, with a pole inside.

    Parameters
    ----------
    nodes
        The nodes of a path, in forward order.
    ends
        Where the walk starts: of the scores there, one is chosen.
    """
    infinite: set[ir.Value] = set()
    for node in nodes:
        if node.op_type in _INFINITE or (_passes(node) and any(v in infinite for v in node.inputs)):
            infinite.update(node.outputs)
    choice = set(ends)
    found: set[ir.Node] = set()
    for node in reversed(nodes):
        behind = any(o in choice for o in node.outputs)
        elementwise = _passes(node) and _category(node) in _ELEMENTWISE
        if behind and elementwise and _multiplies_infinity(node, infinite):
            found.add(node)
        if node.op_type in _CHOOSERS or (behind and _passes(node)):
            choice.update(v for v in node.inputs if v is not None)
    return found


def nothing_where_zero(op: Emitter, part: Any, g: ir.Value) -> Any:
    """Return an entry of a node, 0 where nothing arrives at the node's output."""
    return op.Where(op.Equal(g, 0.0), 0.0, part)


def _multiplies_infinity(node: ir.Node, infinite: set[ir.Value]) -> bool:
    return node.op_type in _STEEP or any(v in infinite for v in node.inputs)


def _category(node: ir.Node) -> Category | None:
    row = lookup(node)
    return None if row is None else row.category


def _passes(node: ir.Node) -> bool:
    """Tell an operator that takes each element by itself, or moves it, from one that mixes them."""
    return _category(node) in _PASSING and node.op_type not in _MIXERS
