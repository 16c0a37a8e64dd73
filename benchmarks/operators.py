"""Walks back with operators of our own beside those of the standard alone, as multiples of a forward pass.

    python benchmarks/operators.py --models resnet50 vgg16 mobilenet_v2 --json operators.json

All runs of a model are done in turn, in one process; medians stand beside the fastest.  Rows are printed as
they are measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnxruntime as ort
from timing import PAUSE, write_json

import onnxplain as ox

METHODS = {
    "gradient": ox.Saliency(),
    "guided_backprop": ox.GuidedBackprop(),
    "lrp epsilon": ox.LRP("epsilon"),
    "lrp epsilon_plus": ox.LRP("epsilon_plus"),
    "lrp epsilon_alpha2_beta1": ox.LRP("epsilon_alpha2_beta1"),
    "lrp conserving": ox.LRP(),
    "deep_lift": ox.DeepLift(),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["resnet50"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print("| model | method | forward, ms | standard | our own | medians | difference |")
    print("|---|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    for name in given.models:
        for method in given.methods:
            rows.append(measured(name, method, given.batch, given.rounds, given.threads))
            row = rows[-1]
            print(
                f"| {name} | {method} | {row['forward_ms']:.1f} | {row['standard']:.2f} | {row['own']:.2f} | "
                f"{row['standard_median']:.2f}, {row['own_median']:.2f} | {row['difference']:.0e} |",
                flush=True,
            )
            write_json(given.json, rows)


def measured(name: str, method: str, batch: int, rounds: int, threads: int) -> dict[str, Any]:
    """Measure one method on one model."""
    model = getattr(models, name)()
    dims = model.graph.input[0].type.tensor_type.shape.dim
    x = np.random.default_rng(0).random((batch, *(d.dim_value for d in dims[1:])), np.float32)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    content = model.SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: x}
    explainers = {k: ox.Explainer(model, threads=threads, accelerate=k == "own") for k in ("standard", "own")}
    jobs: dict[str, Callable[[], Any]] = {"forward": lambda: session.run(None, feeds)}
    for key, explainer in explainers.items():
        jobs[key] = lambda explainer=explainer: explainer(x, [0] * batch, METHODS[method])
    found = {key: job() for key, job in jobs.items()}
    seconds: dict[str, list[float]] = {key: [] for key in jobs}
    for _ in range(rounds):
        for key, job in jobs.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            job()
            seconds[key].append(time.perf_counter() - begin)
    fastest = {k: min(v) for k, v in seconds.items()}
    medians = {k: statistics.median(v) for k, v in seconds.items()}
    values = {k: found[k].values for k in explainers}
    return {
        "model": name,
        "method": method,
        "batch": batch,
        "threads": threads,
        "forward_ms": 1e3 * fastest["forward"],
        **{k: fastest[k] / fastest["forward"] for k in explainers},
        **{f"{k}_median": medians[k] / medians["forward"] for k in explainers},
        "difference": float(
            np.abs(values["own"] - values["standard"]).max() / np.abs(values["standard"]).max()
        ),
    }


if __name__ == "__main__":
    main()
