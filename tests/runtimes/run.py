"""Run exported files in whatever onnxruntime is installed, and compare with what they said when made.

    python run.py FOLDER [--tolerance 1e-5] [--no-memory-pattern] [--json OUT]

It needs NumPy and onnxruntime alone, of any age.  FOLDER holds ``NAME.onnx`` and ``NAME.npz`` (``write.py``
makes them): arrays ``K/in/INPUT`` and ``K/out/OUTPUT`` of the K-th run.  One session does all runs of a file,
twice over, as what a runtime keeps from one run to the next may spoil the second.  Exit code 1 where
anything is not loaded, not run, or further off than the tolerance, relative to the largest number.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


def main() -> int:
    """Run all files of a folder, and tell of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--no-memory-pattern", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    files = sorted(given.folder.glob("*.onnx"))
    rows = [tried(path, memory_pattern=not given.no_memory_pattern) for path in files]
    for row in rows:
        row["right"] = row["error"] is None and row["difference"] <= given.tolerance
    wrong = [row for row in rows if not row["right"]]
    for row in wrong:
        off = "" if row["difference"] is None else f"off by {row['difference']:.1e}"
        print(f"{row['file']}: {row['error'] or off}")
    print(f"onnxruntime {ort.__version__}: {len(rows) - len(wrong)} of {len(rows)} files are right")
    if given.json is not None:
        told = {"onnxruntime": ort.__version__, "memory_pattern": not given.no_memory_pattern, "files": rows}
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong or not rows else 0


def tried(path: Path, *, memory_pattern: bool) -> dict[str, Any]:
    """Load a file, run it several times in a row, and return the largest difference."""
    row: dict[str, Any] = {"file": path.stem, "difference": None, "error": None}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = memory_pattern
    options.intra_op_num_threads = 2
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        with np.load(path.with_suffix(".npz")) as kept:
            runs = read(kept)
        worst = 0.0
        for _ in range(2):
            for feeds, expected in runs:
                found = dict(zip(names, session.run(names, feeds), strict=True))
                worst = max([worst, *(apart(found[name], expected[name]) for name in expected)])
        row["difference"] = worst if np.isfinite(worst) else None
        row["error"] = None if np.isfinite(worst) else "other shapes, types, whole numbers or infinities"
    except Exception as error:  # onnxruntime's errors have no common base
        row["error"] = " ".join(str(error).replace(str(path), path.name).split())[:300]
    return row


def read(kept: Any) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Return the inputs and outputs of each run."""
    runs: dict[int, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]] = {}
    for key in kept.files:
        k, side, name = key.split("/", 2)
        runs.setdefault(int(k), ({}, {}))[side == "out"][name] = kept[key]
    return [runs[k] for k in sorted(runs)]


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Return how far an output is from what it must be, relative to the largest number expected."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if found.dtype.kind != "f":
        return 0.0 if np.array_equal(found, expected) else float("inf")
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    difference = float(np.abs(a - b)[~same].max())
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    return difference / scale if scale and np.isfinite(difference) else float("inf")


if __name__ == "__main__":
    sys.exit(main())
