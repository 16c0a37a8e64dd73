"""The page ``docs/embedding.md`` from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_page"]

HEAD = Path(__file__).with_name("head.md")
RUNTIMES = ("C++", "Node", "Chromium", "OpenVINO", "onnx.reference")
#: How far numbers may be off to be the same, as a share of the largest.
SAME = 1e-4
NAMES = {
    "digits": "The digits model that comes with the package, every method",
    "image": "MobileNetV2 (float32, fixed batch)",
    "text": "MiniLM (a transformer; two sentences of 11 tokens)",
    "recurrent": "Silero VAD (STFT, convolutions, LSTM)",
    "quantised": "A text CNN, quantised dynamically by onnxruntime (int8)",
}


def write_page(table: dict[str, Any], path: Path, methods: Sequence[str]) -> None:
    """Write the page.

    Parameters
    ----------
    table
        ``rows`` by ``model/method``, and ``versions`` by runtime.
    path
        Where to.
    methods
        Names in the order of rows.
    """
    notes: list[str] = []
    head = HEAD.read_text(encoding="utf-8").rstrip()
    parts = [head, "", "## Method by runtime", "", _versions(table), *_others(path), ""]
    for model, title in NAMES.items():
        rows = {m: table["rows"].get(f"{model}/{m}") for m in methods}
        if not any(rows.values()):
            continue
        parts += [f"### {title}", "", *_table(rows, notes), ""]
    parts += [f"{k}. {note}" for k, note in enumerate(notes, 1)]
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def _versions(table: dict[str, Any]) -> str:
    made = table["versions"]
    told = [f"onnxruntime {made.get('onnxruntime')}", *(made[r] for r in RUNTIMES if r in made)]
    return f"Made with {'; '.join(told)}."


def _others(page: Path) -> list[str]:
    """Return where other results lie, as far as there are any."""
    results = page.parents[1] / "benchmarks" / "results"
    of = {"runtimes.json": "Onnxruntimes of several ages", "openvino.json": "OpenVINO on every trained model"}
    return [
        f"{said}: [results/{name}](../benchmarks/results/{name})."
        for name, said in of.items()
        if (results / name).exists()
    ]


def _table(rows: dict[str, Any], notes: list[str]) -> list[str]:
    head = ["method", "settings", "= Explainer", "size", "load", "run", "memory, MiB", *RUNTIMES]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, row in rows.items():
        if not row:
            continue
        if "refused" in row:
            cells = ["", "refused" + _noted(row["refused"], notes), *[""] * (len(head) - 3)]
        else:
            cells = [
                row["settings"], _off(row["explainer"], 1e-5), _times(row["size"], row["model_size"]),
                _times(row["load_ms"], row["load_model_ms"]), _times(row["run_ms"], row["run_model_ms"]),
                f"{row['mib_more']:+.0f}",
                *(_cell(row.get("elsewhere", {}).get(r), notes) for r in RUNTIMES),
            ]  # fmt: skip
        lines.append(f"| {' | '.join([f'`{name}`', *cells])} |")
    return lines


def _times(a: float, b: float) -> str:
    ratio = a / b
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _off(apart: float, same: float) -> str:
    return "yes" if apart <= same else f"off by {apart:.0e}"


def _cell(answer: float | str | None, notes: list[str]) -> str:
    if answer is None:
        return "not run"
    return "no" + _noted(answer, notes) if isinstance(answer, str) else _off(answer, SAME)


def _noted(text: str, notes: list[str]) -> str:
    """Return the number of a note, which is written once."""
    plain = " ".join(text.replace("|", "/").split())
    if plain not in notes:
        notes.append(plain)
    return f" ({notes.index(plain) + 1})"
