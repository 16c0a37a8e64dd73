"""Shapley values of boosted trees beside shap and woodelf: rows/s over trees, depth, rows and background.

    python benchmarks/trees.py --json benchmarks/results/trees.json

Needs scikit-learn, and shap and woodelf-explainer (with pandas) for their columns.  The trees are
scikit-learn's, written out here as one TreeEnsembleRegressor.  shap, on one thread, is timed on as few rows
as take a second, and rows/s are compared, since its time is proportional to rows times background rows; it
thins out a background of more than 100 rows unless it is given as a masker, as here.  woodelf is timed once
on all rows, its model loaded before, where it is expected to take less than ``PATIENCE``.  Ours runs on all
threads.  Each row is printed as it is measured; after ``--minutes`` what is left is left out, and named.
(treeshap is not among them: it has no wheels, and builds from crates.)

At the end, growth: the exponent ``log(t2 / t1) / log(v2 / v1)`` of the processor time between neighbours; for
depth, over the leaves that there are.  The kernel says ``O(leaves (rows k + background + pairs))`` for k
players on a path and at most ``3^k`` pairs: 1 for trees, at most 1 for rows and background, and for full
trees at most ``log2(6)`` for leaves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper
from sklearn.ensemble import GradientBoostingRegressor
from timing import write_json

from onnxplain.graph.trees import Ensemble, parse
from onnxplain.kernels import trees
from onnxplain.kernels.ensemble import Mode

COLUMNS = 20
#: What is varied, one at a time, around the first of each.
GRID = {
    "rows": (1_000, 100, 10_000, 30_000), "trees": (100, 10, 30, 300), "depth": (6, 2, 4, 8, 10),
    "background": (1_000, 10, 100, 10_000, 100_000),
}  # fmt: skip
#: Seconds that woodelf may take for a row of the table.
PATIENCE = 60.0


def data(rows: int, seed: int) -> tuple[Any, Any]:
    """Draw a table, (rows, COLUMNS), and what is to be predicted."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    y = X[:, :8].sum(1) + X[:, 0] * X[:, 1] + np.sin(3 * X[:, 3]) + rng.normal(size=rows)
    return X, y


@cache
def trained(count: int, depth: int) -> Any:
    """Train trees; fewer of a depth are the first of many."""
    model = GradientBoostingRegressor(
        n_estimators=count, max_depth=depth, max_features=0.5, subsample=0.5, random_state=0
    )
    return model.fit(*data(5_000, 0))


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


def seconds(call: Callable[[], Any], rounds: int = 3) -> tuple[float, float]:
    """Time a call, by the clock and by the processors; the best round counts."""
    wall, cpu = float("inf"), float("inf")
    for _ in range(rounds):
        begin, busy = time.perf_counter(), time.process_time()
        call()
        wall, cpu = min(wall, time.perf_counter() - begin), min(cpu, time.process_time() - busy)
        if wall > 1.0:
            break
    return wall, cpu


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


def woodelf_rate(model: Any, X: Any, background: Any, found: Any) -> float:
    """Rows/s of woodelf on all rows; its values must be ours."""
    import pandas as pd
    import woodelf

    names = [f"c{k}" for k in range(COLUMNS)]
    x, b = (pd.DataFrame(rows, columns=names) for rows in (X, background))
    explainer = woodelf.WoodelfExplainer(model, b, feature_perturbation="interventional")
    begin = time.perf_counter()
    values = explainer.shap_values(x, verbose=False)
    taken = time.perf_counter() - begin
    np.testing.assert_allclose(values[: len(found)], found[..., 0], rtol=0, atol=1e-4)
    return len(X) / taken


