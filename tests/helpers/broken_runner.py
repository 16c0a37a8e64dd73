"""Reads broken models one by one, in a process of its own: a crash or a hang then hits nobody else.

    python broken_runner.py FOLDER SECONDS

For each file of the folder one line of JSON: what came of it.  ``"ok"``, ``"refused"``, or what is wrong.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort

import onnxplain as ox
from onnxplain.errors import OnnxplainError

TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(bool)": np.bool_, "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
}  # fmt: skip
LARGE = 1 << 16


class TooSlow(BaseException):
    """The time is over."""


def late(*_: object) -> None:
    raise TooSlow


def stock(content: bytes) -> ort.InferenceSession | None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:
        return None


def feeds(session: ort.InferenceSession) -> list[np.ndarray] | None:
    """Make an input for each of the session's, if they are of a size that fits."""
    rng = np.random.default_rng(1)
    made = []
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else 2 for d in value.shape or ()]
        if value.type not in TYPES or min(shape, default=1) < 1 or np.prod(shape, dtype=float) > LARGE:
            return None
        array = rng.integers(0, 2, shape) if "int" in value.type else rng.standard_normal(shape)
        made.append(np.asarray(array).astype(TYPES[value.type]))
    return made


def check(content: bytes) -> str:
    """Return what came of one model: ok, refused, or what is wrong."""
    try:
        explainer = ox.Explainer(content, threads=1)
    except OnnxplainError:
        return "refused"
    session = stock(content)
    try:
        given = feeds(session) if session is not None else None
        names = [i.name for i in session.get_inputs()] if session is not None else []
    except UnicodeDecodeError:  # names that onnxruntime runs, and its Python face does not show
        return "runs nowhere"
    if session is None or given is None or len(given) != len(explainer.inputs):
        return "runs nowhere"
    options = ort.RunOptions()
    stop = threading.Timer(3, lambda: setattr(options, "terminate", True))  # a loop that never ends
    stop.start()
    try:
        expected = session.run(None, dict(zip(names, given, strict=True)), options)
    except Exception:
        expected = None
    finally:
        stop.cancel()
    if options.terminate:
        return "runs nowhere"
    inputs = {i.name: array for i, array in zip(explainer.inputs, given, strict=True)}
    try:
        found = list(explainer.predict(inputs).values())
    except OnnxplainError:
        return "refused"
    if expected is None:
        return "runs nowhere"
    rounded = any("quantised" in note for note in explainer.notes)  # computed in floating point
    for a, b in zip(found, expected, strict=True):
        b = np.asarray(b)
        if a.ndim == b.ndim + 1:  # has no rows, and is given for each where they run one by one
            b = np.broadcast_to(b, a.shape)
        largest = float(np.abs(b[np.isfinite(b)]).max(initial=1))
        tolerance = (0.02 if rounded else 1e-4) * largest
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=tolerance, equal_nan=True):
            return f"wrong: {np.asarray(a).tolist()} for {np.asarray(b).tolist()}"[:500]
    try:
        for method in ("saliency", "lrp"):
            explainer(inputs, "predicted", method)
    except OnnxplainError:
        return "predicts"
    return "ok"


def main() -> None:
    folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, late)
    for path in sorted(folder.iterdir()):
        start = time.perf_counter()
        signal.alarm(seconds)
        faulthandler.dump_traceback_later(seconds + 5, exit=True)  # where Python cannot look
        try:
            what = check(path.read_bytes())
        except TooSlow:
            what = f"hangs: {''.join(traceback.format_exc().splitlines(True)[-8:])}"
        except BaseException as error:
            at = [f for f in traceback.extract_tb(error.__traceback__) if "onnxplain" in f.filename][-1:]
            place = f" at {Path(at[0].filename).name}:{at[0].lineno}" if at else ""
            what = f"raises {type(error).__name__}: {str(error)[:200]}{place}"
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
        sys.stdout.write(json.dumps([path.name, what, round(time.perf_counter() - start, 2)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
