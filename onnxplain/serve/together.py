"""Requests joined into one, and its answer cut into theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnxplain._types import Array
from onnxplain.serve.asked import DELTA, Answer, Asked, Served
from onnxplain.serve.company import Company

__all__ = ["answer_together"]

#: What an answer in company may differ by from the one alone, relative to the largest value.
_RTOL = 1e-5


def answer_together(served: Served, asked: Sequence[Asked]) -> list[Answer] | None:
    """Answer several requests at once, if each gets what it would get alone.

    The first time that requests of a kind meet they are answered both ways, and compared.

    Parameters
    ----------
    served
        What answers.
    asked
        Prepared requests with equal keys.

    Returns
    -------
    list of Answer or None
        One for each request; None where they must be answered alone.
    """
    places = [a.company for a in asked if a.company is not None]
    trial = places[0].trial
    if trial.passed is False:
        return None
    joined = _cut(served.answer(_join(asked, places)), [p.n for p in places])
    if joined is None or trial.passed:
        return joined
    with trial.lock:
        alone = [served.answer(a) for a in asked]
        trial.passed = all(map(_same, joined, alone))
    return alone


def _join(asked: Sequence[Asked], places: Sequence[Company]) -> Asked:
    axes, first = places[0].axes, asked[0]
    arrays = {k: np.concatenate([a.arrays[k] for a in asked], axis) for k, axis in axes.items()}
    if first.target is None or isinstance(first.target, str):
        return replace(first, arrays=arrays, axes=axes)
    target = [
        t
        for a, p in zip(asked, places, strict=True)
        for t in (a.target if isinstance(a.target, list) else [a.target] * p.n)
    ]
    return replace(first, arrays=arrays, axes=axes, target=target)


def _cut(answer: Answer, lengths: Sequence[int]) -> list[Answer] | None:
    """Cut an answer; None where an output has no axis of samples, or not as many."""
    ends = np.cumsum(lengths)
    parts: dict[str, list[Array]] = {}
    for name, array in answer.outputs.items():
        axis = answer.axes[name]
        if axis is None or array.shape[axis] != ends[-1]:
            return None
        parts[name] = np.split(array, ends[:-1], axis)
    return [
        replace(answer, outputs={name: part[k] for name, part in parts.items()}) for k in range(len(lengths))
    ]


def _same(a: Answer, b: Answer) -> bool:
    return a.outputs.keys() == b.outputs.keys() and all(
        _close(array, b.outputs[name], b.outputs.get(name.removeprefix(DELTA)))
        for name, array in a.outputs.items()
    )


def _close(a: Array, b: Array, scores: Array | None) -> bool:
    """Tell whether two arrays are equal but for rounding; of a delta, that of the scores that it is about."""
    if a.shape != b.shape or a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    scale = max(float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in (b, scores) if v is not None)
    return bool(np.allclose(a, b, rtol=0, atol=_RTOL * scale, equal_nan=True))
