"""What explainers are told of each method, and the problem that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxplain.answering import Posed
from onnxplain.errors import OnnxplainError
from onnxplain.evaluation.chosen import Entry
from onnxplain.explainer import Explainer
from onnxplain.features.segments import SEGMENTERS, Segments
from onnxplain.methods import Method
from onnxplain.metrics.base import Asking
from onnxplain.runtime.axes import laid_out
from onnxplain.text import visible_line

__all__ = ["in_words", "informed", "posed_for", "settled_mask", "told"]


def told(error: OnnxplainError) -> str:
    """Say an error in one line, with its name."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def informed(entry: Entry[Method], options: Mapping[str, Any], mask: Any) -> Entry[Method]:
    """Return a method with all that the explainer is told for it: what it has a use for."""
    told = ({} if mask is None else {"feature_mask": mask}) | dict(options)
    uses = {
        "baselines": entry.made.wants_baselines(),
        "feature_mask": entry.made.wants_players(),
    }
    return replace(entry, options={k: v for k, v in told.items() if uses[k]} | dict(entry.options))


def posed_for(
    explainer: Explainer,
    inputs: Any,
    target: Any,
    entries: Sequence[Entry[Method]],
    asked: Mapping[str, Any],
    baselines: Any,
    mask: Any,
) -> Posed:
    """Pose what metrics will look at, so that what does not fit is told before anything is measured."""
    names = asked["wrt"]
    for entry in entries:
        try:
            told = {**asked, **entry.options}
            shown = explainer.pose(inputs, target, entry.made, settled=False, **told).samples.infos
        except OnnxplainError:  # it will be in its cells
            continue
        names = tuple(i.name for i in shown)
        break
    beside = {"baselines": baselines, "feature_mask": mask}
    return explainer.pose(inputs, target, Asking(), **{**asked, **beside, "wrt": names})


def settled_mask(mask: Any, posed: Posed) -> Any:
    """Return segments as integers, so that they are found once; what else there is stays as it is.

    Parameters
    ----------
    mask
        As users give it.
    posed
        The problem that was posed with it.
    """
    found = isinstance(mask, Segments) or callable(mask) or _named(mask)
    features, given = posed.problem.features, posed.samples.arrays
    if not found or set(features) != set(given):  # others explain other inputs, for which they must be found
        return mask
    axes = posed.samples.layout.axes
    ids = {
        k: np.broadcast_to(v, (posed.samples.n, *v.shape[1:])) for k, v in posed.problem.players.ids.items()
    }
    return {k: laid_out(v, axes[k]) for k, v in ids.items()}


def _named(mask: Any) -> bool:
    return isinstance(mask, str) and (mask == "segments" or mask in SEGMENTERS)


def in_words(target: Any) -> str:
    """Say what is explained."""
    if target is None:
        return "the only score"
    if isinstance(target, str):
        return f"the {target} class"
    if isinstance(target, (list, np.ndarray)):
        return "a target for each sample"
    return visible_line(f"{target!r}")[:80]
