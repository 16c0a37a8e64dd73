"""Committed scikit-learn pipelines (``tools/make_pipelines.py``), and Shapley values by their definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from math import factorial
from pathlib import Path
from types import ModuleType

import numpy as np

DATA = Path(__file__).parents[1] / "data" / "pipelines"
NAMES = ("age", "income", "debt", "rooms", "job", "city")
TABLE = dict(np.load(DATA / "table.npz"))


def maker() -> ModuleType:
    """Return the script that trains and exports them."""
    source = Path(__file__).parents[2] / "tools" / "make_pipelines.py"
    spec = spec_from_file_location("make_pipelines", source)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def path(name: str) -> Path:
    return DATA / f"{name}.onnx"


def table(name: str, which: str) -> dict[str, np.ndarray]:
    """Return ``"rows"`` or ``"background"`` as a pipeline takes them."""
    if name.startswith("matrix"):
        return {"x": TABLE[f"{which}/x"]}
    return {k: TABLE[f"{which}/{k}"].reshape(-1, 1) for k in NAMES}


def columns(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(v.shape[1] for v in arrays.values())


def brute_force(
    score: Callable[[dict[str, np.ndarray]], np.ndarray],
    rows: Mapping[str, np.ndarray],
    background: Mapping[str, np.ndarray],
    owners: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Return Shapley values, (N, P), of ``v(S) = mean_b score(x_S, b_rest)`` over all sets of players.

    ``owners`` says, by input, which player each column is, -1 for always there; by default one each.
    """
    if owners is None:
        ends = np.cumsum([0, *(v.shape[1] for v in rows.values())])
        owners = {k: np.arange(a, b) for k, a, b in zip(rows, ends, ends[1:], strict=False)}
    count = max(int(o.max()) for o in owners.values()) + 1
    n, m = (len(next(iter(t.values()))) for t in (rows, background))
    value = {}
    for present in product((False, True), repeat=count):
        there = np.array([*present, True])
        mixed = {
            k: np.where(there[owners[k]], np.repeat(v, m, 0), np.tile(background[k], (n, 1)))
            for k, v in rows.items()
        }
        value[present] = score(mixed).astype(np.float64).reshape(n, m).mean(1)
    found = np.zeros((n, count))
    for present, here in value.items():
        size = sum(present)
        for k in range(count):
            if not present[k]:
                more = value[(*present[:k], True, *present[k + 1 :])]
                found[:, k] += (
                    factorial(size) * factorial(count - size - 1) / factorial(count) * (more - here)
                )
    return found
