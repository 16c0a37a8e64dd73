"""TreeEnsembleRegressor and TreeEnsembleClassifier: nodes are named by a tree's number and their own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnxplain.graph import facts
from onnxplain.graph.trees.attributes import Entries, NodeTable, broken, equal_lengths, floats, integers
from onnxplain.kernels.ensemble import Mode

__all__ = ["classic_table"]

_MODES: dict[object, Mode] = {
    f"BRANCH_{mode.name}": mode for mode in Mode if mode not in (Mode.LEAF, Mode.MEMBER)
}
_MODES["LEAF"] = Mode.LEAF


def classic_table(node: ir.Node, targets: int) -> NodeTable:
    """Read the nodes of ``node``, whose leaves vote for targets below ``targets``."""
    tree, number = integers(node, "nodes_treeids"), integers(node, "nodes_nodeids")
    mode, feature = _modes(node), integers(node, "nodes_featureids")
    true_id, false_id = integers(node, "nodes_truenodeids"), integers(node, "nodes_falsenodeids")
    threshold = floats(node, "nodes_values")
    equal_lengths(
        node, "nodes_", treeids=tree, nodeids=number, modes=mode, featureids=feature,
        truenodeids=true_id, falsenodeids=false_id, values=threshold,
    )  # fmt: skip
    if not tree.size:
        raise broken(node, "it has no nodes")
    missing = integers(node, "nodes_missing_value_tracks_true")
    hitrates = floats(node, "nodes_hitrates")
    for name, optional in (("missing_value_tracks_true", missing), ("hitrates", hitrates)):
        if optional.size:
            equal_lengths(node, "nodes_", treeids=tree, **{name: optional})
    names = _Names(node, tree, number)
    inner = mode != Mode.LEAF
    absent = np.full(tree.size, -1)
    children = {}
    for way, ids in (("true", true_id), ("false", false_id)):
        children[way] = absent.copy()
        children[way][inner] = names.find(tree[inner], ids[inner], f"a {way} child")
    return NodeTable(
        mode=mode,
        feature=feature,
        threshold=threshold,
        true_child=children["true"],
        false_child=children["false"],
        missing_true=missing.astype(bool) if missing.size else np.zeros(tree.size, bool),
        hitrates=hitrates if hitrates.size else None,
        roots=np.flatnonzero(np.diff(tree, prepend=tree[0] - 1)),
        leaves=_votes(node, names, mode, threshold, targets),
        members=Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)),
        place=names.place,
    )


class _Names:
    """Where the node called (tree, number) lies."""

    def __init__(self, node: ir.Node, tree: NDArray[np.int64], number: NDArray[np.int64]) -> None:
        self.node, self.tree, self.number = node, tree, number
        self.trees, self.numbers = np.unique(tree), np.unique(number)
        keys = self._key(tree, number)
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]
        twice = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if twice.size:
            raise broken(node, f"{self.place(int(self.order[twice[0]]))} appears twice")

    def place(self, k: int) -> str:
        return f"node {self.number[k]} of tree {self.tree[k]}"

    def _key(self, tree: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return one whole number for each node's two, -1 where one of them is no node's."""
        first, second = np.searchsorted(self.trees, tree), np.searchsorted(self.numbers, number)
        known = (first < self.trees.size) & (second < self.numbers.size)
        known[known] &= (self.trees[first[known]] == tree[known]) & (
            self.numbers[second[known]] == number[known]
        )
        return np.where(known, first * self.numbers.size + second, -1)

    def find(self, tree: NDArray[np.int64], number: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        """Return the places of nodes, or raise InvalidModelError for one that does not exist."""
        wanted = self._key(tree, number)
        at = np.minimum(np.searchsorted(self.keys, wanted), self.keys.size - 1)
        wrong = np.flatnonzero(self.keys[at] != wanted)
        if wrong.size:
            k = int(wrong[0])
            raise broken(self.node, f"{what} in tree {tree[k]} is node {number[k]}, which does not exist")
        return np.asarray(self.order[at])


def _modes(node: ir.Node) -> NDArray[np.int64]:
    texts = facts.attr(node, "nodes_modes", ())
    if not isinstance(texts, tuple):
        raise broken(node, "nodes_modes is no list of texts")
    found = {text: _MODES.get(text) for text in set(texts)}
    unknown = sorted(str(text) for text, mode in found.items() if mode is None)
    if unknown:
        raise broken(
            node, f"nodes_modes has the unknown mode '{unknown[0]}'; known are {', '.join(map(str, _MODES))}"
        )
    return np.asarray([found[text] for text in texts], np.int64)


def _votes(
    node: ir.Node, names: _Names, mode: NDArray[np.int64], threshold: NDArray[np.float64], targets: int
) -> Entries:
    """Read the leaves' weights, as onnxruntime counts them.

    Weights at inner nodes count nothing.  Where there is one target, a leaf's first weight is its only one,
    and a leaf without one has its entry of ``nodes_values``.
    """
    prefix = "class_" if node.op_type == "TreeEnsembleClassifier" else "target_"
    tree, number = integers(node, f"{prefix}treeids"), integers(node, f"{prefix}nodeids")
    target, weight = integers(node, f"{prefix}ids"), floats(node, f"{prefix}weights")
    equal_lengths(node, prefix, treeids=tree, nodeids=number, ids=target, weights=weight)
    wrong = np.flatnonzero((target < 0) | (target >= targets))
    if wrong.size:
        raise broken(node, f"{prefix}ids has {target[wrong[0]]}, but there are {targets} {prefix[:-1]}s")
    at = names.find(tree, number, f"the place of a weight ({prefix}nodeids)")
    keep = mode[at] == Mode.LEAF
    at, target, weight = at[keep], target[keep], weight[keep]
    if targets == 1:
        _, first = np.unique(at, return_index=True)
        at, target, weight = at[first], target[first], weight[first]
        bare = np.setdiff1d(np.flatnonzero(mode == Mode.LEAF), at)
        at, weight = np.concatenate([at, bare]), np.concatenate([weight, threshold[bare]])
        target = np.zeros(at.size, np.int64)
    if not np.isfinite(weight).all():
        k = int(np.flatnonzero(~np.isfinite(weight))[0])
        raise broken(node, f"the weight of {names.place(int(at[k]))} is {weight[k]}")
    return Entries(at, target, weight)
