"""Cost of a row: the Explainer called directly, files explained by one process, and by Ray workers.

    python benchmarks/scale.py --workers 1 2 --json scale.json

Processor time is that of explaining (in files: of reading and writing too), of all workers together; seconds
are what a caller waits for, the start of a cluster apart.  Each explainer has one thread.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import write_json

import onnxplain as ox
from onnxplain.data import diabetes_model_path, diabetes_rows, digits_model_path, digits_samples
from onnxplain.scale import explain_files

CASES = {
    "digits, lrp": ("digits", {"method": "lrp"}, 4096),
    "digits, integrated_gradients (50 steps)": ("digits", {"method": "integrated_gradients"}, 512),
    "table of 10 columns, tree_shap": ("diabetes", {"method": "tree_shap"}, 8192),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="numbers of Ray workers")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows")
    parser.add_argument("--form", default="parquet")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.workers:
        import ray

        ray.init(
            num_cpus=max(given.workers),
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 << 20,
        )
    rows = []
    print(
        "| case | by | rows | processor, ms a row | seconds | file, bytes a row |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for case, (kind, asking, count) in CASES.items():
            n = max(8, int(count * given.share))
            for row in measured(Path(folder), case, kind, asking, n, given):
                rows.append(row)
                print(
                    f"| {case} | {row['by']} | {n} | {row['cpu_ms']:.3f} | {row['seconds']:.1f} | "
                    f"{row['bytes']:.0f} |",
                    flush=True,
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process: {peak:.0f} MiB")
    write_json(given.json, {"rows": rows, "peak_mib": peak})


def measured(
    folder: Path, case: str, kind: str, asking: dict[str, Any], n: int, given: Any
) -> list[dict[str, Any]]:
    """Measure one case by all ways; the first rows are explained before, so that programs are compiled."""
    inputs, source, model = data(folder, kind, n)
    explainer = ox.Explainer(model, threads=1)
    explainer(inputs, "predicted", **asking)
    wall, processor = time.perf_counter(), time.process_time()
    explainer(inputs, "predicted", **asking)
    found = [row(case, "Explainer", n, time.process_time() - processor, time.perf_counter() - wall, 0)]
    for workers in (None, *given.workers):
        out = folder / f"{case}-{workers}"
        done = explain_files(source, explainer, out, workers=workers, form=given.form, **asking)
        size = sum(p.stat().st_size for p in out.iterdir()) / n
        by = "files, this process" if workers is None else f"files, {workers} Ray workers"
        found.append(row(case, by, n, done.cpu_seconds, done.seconds, size))
    return found


def row(case: str, by: str, n: int, processor: float, seconds: float, size: float) -> dict[str, Any]:
    """Return a line of the table."""
    return {
        "case": case, "by": by, "rows": n, "cpu_ms": 1e3 * processor / n, "seconds": seconds, "bytes": size,
    }  # fmt: skip


def data(folder: Path, kind: str, n: int) -> tuple[Any, Path, Path]:
    """Return rows as arrays and as a file, and the model that takes them."""
    if kind == "digits":
        images, _ = digits_samples()
        noise = np.random.default_rng(0).uniform(0, 0.1, (n, *images.shape[1:]))  # else they pack too well
        x = np.clip(np.resize(images, noise.shape) + noise, 0, 1).astype(np.float32)
        np.save(folder / "x.npy", x)
        return x, folder / "x.npy", digits_model_path()
    held, _ = diabetes_rows()
    columns = {name: np.resize(column, n) for name, column in held.items()}
    with (folder / "x.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return columns, folder / "x.csv", diabetes_model_path()


if __name__ == "__main__":
    main()
