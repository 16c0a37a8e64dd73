"""What the benchmarks share: sessions whose threads rest, the pause between jobs, and files of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between jobs: idle threads of the job before keep spinning for a while.
PAUSE = 0.05

__all__ = ["PAUSE", "options", "session", "write_json"]


def session(
    model: bytes | str, threads: int, *, register: Callable[[ort.SessionOptions], None] | None = None
) -> ort.InferenceSession:
    """Return an onnxruntime session on the CPU whose threads do not spin when it has run.

    Parameters
    ----------
    model
        Its content, or its path.
    threads
        Within an operator.
    register
        What gives the session operators of our own, by its options.
    """
    return ort.InferenceSession(model, options(threads, register), providers=["CPUExecutionProvider"])


def options(threads: int, register: Callable[[ort.SessionOptions], None] | None = None) -> ort.SessionOptions:
    """Return the options of such a session."""
    made = ort.SessionOptions()
    made.intra_op_num_threads, made.log_severity_level = threads, 3
    made.add_session_config_entry("session.force_spinning_stop", "1")
    if register is not None:
        register(made)
    return made


def write_json(path: Path | None, content: Any) -> None:
    """Keep results, if a file is named."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1) + "\n")
