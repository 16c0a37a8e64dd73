"""Occlusion of random networks: windows asked about as patches, those that are not asked about, and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import ModelRunError
from onnxplain.graph.local import localise as writing
from onnxplain.runtime.plans import nearby as asking
from onnxplain.runtime.plans import run as running

from .sketch import run

if TYPE_CHECKING:
    from .drawing import Drawn

__all__ = ["windows"]

_CLOSE = 2e-4


def windows(drawn: Drawn) -> bool:
    """Compare occlusion by patches with a loop over the model; return whether there were patches."""
    rng = np.random.default_rng(drawn.seed)
    x = drawn.feeds["x0"]
    sides = x.shape[1:]
    window = tuple(int(rng.integers(1, max(2, side // 2 + 1))) for side in sides)
    window = (int(rng.choice([1, sides[0], window[0]])), *window[1:])
    strides = tuple(int(rng.integers(1, w + 1)) for w in window)
    baseline = _baseline(rng, x)
    feeds = {**drawn.feeds, "x0": x}
    size = int(rng.choice([1, 5, 64]))
    used: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        _always(patch, used)
        explainer = ox.Explainer(drawn.model, device="cpu", threads=1, accelerate=True)
        made = explainer(
            feeds, drawn.target[0], ox.Occlusion(window, strides), wrt="x0", baselines={"x0": baseline},
            internal_batch_size=size, through_softmax=True,
        ).values  # fmt: skip
    expected = _looped(drawn, feeds, baseline, window, strides)
    most = max(np.abs(expected).max(initial=0.0), 1e-2)
    off = np.abs(made - expected).max(initial=0.0)
    assert made.shape == expected.shape
    assert off <= _CLOSE * most, f"windows {window} by {strides}: off by {off} of {most}, patches {len(used)}"
    return bool(used)


def _baseline(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Draw what stands in windows: here and there what stands in the sample."""
    other = rng.standard_normal(x.shape).astype(np.float32)
    keep = rng.random(x.shape[2:]) < rng.choice([0.0, 0.5, 0.97])
    return np.where(keep, x, other)


def _always(patch: pytest.MonkeyPatch, used: list[Any]) -> None:
    """Have windows asked about as patches wherever they can be, whatever some give in full."""

    def believed(ready: asking.Nearby) -> bool:
        if any(v.shape[1:] != ready.local.shapes[k] for k, v in ready.wholes.items()):
            return False
        try:
            ready.scores(ready.points.which[:1])
        except ModelRunError:
            return False
        used.append(ready)
        return True

    patch.setattr(asking, "_GAIN", 0.0)
    patch.setattr(asking, "_FEWEST", 1)
    patch.setattr(writing, "_MOST", 1.0)
    patch.setattr(asking, "_right", believed)
    assert running.nearby is asking.nearby


def _looped(
    drawn: Drawn,
    feeds: dict[str, np.ndarray],
    baseline: np.ndarray,
    window: tuple[int, ...],
    strides: tuple[int, ...],
) -> np.ndarray:
    """Take windows away one by one."""
    x = feeds["x0"]

    def score(moved: np.ndarray) -> np.ndarray:
        return run(drawn.model, {**feeds, "x0": moved})[0][:, drawn.target[0]].astype(np.float64)

    here = score(x)
    counts = [-(-(d - w) // s) + 1 for d, w, s in zip(x.shape[1:], window, strides, strict=True)]
    total, times = np.zeros(x.shape), np.zeros(x.shape)
    for place in np.ndindex(*counts):
        inside = (
            slice(None),
            *(slice(p * s, p * s + w) for p, s, w in zip(place, strides, window, strict=True)),
        )
        moved = x.copy()
        moved[inside] = baseline[inside]
        lost = here - score(moved)
        total[inside] += lost[:, None, None, None]
        times[inside] += 1
    return total / times
