"""Put every method on trial and write ``docs/trust.md``.

Needs the models that ``tools/fetch_models.py`` puts into the cache folder. What is finished is kept in a
folder, so that an interrupted run goes on where it ended::

    python tools/make_trust.py                     # all, about an hour on two cores
    python tools/make_trust.py digits reviews      # these worlds; the page holds all that are kept
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np

import onnxplain as ox
from onnxplain.evaluation import Evaluation

sys.path.insert(0, str(Path(__file__).parent))

from trust.trials import METHODS, METRICS
from trust.worlds import WORLDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "trust.md"
WORDS = ROOT / "tools" / "trust" / "words.md"


def run(name: str, folder: Path) -> Evaluation:
    """Measure one world."""
    world = WORLDS[name]()
    options = {} if world.baselines is None else {"baselines": world.baselines}
    more = {} if world.masks is None else {"masks": world.masks}
    if world.masks is None:  # these metrics take features away
        more |= options
    return ox.evaluate(
        world.explainer,
        world.inputs,
        world.target,
        METHODS[name],
        METRICS[name],
        explain_options=options,
        seed=0,
        resume=folder / name,
        progress=True,
        **more,
    )


def number(value: float) -> str:
    """Write a number with three digits."""
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def table(found: Evaluation) -> list[str]:
    """Write methods by metrics: the mean, the half width of its interval, and the rank."""
    ways = {True: "↑", False: "↓", None: ""}
    names = list(found.metrics)
    head = [f"`{k}` {ways[m.higher_is_better]}".strip() for k, m in found.metrics.items()]
    lines = ["| method | " + " | ".join(head) + " | mean rank | seconds |"]
    lines.append("|---" * (len(head) + 3) + "|")
    order = np.argsort(np.where(np.isnan(found.mean_ranks), np.inf, found.mean_ranks))
    for i in order:
        method = list(found.methods)[i]
        cells = []
        for k, metric in enumerate(names):
            cell = found.cells[method, metric]
            if cell.measured is None:
                cells.append("-")
                continue
            low, high = found.intervals[i, k]
            text = f"{number(found.means[i, k])} ±{number((high - low) / 2)}"
            cells.append(f"**{text}**" if found.ranks[i, k] == 1 else text)
        rank = number(float(found.mean_ranks[i]))
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {rank} | {number(found.seconds[method])} |")
    return lines


def agreement(found: Evaluation) -> list[str]:
    """Say which metrics rank methods the other way round."""
    pairs = found.contradictions()
    if not pairs:
        return ["No two metrics rank these methods the other way round."]
    listed = ", ".join(f"`{a}` and `{b}` ({tau:.2f})" for a, b, tau in pairs[:6])
    return [f"Metrics that contradict one another the most (Kendall's tau between their ranks): {listed}."]


def failures(found: Evaluation) -> list[str]:
    """Say what could not be measured, and why."""
    reasons: dict[str, list[str]] = {}
    for cell in found.failures:
        reasons.setdefault(cell.error, []).append(f"`{cell.metric}` of {cell.method}")
    return [f"- {', '.join(cells)}: {reason}" for reason, cells in reasons.items()]


def section(name: str, found: Evaluation) -> str:
    """Write what a world found: the table, and what it does not say by itself."""
    world = WORLDS[name]()
    lines = [f"## {world.title}", "", world.about, "", *table(found), "", *agreement(found), ""]
    failed = failures(found)
    if failed:
        lines += ["Not measured:", "", *failed, ""]
    return "\n".join(lines) + "\n"


def page(kept: Path) -> str:
    """Write the page: what is said by hand, and the sections that are kept."""
    before, after = WORDS.read_text(encoding="utf-8").split("<!-- tables -->")
    files = [kept / f"{name}.md" for name in WORLDS]
    sections = [f.read_text(encoding="utf-8") for f in files if f.is_file()]
    return before.rstrip() + "\n\n" + "\n".join(sections) + "\n" + after.lstrip()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Put every method on trial and write docs/trust.md.")
    parser.add_argument("worlds", nargs="*", help=f"which of {', '.join(WORLDS)} (default: all)")
    parser.add_argument(
        "--kept", type=Path, default=ROOT / "build" / "trust", help="folder of what is finished"
    )
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    for name in options.worlds or WORLDS:
        started = time.perf_counter()
        found = run(name, options.kept)
        (options.kept / f"{name}.md").write_text(section(name, found), encoding="utf-8")
        sys.stdout.write(f"{name}: {time.perf_counter() - started:.0f} s\n{found.table()}\n")
    PAGE.write_text(page(options.kept), encoding="utf-8")


if __name__ == "__main__":
    main()
