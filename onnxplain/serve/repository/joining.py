"""Whether a server may join the requests for a file along the first axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from onnxplain._types import Array, Arrays
from onnxplain.exported_file import KEY, recorded
from onnxplain.graph.batch import Mixed, analyse
from onnxplain.reading import read
from onnxplain.serve.asked import Tensor

__all__ = ["why_apart"]

_RTOL = 1e-4
#: Samples that are run at once, and one by one, to compare.
_RUNS = 3
#: What an exported file adds to its model's outputs.
_ADDED = ("attribution/", "map/", "delta/", "standard_error/")


def why_apart(path: Path, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> str | None:
    """Say why requests for a file must not be joined; None if they may.

    They may where each input and output has an open first axis, the graph proves that no sample of the model
    inside touches another, and three samples at once give what they give one by one: attributions too.

    Parameters
    ----------
    path
        The file.
    inputs, outputs
        What it takes and gives.
    """
    for tensor in (*inputs, *outputs):
        if not tensor.shape or tensor.shape[0] != -1:
            return f"the first axis of '{tensor.name}' is no open number of samples"
    if any(d == -1 for tensor in inputs for d in tensor.shape[1:]):
        return "other axes than the first are open too, so that no sample can be made to check it by running"
    normal = read(path)
    told = normal.model.metadata_props
    added = _added(outputs) if KEY in told else ()
    if added and recorded(told, f"'{path}'").options.get("top_k") is not None:
        return "the file explains several classes of each sample in a loop, which no proof looks into"
    proven = [t.name for t in outputs if t.name not in added]
    shapes = {t.name: (1, *t.shape[1:]) for t in inputs}
    found = analyse(normal.model, dict.fromkeys(shapes, 0), shapes, outputs=proven)
    if isinstance(found, Mixed):
        return f"samples are not proven to be independent: {found.node} {found.reason}"
    for name in proven:
        if found.axes.get(name) != 0:
            return f"samples are not proven to lie along the first axis of output '{name}'"
    return _why_different(path, inputs, outputs)


def _added(outputs: tuple[Tensor, ...]) -> tuple[str, ...]:
    return tuple(t.name for t in outputs if t.name.startswith(_ADDED) or t.name == "target")


def _why_different(path: Path, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> str | None:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    batch = {t.name: _random(rng, t) for t in inputs}
    names = [t.name for t in outputs]
    ones = [{k: v[n : n + 1] for k, v in batch.items()} for n in range(_RUNS)]
    try:
        together, alone = _run(session, names, batch), [_run(session, names, one) for one in ones]
    except Exception as error:  # onnxruntime's have no common base
        return f"the file does not run on random numbers ({' '.join(str(error).split()):.200})"
    for name, array in together.items():
        if array.shape[:1] != (_RUNS,) or not _same(array, np.concatenate([a[name] for a in alone])):
            return f"three samples at once get another '{name}' than one by one"
    return None


def _run(session: ort.InferenceSession, names: list[str], arrays: Arrays) -> Arrays:
    return dict(zip(names, session.run(names, arrays), strict=True))


def _random(rng: np.random.Generator, tensor: Tensor) -> Array:
    shape = (_RUNS, *tensor.shape[1:])
    if tensor.dtype.kind == "f":
        return rng.standard_normal(shape).astype(tensor.dtype)
    if tensor.dtype.kind == "O":
        return np.full(shape, "a", object)
    return rng.integers(0, 2, shape).astype(tensor.dtype)


def _same(a: Array, b: Array) -> bool:
    if a.dtype.kind != "f" or a.shape != b.shape:
        return bool(np.array_equal(a, b))
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    return bool(np.allclose(a, b, rtol=0, atol=_RTOL * scale, equal_nan=True))
