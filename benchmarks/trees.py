"""Shapley values of boosted trees beside shap's TreeExplainer: rows/s over trees, depth, rows, background.

    python benchmarks/trees.py --json benchmarks/results/trees.json

Needs scikit-learn, and shap for its rows.  The trees are scikit-learn's, written out here as one
TreeEnsembleRegressor.  shap, on one thread, is timed on as few rows as take a second, and rows/s are
compared, since its time is proportional to rows times background rows; ours runs on all threads.  It thins
out a background of more than 100 rows unless it is given as a masker, as here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper
from sklearn.ensemble import GradientBoostingRegressor
from timing import write_json

from onnxplain.graph.trees import Ensemble, parse
from onnxplain.kernels import trees

COLUMNS = 20
#: What is varied, one at a time, around the first of each.
GRID = {
    "trees": (100, 10, 300), "depth": (6, 3, 10), "rows": (10_000, 100, 1_000, 100_000),
    "background": (1_000, 100, 10_000),
}  # fmt: skip


def data(rows: int, seed: int) -> tuple[Any, Any]:
    """Draw a table, (rows, COLUMNS), and what is to be predicted."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    y = X[:, :8].sum(1) + X[:, 0] * X[:, 1] + np.sin(3 * X[:, 3]) + rng.normal(size=rows)
    return X, y


def exported(model: Any) -> Ensemble:
    """Write scikit-learn's trees as a node, and read it."""
    names = "treeids nodeids featureids values modes truenodeids falsenodeids hitrates"
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names.split()}
    leaves: dict[str, list[Any]] = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, estimator in enumerate(model.estimators_[:, 0]):
        tree = estimator.tree_
        leaf = tree.children_left < 0
        columns = (
            np.full(leaf.size, number), np.arange(leaf.size), np.where(leaf, 0, tree.feature), tree.threshold,
            np.where(leaf, "LEAF", "BRANCH_LEQ"), np.where(leaf, 0, tree.children_left),
            np.where(leaf, 0, tree.children_right), tree.weighted_n_node_samples,
        )  # fmt: skip
        for name, column in zip(nodes, columns, strict=True):
            nodes[name] += column.tolist()
        at = np.flatnonzero(leaf)
        weights = tree.value[at, 0, 0] * model.learning_rate
        for name, column in zip(
            leaves, (np.full(at.size, number), at, np.zeros(at.size, int), weights), strict=True
        ):
            leaves[name] += column.tolist()
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **nodes, **leaves
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, COLUMNS])
    graph = helper.make_graph([node], "g", [x], [])
    return parse(next(iter(ir.from_proto(helper.make_model(graph)).graph)))


def seconds(call: Callable[[], Any], rounds: int = 2) -> float:
    """Time a call; the best round counts."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best


def shap_rate(model: Any, X: Any, background: Any, found: Any) -> float:
    """Rows/s of shap on as many rows as take a second; its values must be ours."""
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.TreeExplainer(model, masker, feature_perturbation="interventional")
    rows, taken = 1, 0.0
    while taken < 1.0 and rows <= len(X):
        begin = time.perf_counter()
        values = explainer.shap_values(X[:rows], check_additivity=False)
        taken = time.perf_counter() - begin
        np.testing.assert_allclose(values, found[:rows, :, 0], rtol=0, atol=1e-4)
        rate = rows / taken
        rows = max(2 * rows, min(int(1.3 * rate), len(X)))
    return rate


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-shap", action="store_true")
    options = parser.parse_args()
    first = {name: values[0] for name, values in GRID.items()}
    cases = [first] + [first | {name: value} for name, values in GRID.items() for value in values[1:]]
    X, _ = data(max(GRID["rows"]), 1)
    background, _ = data(max(GRID["background"]), 2)
    models: dict[tuple[int, int], Any] = {}
    rows: list[dict[str, Any]] = []
    print(f"{'':44}{'seconds':>10}{'rows/s':>10}{'shap, rows/s':>14}{'ratio':>8}{'covers, rows/s':>16}")
    for case in cases:
        key = (case["trees"], case["depth"])
        if key not in models:
            models[key] = GradientBoostingRegressor(
                n_estimators=key[0], max_depth=key[1], max_features=0.5, subsample=0.5, random_state=0
            ).fit(*data(10_000, 0))
        ensemble = exported(models[key])
        x, b = X[: case["rows"]], background[: case["background"]]
        took = seconds(lambda: trees.interventional(ensemble, x, b))  # noqa: B023
        by_covers = case["rows"] / seconds(lambda: trees.path_dependent(ensemble, x))  # noqa: B023
        row = {**case, "seconds": took, "rows_per_second": case["rows"] / took, "covers": by_covers}
        if not options.without_shap:
            peer = shap_rate(models[key], x, b, trees.interventional(ensemble, x[:2000], b))
            row |= {"shap": peer, "ratio": row["rows_per_second"] / peer}
        rows.append(row)
        title = ", ".join(f"{name} {value:,}" for name, value in case.items())
        print(
            f"{title:44}{took:10.2f}{row['rows_per_second']:10.0f}{row.get('shap', np.nan):14.2f}"
            f"{row.get('ratio', np.nan):8.0f}{by_covers:16.0f}",
            flush=True,
        )
    write_json(options.json, rows)


if __name__ == "__main__":
    sys.exit(main())
