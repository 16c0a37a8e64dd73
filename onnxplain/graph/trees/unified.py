"""TreeEnsemble (ai.onnx.ml 5): inner nodes and leaves in lists of their own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnxplain.graph.trees.attributes import Entries, NodeTable, broken, equal_lengths, floats, integers
from onnxplain.kernels.ensemble import Mode

__all__ = ["unified_table"]


def unified_table(node: ir.Node, targets: int) -> NodeTable:
    """Read the nodes of ``node``; each mention of a leaf becomes a leaf of its own."""
    mode, feature = integers(node, "nodes_modes"), integers(node, "nodes_featureids")
    threshold, count = floats(node, "nodes_splits"), mode.size
    ids = [integers(node, "nodes_truenodeids"), integers(node, "nodes_falsenodeids")]
    ends = [integers(node, "nodes_trueleafs"), integers(node, "nodes_falseleafs")]
    equal_lengths(
        node, "nodes_", modes=mode, featureids=feature, splits=threshold, truenodeids=ids[0],
        falsenodeids=ids[1], trueleafs=ends[0], falseleafs=ends[1],
    )  # fmt: skip
    if not count:
        raise broken(node, "it has no nodes")
    wrong = np.flatnonzero((mode < Mode.LEQ) | (mode > Mode.MEMBER))
    if wrong.size:
        raise broken(
            node, f"nodes_modes has the unknown mode {mode[wrong[0]]}; known are 0 to {Mode.MEMBER:d}"
        )
    target, weight = integers(node, "leaf_targetids"), floats(node, "leaf_weights")
    equal_lengths(node, "leaf_", targetids=target, weights=weight)
    bad = np.flatnonzero((target < 0) | (target >= targets))
    if bad.size:
        raise broken(node, f"leaf_targetids has {target[bad[0]]}, but there are {targets} targets")
    if not np.isfinite(weight).all():
        raise broken(node, f"leaf_weights has {weight[~np.isfinite(weight)][0]}")
    children, mentioned = _children(node, ids, ends, count, weight.size)
    total, roots = count + mentioned.size, integers(node, "tree_roots")
    outside = np.flatnonzero((roots < 0) | (roots >= count))
    if outside.size or not roots.size:
        what = (
            f"tree_roots has {roots[outside[0]]}, which does not exist" if outside.size else "it has no trees"
        )
        raise broken(node, what)
    missing, hitrates = integers(node, "nodes_missing_value_tracks_true"), floats(node, "nodes_hitrates")
    for name, optional in (("missing_value_tracks_true", missing), ("hitrates", hitrates)):
        if optional.size:
            equal_lengths(node, "nodes_", modes=mode, **{name: optional})
    tail = mentioned.size
    return NodeTable(
        mode=np.concatenate([mode, np.full(tail, Mode.LEAF, np.int64)]),
        feature=np.concatenate([feature, np.zeros(tail, np.int64)]),
        threshold=np.concatenate([threshold, np.zeros(tail)]),
        true_child=np.concatenate([children[0], np.full(tail, -1)]),
        false_child=np.concatenate([children[1], np.full(tail, -1)]),
        missing_true=np.concatenate(
            [missing != 0 if missing.size else np.zeros(count, bool), np.zeros(tail, bool)]
        ),
        hitrates=None,  # of inner nodes only: they do not say how the data of the last ones was shared
        roots=roots,
        leaves=Entries(np.arange(count, total), target[mentioned], weight[mentioned]),
        members=_members(node, mode),
        place=lambda k: f"node {k}" if k < count else f"leaf {mentioned[k - count]}",
    )


def _children(
    node: ir.Node, ids: list[NDArray[np.int64]], ends: list[NDArray[np.int64]], count: int, leaves: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return the true and the false children, and which leaf each new node is."""
    children, mentioned, following = [], [], count
    for way, at, end in zip(("true", "false"), ids, ends, strict=True):
        limit = np.where(end != 0, leaves, count)
        wrong = np.flatnonzero((at < 0) | (at >= limit))
        if wrong.size:
            k = int(wrong[0])
            what = "leaf" if end[k] else "node"
            raise broken(node, f"the {way} child of node {k} is {what} {at[k]}, which does not exist")
        new, last = at.copy(), np.flatnonzero(end)
        new[last] = following + np.arange(last.size)
        following += last.size
        children.append(new)
        mentioned.append(at[last])
    return children, np.concatenate(mentioned)


def _members(node: ir.Node, mode: NDArray[np.int64]) -> Entries:
    """Read the sets, which NaN divides, in the order of the nodes that ask for them."""
    values, asking = floats(node, "membership_values"), np.flatnonzero(mode == Mode.MEMBER)
    divides = np.isnan(values)
    which = np.cumsum(divides) - divides
    sets = int(which[~divides].max(initial=-1)) + 1 if values.size else 0
    found = max(sets, int(divides.sum()))
    if found != asking.size:
        raise broken(node, f"membership_values has {found} sets for {asking.size} nodes that ask for one")
    owners = asking[which[~divides]]
    return Entries(owners, np.zeros(owners.size, np.int64), values[~divides])
