"""Random tree ensembles as ONNX nodes, and brute force over all coalitions."""

from __future__ import annotations

from itertools import chain, combinations
from math import comb
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper

from onnxplain.graph.trees import parse
from onnxplain.kernels import tree_numpy
from onnxplain.kernels.ensemble import Ensemble, Mode
from onnxplain.kernels.trees import predict

DOMAIN = "ai.onnx.ml"
REGRESSOR = "TreeEnsembleRegressor"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
#: Few values, so that columns hit thresholds, some of them no exact float32.
VALUES = np.array([0.0, 0.1, 0.2, 1 / 3, 0.5, 1.0, 2.0, 3.0])


def model_of(op: str, attrs: dict[str, Any], columns: int, dtype: Any = np.float32, opset: int = 3) -> Any:
    """Return a model of one node."""
    outputs = ["label", "y"] if op == "TreeEnsembleClassifier" else ["y"]
    attrs = {k: v for k, v in attrs.items() if not (isinstance(v, list) and not v)}
    node = helper.make_node(op, ["x"], outputs, name="forest", domain=DOMAIN, **attrs)
    x = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None, columns])
    graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name=name) for name in outputs])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def node_of(model: Any) -> ir.Node:
    """Return the only node."""
    return next(iter(ir.from_proto(model).graph))


def run(model: Any, X: Any) -> Any:
    """Return the scores that onnxruntime computes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": X})[0]


def rows(rng: np.random.Generator, count: int, columns: int, missing: float = 0.1) -> Any:
    """Draw rows of values that thresholds have, some of them missing."""
    X = rng.choice(VALUES, (count, columns))
    X[rng.random(X.shape) < missing] = np.nan
    return X


def random_nodes(rng: np.random.Generator, depth: int, columns: int, modes: Any) -> list[dict[str, Any]]:
    """Draw one tree: its nodes, a parent before its children."""
    nodes: list[dict[str, Any]] = [{"depth": 0}]
    for node in nodes:
        if node["depth"] == depth or (node["depth"] and rng.random() < 0.2):
            node["mode"] = "LEAF"
            continue
        node |= {
            "mode": rng.choice(modes), "feature": int(rng.integers(columns)), "value": rng.choice(VALUES),
            "missing": int(rng.integers(2)), "true": len(nodes), "false": len(nodes) + 1,
        }  # fmt: skip
        nodes += [{"depth": node["depth"] + 1}, {"depth": node["depth"] + 1}]
    return nodes


def classic(
    rng: np.random.Generator, op: str, *, trees: int = 3, depth: int = 4, columns: int = 4, targets: int = 1,
    double: bool = False, modes: Any = MODES, covers: bool = False, votes: Any = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Draw the attributes of a TreeEnsembleRegressor or -Classifier; leaves vote for all of ``votes``."""
    names = (
        "treeids nodeids featureids values modes truenodeids falsenodeids missing_value_tracks_true hitrates"
    )
    found: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names.split()}
    prefix = "class" if op == "TreeEnsembleClassifier" else "target"
    found |= {f"{prefix}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        nodes = random_nodes(rng, depth, columns, modes)
        for node in reversed(nodes):
            inner = node["mode"] != "LEAF"
            node["cover"] = (
                nodes[node["true"]]["cover"] + nodes[node["false"]]["cover"] if inner else rng.integers(1, 9)
            )
        for k, node in enumerate(nodes):
            values = [tree, k, node.get("feature", 0), float(node.get("value", 0.0)), str(node["mode"])]
            values += [
                node.get("true", 0),
                node.get("false", 0),
                node.get("missing", 0),
                float(node["cover"]),
            ]
            for name, value in zip(names.split(), values, strict=True):
                found[f"nodes_{name}"].append(value)
            for target in range(targets) if votes is None else votes:
                if node["mode"] == "LEAF":
                    entry = (tree, k, target, float(np.float32(rng.normal())))
                    for name, value in zip(("treeids", "nodeids", "ids", "weights"), entry, strict=True):
                        found[f"{prefix}_{name}"].append(value)
    if not covers:
        del found["nodes_hitrates"]
    if double:
        for name in ("nodes_values", f"{prefix}_weights"):
            values = found.pop(name)
            found[f"{name}_as_tensor"] = helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)
    if prefix == "target":
        return {**found, "n_targets": targets, **more}
    return {**found, "classlabels_int64s": list(range(targets)), **more}


