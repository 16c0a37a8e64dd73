"""Peak memory and load time, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare.cases import LeftOut, case
from benchmarks.compare.child import WHO
from benchmarks.compare.settings import Setting

__all__ = ["measured"]


def measured(model: str, batch: int, threads: int, seconds: float) -> tuple[list[dict[str, Any]], str | None]:
    """Measure onnxruntime's forward pass, and gradients by us and by PyTorch.

    Parameters
    ----------
    model, batch, threads
        What is explained, and how.
    seconds
        For each process, at most.

    Returns
    -------
    rows, and why there are no more, if so.
    """
    rows: list[dict[str, Any]] = []
    try:
        for row in _rows(model, batch, threads, max(seconds, 1.0)):
            rows.append(row)  # noqa: PERF402 -- those before an error stay
    except subprocess.TimeoutExpired as error:
        return rows, f"{error.cmd[-2]} was not done within {error.timeout:.0f} s"
    except (LeftOut, RuntimeError) as error:
        return rows, str(error)
    return rows, None


def _rows(model: str, batch: int, threads: int, seconds: float) -> Iterator[dict[str, Any]]:
    if not Path("/proc/self/status").is_file():
        raise LeftOut("the system does not tell a process's peak memory in /proc")
    found = case(model, batch)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.onnx").write_bytes(found.model.SerializeToString())
        given = {
            "feeds": found.feeds, "output": found.output, "targets": found.targets, "kind": found.kind,
            "threads": threads,
        }  # fmt: skip
        Path(folder, "given.pickle").write_bytes(pickle.dumps(given))
        who = list(WHO)
        if importlib.util.find_spec("torch") is None:
            who.remove("torch autograd")
        else:
            import torch

            from benchmarks.compare.peers.networks import entered, twin

            net = twin(found, Setting("gradient", model, batch, threads))
            torch.save((net, entered(net, found)), Path(folder, "net.pt"))
        for name in who:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.compare.child", name, folder],
                capture_output=True, text=True, timeout=seconds, cwd=Path(__file__).parents[2], check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(f"{name} failed: {(done.stderr.strip() or 'no word').splitlines()[-1]}")
            yield {"model": model, "batch": batch, "who": name, **json.loads(done.stdout)}
