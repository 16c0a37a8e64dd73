"""Evaluations in files: tables, JSON to be read elsewhere, and all of it to be read back."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onnxplain._types import Arrays
from onnxplain.archive import BROKEN, read_arrays, write_arrays
from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError, OutputError
from onnxplain.evaluation.pieces import metric_from, metric_record, packed, unpacked
from onnxplain.files import replacing
from onnxplain.result_file import packed as packed_attribution
from onnxplain.result_file import unpacked as unpacked_attribution
from onnxplain.text import visible_line

__all__ = ["failure_lines", "load", "save", "write_csv", "write_readable"]

_WHAT = "file written by Evaluation.save"

_Made = TypeVar("_Made")


def failure_lines(found: Any) -> list[str]:
    """Say what failed: one line where all metrics of a method, or all methods of a metric, failed alike."""
    lines: list[str] = []
    told: set[tuple[str, str]] = set()
    for method in found.methods:
        errors = {found.cells[method, k].error for k in found.metrics}
        if len(errors) == 1 and "" not in errors and len(found.metrics) > 1:
            lines.append(f"{method}: {errors.pop()}")
            told |= {(method, k) for k in found.metrics}
    for metric in found.metrics:
        left = [m for m in found.methods if (m, metric) not in told]
        errors = {found.cells[m, metric].error for m in left}
        if len(errors) == 1 and "" not in errors and len(left) > 1:
            lines.append(f"{metric}: {errors.pop()}")
            told |= {(m, metric) for m in left}
    lines += [
        f"{c.metric} of {c.method}: {c.error}" for k, c in found.cells.items() if c.error and k not in told
    ]
    return [visible_line(line) for line in lines]


def write_csv(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line for each dict; what is no number is left empty."""
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([[_cell(v) for v in row.values()] for row in rows])
        with replacing(path) as file:
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def write_readable(path: str | os.PathLike[str], found: Any) -> None:
    """Write all numbers, curves and extras apart; what is no number is null."""
    content = {
        "n": found.n,
        "target": found.target,
        "level": found.level,
        "seed": found.seed,
        "model_hash": found.model_hash,
        "versions": dict(found.versions),
        "notes": list(found.notes),
        "methods": [
            {"method": k, "written": v, "seconds": found.seconds[k], "mean_rank": found.mean_ranks[i]}
            for i, (k, v) in enumerate(found.methods.items())
        ],
        "metrics": [{"metric": k, **_no_parameters(metric_record(m))} for k, m in found.metrics.items()],
        "cells": [
            {**row, "values": [] if c.measured is None else c.measured.values.tolist(),
             "notes": [] if c.measured is None else list(c.measured.notes)}
            for row, c in zip(found.rows(), _in_order(found), strict=True)
        ],
        "agreement": {kind: found.agreement(kind).tolist() for kind in ("kendall", "spearman")},
        "contradictions": [list(pair) for pair in found.contradictions()],
    }  # fmt: skip
    text = json.dumps(_finite(content), allow_nan=False, indent=1)
    with replacing(path) as file:
        file.write(text.encode("ascii"))


def save(path: str | os.PathLike[str], found: Any) -> None:
    """Write everything; see :meth:`Evaluation.save`."""
    if isinstance(path, (str, os.PathLike)) and Path(path).suffix.lower() not in ("", ".npz"):
        raise OutputError(
            f"cannot write '{path}': evaluations are saved as .npz (to_csv, to_json write the others)"
        )
    arrays: Arrays = {}
    cells = []
    for k, cell in enumerate(_in_order(found)):
        facts = None
        if cell.measured is not None:
            facts, held = packed(cell.measured)
            arrays |= {f"cells/{k}/{name}": array for name, array in held.items()}
        cells.append({"error": cell.error, "seconds": cell.seconds, "measured": facts})
    shown = []
    for k, result in enumerate(found.shown.values()):
        facts, held = packed_attribution(result)
        arrays |= {f"shown/{k}/{name}": array for name, array in held.items()}
        shown.append(facts)
    meta = {
        "methods": dict(found.methods),
        "metrics": {k: metric_record(m) for k, m in found.metrics.items()},
        "cells": cells,
        "shown": dict(zip(found.shown, shown, strict=True)),
        "seconds": dict(found.seconds),
        "versions": dict(found.versions),
        "notes": list(found.notes),
        **{k: getattr(found, k) for k in ("n", "target", "level", "seed", "model_hash")},
        "arrays": list(arrays),
    }
    write_arrays(path, {"evaluation": np.array(json.dumps(meta)), **arrays})


def load(path: str | os.PathLike[str], kind: Callable[..., _Made], cell: Callable[..., Any]) -> _Made:
    """Read what :func:`save` wrote; see :meth:`Evaluation.load`."""
    content = read_arrays(path, _WHAT)
    try:
        meta = json.loads(str(content.pop("evaluation")))
        if meta["arrays"] != list(content):
            raise ValueError("its list of contents was cut")
        metrics = {str(k): metric_from(v) for k, v in meta["metrics"].items()}
        methods = {str(k): str(v) for k, v in meta["methods"].items()}
        keys = [(a, b) for a in methods for b in metrics]
        cells = {}
        for k, ((a, b), held) in enumerate(zip(keys, meta["cells"], strict=True)):
            facts = held["measured"]
            mine = _below(content, f"cells/{k}/")
            measured = None if facts is None else unpacked(facts, mine, metrics[b])
            cells[a, b] = cell(a, b, measured, str(held["error"]), float(held["seconds"]))
        shown = {
            str(name): Attribution(**unpacked_attribution(facts, _below(content, f"shown/{k}/")))
            for k, (name, facts) in enumerate(meta["shown"].items())
        }
        return kind(
            methods, metrics, cells, int(meta["n"]), {str(k): float(v) for k, v in meta["seconds"].items()},
            shown, str(meta["target"]), meta["level"], meta["seed"], str(meta["model_hash"]),
            dict(meta["versions"]), tuple(map(str, meta["notes"])),
        )  # fmt: skip
    except BROKEN as error:
        raise DataInputError(
            f"'{path}' is no saved evaluation ({type(error).__name__}: {error}); give a {_WHAT}"
        ) from error


def _in_order(found: Any) -> list[Any]:
    return [found.cells[a, b] for a in found.methods for b in found.metrics]


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _no_parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k != "parameters"}


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _finite(value: Any) -> Any:
    """Return plain values, None for what is no finite number."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