def forest(rng: np.random.Generator, columns: int = 6, **more: Any) -> Ensemble:
    """Draw a regressor, as `classic` does."""
    attrs = classic(rng, REGRESSOR, columns=columns, **more)
    return parse(node_of(model_of(REGRESSOR, attrs, columns)))


def deep(rng: np.random.Generator, depth: int, columns: int) -> Ensemble:
    """One path of that depth that asks for all columns in turn, with a leaf at each node."""
    nodes = 2 * depth + 1
    inner = [k % 2 == 0 and k < nodes - 1 for k in range(nodes)]
    attrs = {
        "nodes_treeids": [0] * nodes, "nodes_nodeids": list(range(nodes)),
        "nodes_featureids": [k // 2 % columns for k in range(nodes)],
        "nodes_modes": ["BRANCH_LEQ" if i else "LEAF" for i in inner],
        "nodes_values": rng.normal(1.5, 0.3, nodes).tolist(),
        "nodes_truenodeids": [k + 2 if i else 0 for k, i in enumerate(inner)],
        "nodes_falsenodeids": [k + 1 if i else 0 for k, i in enumerate(inner)],
        "target_treeids": [0] * (depth + 1), "target_ids": [0] * (depth + 1), "n_targets": 1,
        "target_nodeids": [k for k, i in enumerate(inner) if not i],
        "target_weights": rng.normal(size=depth + 1).tolist(),
    }  # fmt: skip
    return parse(node_of(model_of(REGRESSOR, attrs, columns)))


def full_trees(
    trees: int, depth: int, columns: int, *, scores: int = 1, each_leaf: bool = False, different: int = 0,
    feature: Any = None,
) -> Ensemble:  # fmt: skip
    """Draw trees of which every leaf lies at that depth, as arrays.

    A leaf votes for all scores or a tree for one; only ``different`` trees (0: all) are not copies.
    """
    rng, size, kinds = np.random.default_rng(9), 2 ** (depth + 1) - 1, different or trees
    nodes = kinds * size
    first, at = np.repeat(np.arange(trees) * size, size), np.tile(np.arange(size), trees)
    inner = at < size // 2

    def drawn(values: Any, otherwise: Any) -> Any:
        return np.where(inner, np.tile(values, trees // kinds), otherwise)

    votes = scores if each_leaf else 1
    start = np.concatenate([[0], np.cumsum(np.where(inner, 0, votes))])
    one = np.repeat(np.arange(trees) % scores, size // 2 + 1)
    weights = rng.normal(size=kinds * (size // 2 + 1) * votes)
    found = drawn(rng.integers(0, columns, nodes), -1)
    ints = {
        "feature": found if feature is None else feature, "mode": np.where(inner, Mode.LEQ, Mode.LEAF),
        "true_child": np.where(inner, first + 2 * at + 1, -1),
        "false_child": np.where(inner, first + 2 * at + 2, -1),
        "member_start": np.zeros(inner.size + 1), "leaf_start": start,
        "leaf_target": np.tile(np.arange(scores), start[-1] // scores) if each_leaf else one,
        "roots": np.arange(trees) * size,
    }  # fmt: skip
    return Ensemble(
        "forest", **{name: np.asarray(v, np.int32) for name, v in ints.items()},
        threshold=drawn(rng.normal(size=nodes).astype(np.float32).astype(np.float64), 0.0),
        missing_true=drawn(rng.random(nodes) < 0.5, False), members=np.zeros(0),
        leaf_weight=np.tile(weights, trees // kinds), base=np.zeros(scores),
    )  # fmt: skip


def unified(
    rng: np.random.Generator, *, trees: int = 3, depth: int = 4, columns: int = 4, targets: int = 1,
    dtype: Any = np.float32, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Draw the attributes of a TreeEnsemble of version 5, with sets of members."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    table: dict[str, list[Any]] = {
        name: []
        for name in "featureids splits modes truenodeids falsenodeids trueleafs falseleafs missing".split()
    }
    roots, members, leaf_targets, leaf_weights = [], [], [], []
    for _ in range(trees):
        nodes = random_nodes(rng, depth, columns, [*MODES, "BRANCH_MEMBER"])
        inner = [k for k, node in enumerate(nodes) if node["mode"] != "LEAF"]
        first, place = len(table["modes"]), {}
        roots.append(first)
        for k, node in enumerate(nodes):
            if node["mode"] == "LEAF":
                place[k] = len(leaf_weights)
                leaf_targets.append(int(rng.integers(targets)))
                leaf_weights.append(float(rng.normal()))
        place |= {k: first + i for i, k in enumerate(inner)}
        for k in inner:
            node = nodes[k]
            mode = [*MODES, "BRANCH_MEMBER"].index(node["mode"])
            if mode == 6:
                members += [*rng.choice(VALUES, rng.integers(1, 4), replace=False).tolist(), np.nan]
            ends = [int(nodes[node[way]]["mode"] == "LEAF") for way in ("true", "false")]
            values = [node["feature"], node["value"], mode, place[node["true"]], place[node["false"]], *ends]
            for name, value in zip(table, [*values, node["missing"]], strict=True):
                table[name].append(value)

    def tensor(values: list[Any]) -> Any:
        return helper.make_tensor("t", kind, [len(values)], values)

    found: dict[str, Any] = {
        f"nodes_{name}": table[name]
        for name in ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
    }
    found |= {
        "nodes_splits": tensor(table["splits"]),
        "nodes_modes": helper.make_tensor("m", TensorProto.UINT8, [len(table["modes"])], table["modes"]),
        "nodes_missing_value_tracks_true": table["missing"],
        "tree_roots": roots, "leaf_targetids": leaf_targets, "leaf_weights": tensor(leaf_weights),
        "n_targets": targets,
    }  # fmt: skip
    if members:
        found["membership_values"] = tensor(members)
    return found | more


def with_sets(rng: np.random.Generator) -> Ensemble:
    """Draw a TreeEnsemble of version 5 for 6 columns, with two targets."""
    attrs = unified(rng, trees=5, depth=7, columns=6, targets=2)
    return parse(node_of(model_of("TreeEnsemble", attrs, 6, opset=5)))


def brute_force(game: Any, n: int, index: str = "shapley", order: int = 1) -> Any:
    """Shapley or Banzhaf values, or indices of interaction, of ``game(frozenset) -> array``."""
    worth = {
        s: game(s)
        for s in map(frozenset, chain.from_iterable(combinations(range(n), k) for k in range(n + 1)))
    }
    out = np.zeros((*(n,) * order, *np.shape(worth[frozenset()])))
    for team in combinations(range(n), order):
        rest = n - order
        for s in worth:
            if s.isdisjoint(team):
                weight = 1 / ((rest + 1) * comb(rest, len(s))) if index == "shapley" else 0.5**rest
                change = worth[s | set(team)] - worth[s | {team[0]}]
                if order == 2:
                    change = change - worth[s | {team[1]}] + worth[s]
                else:
                    change = worth[s | set(team)] - worth[s]
                out[team] += weight * change
                if order == 2:
                    out[team[::-1]] = out[team]
    return out


def interventional_game(ensemble: Ensemble, x: Any, background: Any, players: Any) -> Any:
    """Return the mean score: a coalition's columns from ``x``, the others from background rows."""

    def game(coalition: frozenset[int]) -> Any:
        mixed = np.where(np.isin(players, list(coalition)), x, background)
        return predict(ensemble.exact(), ensemble.columns(mixed)).mean(axis=0)

    return game


def path_game(ensemble: Ensemble, x: Any, covers: Any, players: Any) -> Any:
    """Return the score with both ways gone, by their covers, at nodes of absent players."""
    table = ensemble.columns(x[None])

    def below(k: int, coalition: frozenset[int]) -> Any:
        if ensemble.mode[k] == Mode.LEAF:
            found = np.zeros(ensemble.n_scores)
            for entry in range(ensemble.leaf_start[k], ensemble.leaf_start[k + 1]):
                found[ensemble.leaf_target[entry]] += ensemble.weights()[entry]
            return found
        ways = (int(ensemble.true_child[k]), int(ensemble.false_child[k]))
        if players[ensemble.feature[k]] in coalition:
            return below(ways[0] if tree_numpy.answers(ensemble, k, table)[0] else ways[1], coalition)
        whole = sum(covers[way] for way in ways)
        shares = [covers[way] / whole if whole else 0.5 for way in ways]
        return sum(share * below(way, coalition) for share, way in zip(shares, ways, strict=True))

    return lambda coalition: sum(below(root, coalition) for root in ensemble.roots.tolist())
