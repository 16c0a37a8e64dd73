"""Time several things fairly: in turn, in one process, and the best of several rounds counts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds between jobs: idle threads of the job before keep spinning for a while.
PAUSE = 0.05

__all__ = ["interleaved", "table", "write_json"]


def interleaved(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each job's fastest run; each runs once before the rounds, to warm up."""
    best = dict.fromkeys(jobs, float("inf"))
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def table(title: str, seconds: Mapping[str, float], unit: str) -> dict[str, dict[str, float]]:
    """Print milliseconds, and multiples of the row ``unit``; return them."""
    print(f"\n{title}\n{'':40}{'ms':>10}{'x ' + unit:>28}")
    rows = {k: {"ms": 1e3 * s, "multiple": s / seconds[unit]} for k, s in seconds.items()}
    for name, row in rows.items():
        print(f"{name:40}{row['ms']:10.1f}{row['multiple']:28.2f}", flush=True)
    return rows


def write_json(path: Path | None, content: Any) -> None:
    """Keep results, if a file is named."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1) + "\n")
