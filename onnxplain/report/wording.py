"""Results in words: predictions, targets and checks, for the command line and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain._types import Array
    from onnxplain.attribution import Attribution
    from onnxplain.graph.interface import InputInfo, OutputInfo

__all__ = [
    "check_text",
    "interface_text",
    "label_of",
    "percent",
    "prediction_text",
    "target_text",
    "total_of",
]

#: How many classes a prediction names.
TOP = 3


def label_of(index: int, labels: Sequence[str] | None) -> str:
    """Name a class: its number, with its label where there is one."""
    known = labels is not None and 0 <= index < len(labels) and labels[index] != str(index)
    return f"{index} {labels[index]}" if known and labels is not None else str(index)


def prediction_text(output: Array, labels: Sequence[str] | None = None) -> str:
    """Say what a model gave for one sample.

    Parameters
    ----------
    output
        One sample's output, without the batch axis.
    labels
        Class names.

    Returns
    -------
    str
        Such as ``"7 (50.8 %), 2 (49.2 %)"``: the largest first, in per cent if they are
        probabilities; the number itself for a single score; the shape where there are more axes.
    """
    scores = np.asarray(output)
    if scores.size == 1:
        return f"{float(scores.ravel()[0]):.4g}"
    if scores.ndim != 1:
        return f"an array of shape {scores.shape}"
    scores = scores.astype(np.float64)
    likely = bool(np.all((scores >= 0) & (scores <= 1)) and abs(scores.sum() - 1) < 1e-3)
    best = np.argsort(-scores, kind="stable")[:TOP]
    parts = []
    for place, index in enumerate(best.tolist()):
        if likely and place and scores[index] < 0.0005:
            break
        shown = f"{scores[index]:.1%}".replace("%", " %") if likely else f"{scores[index]:.4g}"
        parts.append(f"{label_of(index, labels)} ({shown})")
    return ", ".join(parts)


def interface_text(entry: InputInfo | OutputInfo) -> str:
    """Describe one of a model's inputs or outputs: name, dtype, shape."""
    dtype = "?" if entry.dtype is None else entry.dtype.name
    shape = "any shape"
    if entry.shape is not None:
        sides = ("?" if length is None else str(length) for length in entry.shape)
        shape = " x ".join(sides) or "one number"
    return f"{entry.name}: {dtype}, {shape}"


def target_text(result: Attribution, sample: int = 0, labels: Sequence[str] | None = None) -> str:
    """Name the score that was explained for one sample."""
    target = np.asarray(result.target)
    if target.dtype.kind == "f":
        return f"a weighted sum of {np.count_nonzero(target[sample])} of {target[sample].size} scores"
    index = [int(i) for i in target[sample].ravel()]
    if not index:
        return "the only score"
    return label_of(index[0], labels) if len(index) == 1 else str(tuple(index))


def total_of(result: Attribution, sample: int = 0) -> float:
    """Add up one sample's attribution over all inputs."""
    return float(sum(values[sample].sum(dtype=np.float64) for values in result.arrays.values()))


def check_text(result: Attribution, sample: int = 0) -> str:
    """Say what the attribution sums to, and what it must sum to.

    Returns
    -------
    str
        Such as ``"sums to 11.83, must be 11.84: off by 0.01 (0.1 %)"``.
    """
    total = total_of(result, sample)
    relative = result.relative_delta
    if result.delta is None or result.reference is None or relative is None:
        return f"sums to {total:.4g} (this method promises no sum)"
    return (
        f"sums to {total:.4g}, must be {float(result.reference[sample]):.4g}: "
        f"off by {abs(float(result.delta[sample])):.2g} ({percent(float(relative[sample]))})"
    )


def percent(share: float) -> str:
    """Write a share in per cent, with as many digits as make sense."""
    if share < 0.0001:
        return "less than 0.01 %"
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"