class Table:
    """Measures row by row, and prints."""

    def __init__(self, peers: set[str]) -> None:
        self.peers = peers
        self.rows: list[dict[str, Any]] = []
        self.slower = 0.0  # woodelf, than ours
        print(f"{'trees  depth    rows  backgr.  leaves':40}{'seconds':>9}{'rows/s':>9}{'by covers':>11}"
              f"{'shap':>9}{'ratio':>7}{'woodelf':>10}{'ratio':>7}")  # fmt: skip

    def measure(self, case: dict[str, int]) -> None:
        """Measure ours, and the peers that are there."""
        model = trained(
            GRID["trees"][-1] if case["depth"] == GRID["depth"][0] else case["trees"], case["depth"]
        )
        model = first_trees(model, case["trees"])
        ensemble = exported(model)
        X, background = data(case["rows"], 1)[0], data(case["background"], 2)[0]
        took, busy = seconds(lambda: trees.interventional(ensemble, X, background))
        covers, _ = seconds(lambda: trees.path_dependent(ensemble, X), 1)
        leaves = int((ensemble.mode == Mode.LEAF).sum())
        row: dict[str, Any] = {**case, "leaves": leaves, "seconds": took, "processor_seconds": busy}
        row |= {"rows_per_second": case["rows"] / took, "by_covers": case["rows"] / covers}
        found = trees.interventional(ensemble, X[:2000], background)
        if "shap" in self.peers:
            row["shap"] = shap_rate(model, X, background, found)
        if "woodelf" in self.peers and self.slower * took < PATIENCE:
            row["woodelf"] = woodelf_rate(model, X, background, found)
            self.slower = row["rows_per_second"] / row["woodelf"]
        self.rows.append(row)
        self.show(row)

    def show(self, row: dict[str, Any]) -> None:
        """Print a row."""
        text = "{trees:5}{depth:7}{rows:8}{background:9}{leaves:8}".format(**row)
        text = f"{text:40}{row['seconds']:9.3f}{row['rows_per_second']:9.0f}{row['by_covers']:11.0f}"
        for peer, width in (("shap", 9), ("woodelf", 10)):
            rate = row.get(peer)
            text += f"{'-':>{width}}{'':7}" if rate is None else (
                f"{rate:{width}.1f}{row['rows_per_second'] / rate:7.0f}"
            )  # fmt: skip
        print(text, flush=True)

    def growth(self) -> dict[str, list[dict[str, float]]]:
        """Print how the processor time grows with each size, the others as in the first row."""
        found: dict[str, list[dict[str, float]]] = {}
        print("\ngrowth of the processor time")
        for name in GRID:
            others = [{k: v for k, v in row.items() if k in GRID and k != name} for row in self.rows]
            rows = [row for row, rest in zip(self.rows, others, strict=True) if rest == others[0]]
            rows = sorted(rows, key=lambda row: row[name])
            size = "leaves" if name == "depth" else name
            found[name] = [
                {"from": low[name], "to": high[name],
                 "exponent": log(high["processor_seconds"] / low["processor_seconds"])
                 / log(high[size] / low[size])}
                for low, high in pairwise(rows)
            ]  # fmt: skip
            what = "depth (exponent over leaves)" if name == "depth" else name
            steps = (f"{s['from']} to {s['to']}: {s['exponent']:.2f}" for s in found[name])
            print(f"{what:30}", ", ".join(steps), flush=True)
        return found


def first_trees(model: Any, count: int) -> Any:
    """Return a model of the first trees."""
    fewer = GradientBoostingRegressor()
    fewer.__dict__ |= model.__dict__
    fewer.estimators_ = model.estimators_[:count]
    fewer.n_estimators = fewer.n_estimators_ = count
    return fewer


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["shap", "woodelf"], help="peers left out"
    )
    parser.add_argument("--minutes", type=float, default=4.0, help="begin nothing after that")
    options = parser.parse_args()
    begin = time.perf_counter()
    peers = {name for name in ("shap", "woodelf") if name not in options.without and there(name)}
    first = {name: values[0] for name, values in GRID.items()}
    cases = [first] + [first | {name: value} for name, values in GRID.items() for value in values[1:]]
    table = Table(peers)
    for case in cases:
        if time.perf_counter() - begin > 60 * options.minutes:
            print("left out for lack of time:", ", ".join(f"{k} {v}" for k, v in case.items()))
            continue
        table.measure(case)
    write_json(options.json, {"rows": table.rows, "growth": table.growth()})


def there(name: str) -> bool:
    """Tell whether a peer is installed, and say so if not."""
    if find_spec(name) is None:
        print(f"{name} is not installed, and left out")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
