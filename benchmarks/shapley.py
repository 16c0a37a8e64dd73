"""Error of sampled Shapley values against the number of coalitions, beside shap and shapiq, on three games.

    python benchmarks/shapley.py --json benchmarks/results/shapley.json

The games have known values: a network of 12 players (by all coalitions); sums of unanimity games of up to 6
of 30 players; and the largest of 100 numbers (the airport game).  The error is the root mean square over
players, relative to that of the values, and the mean over seeds.  ``coverage`` is the part of values that lie
within 1.96 of our standard errors.  Rows are printed as they are measured; shap and shapiq are left out where
they are not installed.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from timing import write_json

import onnxplain as ox
from onnxplain.runtime.plans.games.every import Every

BUDGETS = (256, 1024, 4096)
Game = Callable[[Any], Any]


def games() -> Iterator[tuple[str, int, Game, Any]]:
    """Yield names, players, games of bool (K, P), and exact values."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(12, 16)), rng.normal(size=(16, 16))

    def network(sets: Any) -> Any:
        return np.tanh(np.tanh(np.atleast_2d(sets).astype(float) @ first) @ second).sum(1)

    every = Every(12)
    bits = np.arange(2**12)[:, None] >> np.arange(12) & 1
    scores = network(bits)[:, None]
    yield "network", 12, network, every.solve(scores[1:-1], scores[0], scores[-1]).values[0]

    parts = [rng.choice(30, rng.integers(1, 7), replace=False) for _ in range(60)]
    weights = rng.normal(size=60)

    def unanimity(sets: Any) -> Any:
        return sum(
            w * np.atleast_2d(sets).astype(bool)[:, t].all(1) for w, t in zip(weights, parts, strict=True)
        )

    values = np.zeros(30)
    for w, t in zip(weights, parts, strict=True):
        values[t] += w / len(t)
    yield "unanimity", 30, unanimity, values

    costs = np.sort(rng.gamma(2, size=100))
    shares = np.cumsum(np.diff(costs, prepend=0) / (100 - np.arange(100)))
    yield "airport", 100, lambda sets: (np.atleast_2d(sets).astype(bool) * costs).max(1), shares


def ours(name: str, options: dict[str, Any], players: int, game: Game, budget: int, seed: int) -> Any:
    """Return values and standard errors; orders are as many as the budget pays for."""
    steps = {"shapley_value_sampling": players - 1, "permutation_shapley": 2 * (players - 1)}.get(name, 1)
    count = "npermutations" if name == "permutation_shapley" else "n_samples"
    method: Any = ox.method(name, **{count: budget // steps, "seed": seed, **options})
    design = method.design(players)
    scores = np.zeros((0, 1))
    for number, _ in enumerate(design.sizes):
        draw = design.draw(number)
        scores = np.concatenate([scores, game(draw.kept(players, slice(0, draw.count(players))))[:, None]])
    ends = game(np.stack([np.zeros(players, bool), np.ones(players, bool)]))
    solved = design.solve(scores, ends[:1], ends[1:])
    return solved.values[0], solved.errors[0]


def kernel_explainer(shap: Any, players: int, game: Game, budget: int, seed: int) -> Any:
    """Return shap's KernelExplainer's values."""
    np.random.seed(seed)  # noqa: NPY002  (shap draws from it)
    made = shap.KernelExplainer(game, np.zeros((1, players)))
    return made.shap_values(np.ones((1, players)), nsamples=budget, silent=True, l1_reg=False)[0], None


def permutation_explainer(shap: Any, players: int, game: Game, budget: int, seed: int) -> Any:
    """Return shap's PermutationExplainer's values."""
    made = shap.PermutationExplainer(game, shap.maskers.Independent(np.zeros((1, players))), seed=seed)
    return made(np.ones((1, players)), max_evals=budget, silent=True).values[0], None


def approximator(kind: Any, options: dict[str, Any], players: int, game: Game, budget: int, seed: int) -> Any:
    """Return values of one of shapiq's approximators."""
    found = kind(players, random_state=seed, **options).approximate(budget, game)
    return np.array([found[(k,)] for k in range(players)]), None


def entrants() -> dict[str, Callable[..., Any]]:
    """Return who takes part."""
    made: dict[str, Callable[..., Any]] = {
        "kernel_shap": partial(ours, "kernel_shap", {}),
        "kernel_shap, by kernel": partial(ours, "kernel_shap", {"sampling": "kernel"}),
        "regression_adjusted_shapley": partial(ours, "regression_adjusted_shapley", {}),
        "permutation_shapley": partial(ours, "permutation_shapley", {}),
        "shapley_value_sampling": partial(ours, "shapley_value_sampling", {}),
    }
    try:
        import shap

        made["shap KernelExplainer"] = partial(kernel_explainer, shap)
        made["shap PermutationExplainer"] = partial(permutation_explainer, shap)
    except ImportError:
        print("shap is not installed")
    try:
        import shapiq

        made["shapiq KernelSHAP"] = partial(approximator, shapiq.KernelSHAP, {})
        made["shapiq KernelSHAP, paired"] = partial(approximator, shapiq.KernelSHAP, {"pairing_trick": True})
        made["shapiq PermutationSamplingSV"] = partial(approximator, shapiq.PermutationSamplingSV, {})
        made["shapiq SVARM"] = partial(approximator, shapiq.SVARM, {})
    except ImportError:
        print("shapiq is not installed")
    return made


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path)
    options.add_argument("--seeds", type=int, default=6)
    options.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name, players, game, truth in games():
        for who, estimate in entrants().items():
            if "SVARM" in who and players == 100:
                continue  # minutes for each row
            for budget in chosen.budgets:
                off, covered = [], []
                for seed in range(chosen.seeds if players < 100 or "Kernel" not in who else 3):
                    values, errors = estimate(players, game, budget, seed)
                    off.append(np.sqrt(((values - truth) ** 2).mean() / (truth**2).mean()))
                    if errors is not None:
                        covered.append((np.abs(values - truth) <= 1.96 * errors + 1e-9).mean())
                row = {
                    "game": name, "players": players, "method": who, "coalitions": budget,
                    "error": float(np.mean(off)), "coverage": float(np.mean(covered)) if covered else None,
                }  # fmt: skip
                rows.append(row)
                known = "" if row["coverage"] is None else f"  coverage {row['coverage']:.2f}"
                print(f"{name:10} {who:30} {budget:6} {row['error']:9.2%}{known}", flush=True)
    if chosen.json:
        write_json(chosen.json, {"rows": rows})


if __name__ == "__main__":
    main()
