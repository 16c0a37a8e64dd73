"""Where the time of one walk back goes: onnxruntime's own profile of the exported file, by operator."""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.ours import exported
from benchmarks.compare.settings import Setting
from benchmarks.compare.works import WORKS
from benchmarks.timing import options

__all__ = ["profile"]

_RUNS = 12


def profile(case: Case, setting: Setting) -> dict[str, dict[str, float]]:
    """Profile a walk back and the forward pass, run in turn.

    Parameters
    ----------
    case, setting
        The race.

    Returns
    -------
    dict
        By operator, of the file and of the ``forward`` pass alone: milliseconds, each node by its median run.

    Raises
    ------
    LeftOut
        If the work is not one walk back.
    """
    work = WORKS[setting.work]
    if not work.one_walk:
        raise LeftOut(f"{setting.work} is not one walk back")
    with tempfile.TemporaryDirectory() as folder:
        file = exported(case, work.method(0, case), Path(folder, "explained.onnx"))
        walk = _session(str(file.path), setting.threads, folder, file.register)
        plain = _session(case.model.SerializeToString(), setting.threads, folder)
        for _ in range(_RUNS):
            walk.run([file.output], file.feeds)
            plain.run([case.output], case.feeds)
        opened = {"file": walk, "forward": plain}
        return {name: _by_operator(Path(of.end_profiling())) for name, of in opened.items()}


def _session(model: bytes | str, threads: int, folder: str, register: Any = None) -> ort.InferenceSession:
    chosen = options(threads, register)
    chosen.enable_profiling = True
    chosen.profile_file_prefix = str(Path(folder, "profile"))
    return ort.InferenceSession(model, chosen, providers=["CPUExecutionProvider"])


def _by_operator(path: Path) -> dict[str, float]:
    """Sum medians of nodes by operator, the slowest first; the first run warms up and does not count."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in json.loads(path.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            taken[event["name"], event["args"]["op_name"]].append(event["dur"] / 1e3)
    found: Counter[str] = Counter()
    for (_, operator), times in taken.items():
        found[operator] += float(np.median(times[1:]) * len(times) / _RUNS)  # nodes of one name
    return dict(found.most_common())
