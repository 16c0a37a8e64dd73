"""Plans in exported files beside the Explainer: the same points, in the same process, as a ratio of times.

    python benchmarks/plans_in_files.py --model mobilenetv2 --repeats 3 --json plans_in_files.json

A ratio below 1 says that the file is faster.  Rows differ in ``steps_at_once``, the points that run in one
batch of the loop's body; a model with a fixed batch has one row.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", default=["digits"])
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--methods", nargs="+", default=["integrated_gradients", "occlusion", "kernel_shap"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [
        row
        for name in given.model
        for method in given.methods
        for row in measured(name, method, given.at_once, given.repeats, given.threads)
    ]
    print("| model | method | points | steps at once | file, ms | Explainer, ms | ratio | worst difference |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | `{row['method']}` | {row['points']} | {row['at_once']} | "
            f"{row['file_ms']:.1f} | {row['explainer_ms']:.1f} | {row['ratio']:.2f} | "
            f"{row['difference']:.0e} |"
        )
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measured(name: str, method: str, at_once: list[int], repeats: int, threads: int) -> list[dict[str, Any]]:
    """Measure one method on one model, files and Explainer in turn; the fastest round counts."""
    path, feeds, target = _case(name)
    chosen, options, points = _method(method, feeds)
    explainer = ox.Explainer(path, threads=threads)
    target_of = [target] if len(next(iter(feeds.values()))) == 1 else target

    def explained() -> Any:
        return explainer(feeds, target_of, chosen, **options)

    runs: dict[int, Callable[[], Any]] = {}
    worst: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for m in at_once:
            file = Path(folder) / f"{m}.onnx"
            ox.export(path, file, method=chosen, form="cpu", steps_at_once=m, **options)
            runs[m] = _session(file, feeds, target, threads)
        best: dict[int, float] = dict.fromkeys([0, *at_once], np.inf)
        for round_ in range(repeats + 1):
            for m, run in [(0, explained), *runs.items()]:
                start = time.perf_counter()
                made = run()
                if round_:
                    best[m] = min(best[m], time.perf_counter() - start)
                if m == 0:
                    expected = next(iter(made.arrays.values()))
                elif not round_:
                    worst[m] = float(np.abs(made - expected).max() / np.abs(expected).max())
    return [
        {
            "model": name,
            "method": method,
            "points": points,
            "at_once": m,
            "file_ms": best[m] * 1e3,
            "explainer_ms": best[0] * 1e3,
            "ratio": best[m] / best[0],
            "difference": worst[m],
        }
        for m in runs
    ]


def _session(file: Path, feeds: dict[str, Any], target: Any, threads: int) -> Callable[[], Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    all_ = dict(feeds) | ({"target": np.array([target])} if "target" in names else {})
    output = next(o.name for o in session.get_outputs() if o.name.startswith("attribution/"))
    return lambda: session.run([output], all_)[0]


def _case(name: str) -> tuple[Path, dict[str, Any], int]:
    if name == "digits":
        images, labels = digits_samples()
        return Path(str(digits_model_path())), {"image": images[:1]}, int(labels[0])
    from real_inputs import load

    real = load(name)
    return real.path, dict(real.feeds), int(real.target[-1])


def _method(name: str, feeds: dict[str, Any]) -> tuple[ox.Method, dict[str, Any], int]:
    shape = next(iter(feeds.values())).shape
    if name == "integrated_gradients":
        return ox.IntegratedGradients(n_steps=50), {}, 50
    if name == "smooth_grad":
        return ox.SmoothGrad(n_samples=25), {}, 25
    if name == "occlusion":
        return ox.Occlusion(), {}, 225
    height, width = shape[-2:]
    cells = np.arange(height)[:, None] * 4 // height * 4 + np.arange(width) * 4 // width
    # no player brings what would stand there without him: he would be left out, and other coalitions drawn
    return ox.KernelShap(n_samples=200), {"feature_mask": cells, "baselines": 0.45}, 200


if __name__ == "__main__":
    main()
