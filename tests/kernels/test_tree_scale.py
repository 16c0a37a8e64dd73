"""Large ensembles: many trees, columns, classes, rows of the background, deep trees; memory stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tree_models import full_trees

from onnxplain.graph.trees import Ensemble
from onnxplain.kernels import has_core, tree_numpy, trees

pytestmark = pytest.mark.skipif(not has_core(), reason="NumPy's definition is slow")

HELPERS = Path(__file__).parents[1] / "helpers"


def table(ensemble: Ensemble, rows: int, columns: int, seed: int = 1) -> Any:
    """Draw rows: a tenth missing, some infinite, a third at a threshold that some node has."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns)).astype(np.float32)
    at = rng.random(X.shape) < 1 / 3
    X[at] = rng.choice(ensemble.threshold, int(at.sum()))
    for share, value in ((0.1, np.nan), (0.02, np.inf), (0.02, -np.inf)):
        X[rng.random(X.shape) < share] = value
    return X


def adds_up(ensemble: Ensemble, values: Any, X: Any, background: Any) -> None:
    exact = ensemble.exact()
    mean = trees.predict(exact, ensemble.columns(background)).mean(0)
    expected = trees.predict(exact, ensemble.columns(X)) - mean
    np.testing.assert_allclose(values.sum(axis=1), expected, rtol=0, atol=1e-9)


def test_ten_thousand_trees() -> None:
    """Copies of 4 trees have as many times their values."""
    few, many = full_trees(4, 3, 8), full_trees(10_000, 3, 8, different=4)
    X, background = table(few, 20, 8), table(few, 30, 8, 2)
    found = trees.interventional(many, X, background)
    np.testing.assert_allclose(found, 2_500 * trees.interventional(few, X, background), rtol=0, atol=1e-8)
    adds_up(many, found, X, background)
    covers = [trees.count_covers(e, background) for e in (few, many)]
    by_path = [trees.path_dependent(e, X, covers=c) for e, c in zip((few, many), covers, strict=True)]
    np.testing.assert_allclose(by_path[1], 2_500 * by_path[0], rtol=0, atol=1e-8)


def test_thousands_of_columns() -> None:
    ensemble = full_trees(200, 5, 4_000)
    X, background = table(ensemble, 7, 4_000), table(ensemble, 9, 4_000, 2)
    found = trees.interventional(ensemble, X, background)
    adds_up(ensemble, found, X, background)
    asked = np.zeros(4_000, bool)
    asked[ensemble.feature[ensemble.feature >= 0]] = True
    assert (found[:, ~asked] == 0).all()
    # the same trees in a narrow table: many sums are then made in other pieces
    columns, narrow = np.unique(ensemble.feature, return_inverse=True)
    small = full_trees(200, 5, 4_000, feature=np.where(ensemble.feature < 0, -1, narrow.ravel() - 1))
    same = trees.interventional(small, X[:, columns[1:]], background[:, columns[1:]])
    np.testing.assert_allclose(found[:, columns[1:]], same, rtol=0, atol=1e-12)


@pytest.mark.parametrize("each", [True, False])
def test_many_classes(each: bool) -> None:
    """Leaves that vote for all classes, and trees for one class each."""
    ensemble = full_trees(120, 4, 10, scores=60, each_leaf=each)
    X, background = table(ensemble, 15, 10), table(ensemble, 20, 10, 2)
    found = trees.interventional(ensemble, X, background)
    adds_up(ensemble, found, X, background)
    definition = tree_numpy.values(
        ensemble, ensemble.columns(X[:2]), ensemble.columns(background), np.arange(10, dtype=np.int32), 10,
        "shapley", 1,
    )  # fmt: skip
    np.testing.assert_allclose(found[:2], definition, rtol=0, atol=1e-12)


def test_a_deep_tree_of_many_leaves_is_its_definition() -> None:
    ensemble = full_trees(1, 11, 30)
    X, background = table(ensemble, 30, 30), table(ensemble, 25, 30, 2)
    found = trees.interventional(ensemble, X, background)
    adds_up(ensemble, found, X, background)
    owners = np.arange(30, dtype=np.int32)
    few, against = ensemble.columns(X[:3]), ensemble.columns(background[:5])
    np.testing.assert_allclose(
        trees.interventional(ensemble, X[:3], background[:5]),
        tree_numpy.values(ensemble, few, against, owners, 30, "shapley", 1),
        rtol=0, atol=1e-12,
    )  # fmt: skip


MEASURED = """
import hashlib
from pathlib import Path
import numpy as np
from tree_models import full_trees
from onnxplain.kernels import trees

def peak():
    status = Path("/proc/self/status")  # getrusage would tell that of the parent process, too
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), -1)

ensemble, rng = full_trees({trees}, {depth}, {columns}), np.random.default_rng(0)
X, background = (rng.normal(size=(n, {columns})) for n in ({rows}, {background}))
trees.predict(ensemble, background)
before = peak()
found = trees.interventional(ensemble, X, background)
print(peak() - before if before >= 0 else -1)
print(hashlib.sha256(found.tobytes()).hexdigest())
"""


def measured(threads: int, **sizes: int) -> tuple[float, str]:
    """Return how much memory a process needed beside its arrays, in MiB, and a mark of what it found."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED.format(**sizes)],
        capture_output=True,
        text=True,
        check=True,
        cwd=HELPERS,
        env=os.environ | {"ONNXPLAIN_NUM_THREADS": str(threads)},
    )
    memory, mark = run.stdout.splitlines()
    return int(memory) / 1024, mark


def test_memory_does_not_grow_with_rows_times_background() -> None:
    memory, _ = measured(2, trees=2, depth=5, columns=6, rows=120_000, background=100_000)
    if memory < 0:
        pytest.skip("this system does not say how much memory a process took")
    assert 1 < memory < 120  # one bit for each pair would be 1,430


def test_bits_do_not_depend_on_threads() -> None:
    sizes = {"trees": 50, "depth": 4, "columns": 6, "rows": 90, "background": 20}
    assert len({measured(threads, **sizes)[1] for threads in (1, 3, 16)}) == 1
