"""Time to load and to run an explained file, and its peak memory, beside its model's: a process of its own.

Times are of the processor, on one thread, so that what else a machine does falls on neither.

    python measured.py MODEL.onnx EXPLAINED.onnx FEEDS.npz REPEATS

prints them as JSON.  It imports nothing but onnxruntime, as a service that runs the file would.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

__all__ = ["measure"]


def measure(model: Path, explained: Path, feeds: Path, repeats: int) -> dict[str, float]:
    """Measure in a process of its own; milliseconds, and MiB beyond the model's."""
    command = [sys.executable, __file__, str(model), str(explained), str(feeds), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measured(model: str, explained: str, path: str, repeats: int) -> dict[str, float]:
    with np.load(path) as kept:
        feeds = dict(kept)
    plain, feeds_of_plain = _opened(model, feeds)
    plain.run(None, feeds_of_plain)
    before = _peak()
    file, feeds_of_file = _opened(explained, feeds)
    file.run(None, feeds_of_file)
    more = _peak() - before
    jobs = {
        "load_model": lambda: _opened(model, feeds),
        "load": lambda: _opened(explained, feeds),
        "run_model": lambda: plain.run(None, feeds_of_plain),
        "run": lambda: file.run(None, feeds_of_file),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            times[name].append(_ms(job))
    medians = {f"{k}_ms": statistics.median(v) for k, v in times.items()}
    return {**medians, "mib_more": more}


def _opened(path: str, feeds: dict[str, Any]) -> tuple[ort.InferenceSession, dict[str, Any]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    return session, {k: v for k, v in feeds.items() if k in names}


def _ms(job: Any) -> float:
    """Return the processor's time, the mean of as many runs as 20 ms take."""
    start, count = time.process_time(), 0
    while not count or time.process_time() - start < 0.02:
        job()
        count += 1
    return 1e3 * (time.process_time() - start) / count


def _peak() -> float:
    """Return the peak of this process, MiB; ``ru_maxrss`` would start from that of the one that began it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
