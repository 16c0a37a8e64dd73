"""Export every method, run the files in every runtime that is here, and write ``docs/embedding.md``.

    python tools/make_embedding.py                # all of it; what was measured before is kept
    python tools/make_embedding.py --again        # measure everything anew
    python tools/make_embedding.py --page         # the page alone, from benchmarks/results/embedding.json

``ONNXPLAIN_NODE_DIR``, ``ONNXRUNTIME_INCLUDE`` and ``ONNXPLAIN_CHROMIUM`` say where runtimes lie, as for the
tests.  Linux only, whose kernel tells a process its peak memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

import real_inputs
from embedding.elsewhere import RUNTIMES, File
from embedding.measured import measure
from embedding.page import write_page
from every_method import REFUSED
from runtimes import MissingRuntimeError
from trained_cases import CASES, Case, digits

import onnxplain as ox
from onnxplain.errors import OnnxplainError

RESULTS = ROOT / "benchmarks" / "results" / "embedding.json"
PAGE = ROOT / "docs" / "embedding.md"
#: On trained models: a walk of each kind, a plan of each kind, a map.
FEW = ("saliency", "lrp", "deep_lift", "integrated_gradients", "grad_cam", "smooth_grad", "kernel_shap")
#: Looks at what the others do not have.
OF_TEXTS = (*FEW, "attention_rollout")


def main() -> None:
    """Measure, print each row as it is measured, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--again", action="store_true", help="measure what was measured before, too")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["digits", *CASES])
    parser.add_argument("--runtimes", nargs="+", choices=list(RUNTIMES), default=list(RUNTIMES))
    given = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() and not given.again else {}
    table: dict[str, Any] = {"versions": kept.get("versions", {}), "rows": kept.get("rows", {})}
    if not given.page:
        table["versions"]["onnxruntime"] = version("onnxruntime")
        with tempfile.TemporaryDirectory() as folder:
            for name in given.models:
                measured(name, table, Path(folder), given.repeats, given.runtimes)
    write_page(table, PAGE, [*ox.METHODS])


def measured(name: str, table: dict[str, Any], folder: Path, repeats: int, runtimes: list[str]) -> None:
    """Measure the methods on one model."""
    (folder / name).mkdir()
    case = digits() if name == "digits" else CASES[name](real_inputs.load, folder / name)
    methods = {"digits": tuple(ox.METHODS), "text": OF_TEXTS}.get(name, FEW)
    onnx.save(case.model, folder / name / "model.onnx")
    explainer = ox.Explainer(case.model)
    files = []
    for method in methods:
        key = f"{name}/{method}"
        row = table["rows"].setdefault(key, {})
        wanted = [r for r in runtimes if r not in row.get("elsewhere", {})]
        if "refused" in row or ("run_ms" in row and not wanted):
            continue
        file = exported(case, explainer, method, key, folder / name, row)
        if file is not None and "run_ms" not in row:
            np.savez(folder / name / "feeds.npz", **{**case.feeds, **file.feeds})
            row |= measure(folder / name / "model.onnx", file.path, folder / name / "feeds.npz", repeats)
        if file is not None:
            files.append(file)
        print(key, json.dumps(row), flush=True)
        keep(table)
    for runtime in runtimes:
        if runtime == "onnx.reference" and name != "digits":
            continue  # NumPy takes minutes for these
        left = [f for f in files if runtime not in table["rows"][f.key].get("elsewhere", {})]

        def said(key: str, answer: float | str, runtime: str = runtime) -> None:
            table["rows"][key].setdefault("elsewhere", {})[runtime] = answer
            print(f"{key} in {runtime}: {answer}", flush=True)
            keep(table)

        try:
            if left:
                table["versions"][runtime] = RUNTIMES[runtime](left, said)
        except MissingRuntimeError as missing:
            print(f"{runtime} is not run: {missing}", flush=True)
    keep(table)


def exported(
    case: Case, explainer: ox.Explainer, name: str, key: str, folder: Path, row: dict[str, Any]
) -> File | None:
    """Write a file and compare it with the explainer; None where it is refused."""
    method, options = case.arguments(name)
    path = folder / f"{name}.onnx"
    try:
        made = case.export(path, method, options)
    except OnnxplainError as refusal:
        row["refused"] = f"{REFUSED[name]}" if name in REFUSED else str(refusal)
        return None
    feeds = case.fed(made)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = dict(zip(made.outputs, session.run(list(made.outputs), feeds), strict=True))
    file = File(key, path, feeds, outputs)
    expected = explainer(case.feeds, case.target, method, **options).arrays
    row["explainer"] = file.distance({f"attribution/{k}": v for k, v in expected.items()})
    row["settings"] = settings(method)
    row["size"], row["model_size"] = made.size, (folder / "model.onnx").stat().st_size
    return file


def settings(method: ox.Method) -> str:
    """Return how many points a method has, where it is told."""
    counts = ("n_steps", "n_samples", "n_masks", "n_repeats")
    named = [k for k in counts if getattr(method, k, None) is not None]
    return ", ".join(f"{k}={getattr(method, k)}" for k in named)


def keep(table: dict[str, Any]) -> None:
    """Write what is measured so far."""
    RESULTS.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
