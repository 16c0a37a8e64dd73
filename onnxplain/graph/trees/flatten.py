"""From a table of nodes to trees: circles are refused, chains of comparisons merged, shared nodes copied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnxplain.graph.trees.attributes import Entries, NodeTable, broken
from onnxplain.kernels.ensemble import Mode

__all__ = ["flatten"]

#: How many times larger an ensemble may get by copying nodes that several others lead to.
_GROWTH = 64


def flatten(node: ir.Node, table: NodeTable) -> dict[str, Any]:
    """Return the arrays of an `Ensemble` that describe the nodes, parents before children."""
    _check(node, table)
    parents = np.bincount(np.concatenate([c[c >= 0] for c in (table.true_child, table.false_child)]),
                          minlength=table.mode.size)  # fmt: skip
    parents[table.roots] += 1
    if parents.max() > 1:
        table = _unshared(node, table)
    order = _order(table)
    new = np.full(table.mode.size + 1, -1)
    new[order] = np.arange(order.size)  # new[-1] stays -1: no child
    leaf = table.mode[order] == Mode.LEAF
    hitrates = table.hitrates
    return {
        "feature": np.where(leaf, -1, table.feature[order]).astype(np.int32),
        "mode": table.mode[order].astype(np.int32),
        "threshold": np.where(leaf, 0.0, table.threshold[order]),
        "true_child": new[table.true_child[order]].astype(np.int32),
        "false_child": new[table.false_child[order]].astype(np.int32),
        "missing_true": table.missing_true[order] & ~leaf,
        "roots": new[table.roots].astype(np.int32),
        "covers": None if hitrates is None else _covers(table, hitrates, order),
        **_grouped(table, table.members, new, order.size, "member"),
        **_grouped(table, table.leaves, new, order.size, "leaf"),
    }


def _check(node: ir.Node, table: NodeTable) -> None:
    inner = table.mode != Mode.LEAF
    lost = np.flatnonzero(inner & np.isnan(table.threshold) & (table.mode != Mode.MEMBER))
    if lost.size:
        raise broken(node, f"the threshold of {table.place(int(lost[0]))} is NaN")
    wrong = np.flatnonzero(inner & ((table.feature < 0) | (table.feature > np.iinfo(np.int32).max - 1)))
    if wrong.size:
        k = int(wrong[0])
        raise broken(node, f"{table.place(k)} asks for column {table.feature[k]}, which does not exist")
    if table.mode.size > np.iinfo(np.int32).max // 2 or table.leaves.value.size > np.iinfo(np.int32).max:
        raise broken(node, f"{table.mode.size} nodes are more than can be numbered")


def _order(table: NodeTable) -> NDArray[np.int64]:
    """Return the nodes that a root leads to, tree by tree, each before its children."""
    found = np.empty(table.mode.size, np.int64)
    true, false, size = table.true_child.tolist(), table.false_child.tolist(), 0
    stack = table.roots[::-1].tolist()
    while stack:
        k = stack.pop()
        found[size] = k
        size += 1
        if true[k] >= 0:
            stack += (false[k], true[k])
    return found[:size]


def _unshared(node: ir.Node, table: NodeTable) -> NodeTable:
    """Return a table in which every node has one parent, or is a root."""
    _refuse_circles(node, table)
    table = _merged(table)
    true, false = table.true_child.tolist(), table.false_child.tolist()
    source: list[int] = table.roots.tolist()
    new_true: list[int] = []
    new_false: list[int] = []
    k, limit = 0, _GROWTH * table.mode.size
    while k < len(source):
        old = source[k]
        for child, new in ((true[old], new_true), (false[old], new_false)):
            new.append(len(source) if child >= 0 else -1)
            source += [child] if child >= 0 else []
        if len(source) > limit:
            raise broken(node, f"{table.place(old)} and others are reached in more ways than can be followed")
        k += 1
    at, place = np.asarray(source), table.place
    hitrates = None if table.hitrates is None else table.hitrates[at]
    return NodeTable(
        mode=table.mode[at], feature=table.feature[at], threshold=table.threshold[at],
        true_child=np.asarray(new_true), false_child=np.asarray(new_false),
        missing_true=table.missing_true[at], hitrates=hitrates, roots=np.arange(table.roots.size),
        leaves=_copied(table.leaves, at), members=_copied(table.members, at),
        place=lambda k: place(int(at[k])),
    )  # fmt: skip


def _refuse_circles(node: ir.Node, table: NodeTable) -> None:
    true, false, state = table.true_child.tolist(), table.false_child.tolist(), [0] * table.mode.size
    for root in table.roots.tolist():
        stack = [(root, False)]
        while stack:
            k, left = stack.pop()
            if left:
                state[k] = 2
            elif state[k] == 1:
                raise broken(node, f"{table.place(k)} leads to itself: its children run in a circle")
            elif not state[k]:
                state[k] = 1
                stack.append((k, True))
                stack += [(child, False) for child in (true[k], false[k]) if child >= 0 and state[child] != 2]


def _merged(table: NodeTable) -> NodeTable:
    """Ask once for membership where nodes ask one after the other for single values and lead to one node."""
    false, mode = table.false_child.copy(), table.mode.copy()
    owners: list[int] = []
    values: list[float] = []

    def continues(k: int, after: int) -> bool:
        return bool(
            table.mode[after] == Mode.EQ
            and table.feature[after] == table.feature[k]
            and table.true_child[after] == table.true_child[k]
            and table.missing_true[after] == table.missing_true[k]
        )

    for k in np.flatnonzero(table.mode == Mode.EQ).tolist():
        chain, after = [float(table.threshold[k])], int(false[k])
        while continues(k, after):
            chain.append(float(table.threshold[after]))
            after = int(table.false_child[after])
        if len(chain) > 1:
            mode[k], false[k] = Mode.MEMBER, after
            owners += [k] * len(chain)
            values += chain
    more = table.members
    return replace(
        table, mode=mode, false_child=false,
        members=Entries(np.concatenate([more.node, np.asarray(owners, np.int64)]),
                        np.zeros(more.node.size + len(owners), np.int64),
                        np.concatenate([more.value, np.asarray(values)])),
    )  # fmt: skip


def _copied(entries: Entries, source: NDArray[np.int64]) -> Entries:
    """Give each copy of a node the entries of its original."""
    order = np.argsort(entries.node, kind="stable")
    low = np.searchsorted(entries.node[order], source, "left")
    sizes = np.searchsorted(entries.node[order], source, "right") - low
    owner = np.repeat(np.arange(source.size), sizes)
    offset = np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = order[np.repeat(low, sizes) + offset]
    return Entries(owner, entries.target[at], entries.value[at])


def _grouped(
    table: NodeTable, entries: Entries, new: NDArray[np.int64], count: int, kind: str
) -> dict[str, NDArray[Any]]:
    """Return entries in the order of the nodes, and where those of each node begin; equal ones are added."""
    at = new[entries.node]
    keep = np.flatnonzero(at >= 0)
    second = entries.value[keep] if kind == "member" else entries.target[keep]
    order = keep[np.lexsort((second, at[keep]))]
    owner, target, value = at[order], entries.target[order], entries.value[order]
    if kind == "leaf" and order.size:
        first = np.flatnonzero(np.diff(owner, prepend=-1) | np.diff(target, prepend=-1))
        owner, target, value = owner[first], target[first], np.add.reduceat(value, first)
    start = np.searchsorted(owner, np.arange(count + 1)).astype(np.int32)
    if kind == "member":
        return {"member_start": start, "members": value}
    return {"leaf_start": start, "leaf_target": target.astype(np.int32), "leaf_weight": value}


def _covers(
    table: NodeTable, hitrates: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the hitrates if they are what reached the nodes: positive, and what the children's add up to."""
    inner = order[table.mode[order] != Mode.LEAF]
    parts = hitrates[table.true_child[inner]] + hitrates[table.false_child[inner]]
    whole = hitrates[inner]
    fits = np.isfinite(hitrates[order]).all() and (hitrates[order] > 0).all()
    return hitrates[order] if fits and np.allclose(parts, whole, rtol=1e-4, atol=0.0) and inner.size else None
