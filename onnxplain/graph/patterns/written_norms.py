"""Which nodes close a normalisation that an exporter wrote out: LayerNorm, RMSNorm, InstanceNorm...

``y = (x - mean x) / deviation(x)``, or without the mean, perhaps scaled and shifted, is written in many ways.
All have one form in terms of x and of its sums over the same axes
(:mod:`onnxplain.graph.patterns.statistics`): linear in x, multiplied by a statistic of degree -1.  Rules that
hold statistics constant take it for one node.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.patterns.statistics import Forms, reduced_axes
from onnxplain.graph.traits import Is, movers

__all__ = ["MOVERS", "WrittenNorm", "written_norms"]

#: They only move what is normalised.
MOVERS = movers(lacks=Is.REPEATS | Is.DROPS | Is.FILLS | Is.CASTS)


@dataclass(frozen=True, eq=False)
class WrittenNorm:
    """A normalisation in several nodes.

    Attributes
    ----------
    source
        The value x that is normalised.
    axes
        Axes of x over which its statistics are.
    statistics
        What counts as constant in it: deviation, variance, and whatever is made of them.
    tail
        The nodes that scale, shift and move the normalised value, in forward order.
    centred
        Whether a mean is taken off.  What takes none off has no shift in its tail.
    """

    source: ir.Value
    axes: tuple[int, ...]
    statistics: frozenset[ir.Value]
    tail: tuple[ir.Node, ...]
    centred: bool


def written_norms(
    nodes: Sequence[ir.Node], reached: Set[ir.Value], asked: Collection[ir.Value]
) -> dict[ir.Node, WrittenNorm]:
    """Find the nodes at which normalisations that are written out are complete.

    Parameters
    ----------
    nodes
        The nodes on the path, in forward order, of a graph in normal form.
    reached
        The values that depend on what is explained.
    asked
        Values beyond which none may reach: outputs, and what is asked for.

    Returns
    -------
    dict
        By closing node.  What scales and shifts the normalised value, and moves it between, is part of it.
    """
    order = {node: k for k, node in enumerate(nodes)}
    found: dict[ir.Node, WrittenNorm] = {}
    within: set[ir.Value] = set()  # what takes part in one is not the source of another without a mean
    for centred in (True, False):
        for x, axes in _candidates(nodes):
            if x not in reached or not facts.is_float(x) or (x in within and not centred):
                continue
            forms = _spread(Forms(x, axes, reached), nodes, order)
            closing = _first(forms, centred)
            if closing and centred:
                within.update(forms.of)
            for node in closing:
                tail = tuple(_tail(node, forms, order, asked))
                statistics = frozenset(v for v, form in forms.of.items() if form.statistic)
                found.setdefault(
                    [node, *tail][-1], WrittenNorm(x, tuple(sorted(axes)), statistics, tail, centred)
                )
    return found


def _candidates(nodes: Sequence[ir.Node]) -> dict[tuple[ir.Value, frozenset[int]], None]:
    """Return what is summed over which axes, and what is summed in squares."""
    found: dict[tuple[ir.Value, frozenset[int]], None] = {}
    for node in nodes:
        x, axes = node.inputs[0] if node.inputs else None, reduced_axes(node)
        if x is None or axes is None:
            continue
        found[x, axes] = None
        square = x.producer()
        base = square.inputs[0] if square is not None and square.op_type in ("Mul", "Pow") else None
        if base is not None:
            found[base, axes] = None
    return found


def _spread(forms: Forms, nodes: Sequence[ir.Node], order: dict[ir.Node, int]) -> Forms:
    """Find the forms of all that is made of a value."""
    waiting: list[int] = []
    seen: set[int] = set()

    def push(value: ir.Value) -> None:
        for user, _ in value.uses():
            k = order.get(user)
            if k is not None and k not in seen:
                seen.add(k)
                heapq.heappush(waiting, k)

    for value in list(forms.of):
        push(value)
    while waiting:
        node = nodes[heapq.heappop(waiting)]
        if forms.add(node):
            push(node.outputs[0])
    return forms


def _first(forms: Forms, centred: bool) -> list[ir.Node]:
    """Return the nodes that make something normalised, with or without a mean, of what is not."""
    made = {v: form.centred for v, form in forms.of.items() if form.normalised}
    if not centred and any(made.values()):
        return []
    done = {v for v, is_centred in made.items() if is_centred == centred}
    nodes = [v.producer() for v in done]
    return [node for node in nodes if node is not None and done.isdisjoint(node.inputs)]


def _tail(
    node: ir.Node, forms: Forms, order: dict[ir.Node, int], asked: Collection[ir.Value]
) -> list[ir.Node]:
    """Return what scales and shifts a normalised value that nobody else reads."""
    tail: list[ir.Node] = []
    length = 0
    while True:
        value = node.outputs[0]
        users = [use.node for use in value.uses()]
        if len(users) != 1 or value in asked or value.is_graph_output() or users[0] not in order:
            return tail[:length]
        form, after = forms.of[value], forms.of.get(users[0].outputs[0])
        ends = users[0].op_type in ("Add", "Sub") and (form.shifted or not form.centred)
        if after is None or not after.normalised or ends:
            return tail[:length]
        node = users[0]
        tail.append(node)
        if node.op_type not in MOVERS:
            length = len(tail)
