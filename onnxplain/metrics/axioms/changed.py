"""Explaining a changed model at the samples of a trial, and how far what is found differs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from onnxplain._types import Arrays, FloatArray, IntArray
from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError, MethodError
from onnxplain.explainer import Explainer
from onnxplain.graph.facts import n_bytes
from onnxplain.graph.normalize import Normalized
from onnxplain.metrics.trial import Trial
from onnxplain.runtime import axes as moved

__all__ = [
    "apart",
    "changed",
    "explained",
    "largest",
    "refuse_inner",
    "refuse_integers",
    "refuse_masks",
    "same",
]

#: Of models whose weights take no more bytes than this the changed ones are kept, as long as the model is:
#: other methods ask for the same ones.
_SMALL = 2**24
_KEPT: WeakKeyDictionary[Explainer, dict[Hashable, Explainer | None]] = WeakKeyDictionary()


def changed(
    explainer: Explainer, key: Hashable, change: Callable[[Normalized], Normalized | None]
) -> Explainer | None:
    """Return an explainer of a changed model; None where the change finds nothing to do.

    Parameters
    ----------
    explainer
        Of the model.
    key
        What is changed; the same for the same change.
    change
        Makes it, of the model in normal form, which it does not touch.
    """
    kept = _KEPT.setdefault(explainer, {})
    if key in kept:
        return kept[key]
    size, nothing = 0, False

    def told(normal: Normalized) -> Normalized:
        nonlocal size, nothing
        tensors = [v.const_value for v in normal.model.graph.initializers.values()]
        size = sum(n_bytes(t) for t in tensors if t is not None)
        made = change(normal)
        nothing = made is None
        return made or normal

    other = explainer.with_model(told)
    found = None if nothing else other
    if size <= _SMALL:
        kept[key] = found
    return found


def explained(
    trial: Trial,
    explainer: Explainer,
    features: Arrays | None = None,
    *,
    like: Mapping[str, str] | None = None,
    target: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Attribution:
    """Explain a trial's samples by its method, of another model.

    Parameters
    ----------
    trial
        The samples.
    explainer
        Of the other model; it takes the same inputs, and those of ``features``.
    features
        What is explained, (n, ...) by input; the samples' own if it is left out.
    like
        By input that the trial's model has not: the one beside which its samples lie.
    target
        What is explained; the trial's own if it is left out.
    options
        What the explainer is told, in place of ``trial.options``.

    Raises
    ------
    MethodError
        If what is explained is a value inside the model.
    """
    refuse_inner(trial)
    layout, given = trial.posed.samples.layout, trial.posed.samples.arrays
    features = trial.features if features is None else features
    like = like or {}
    laid = {k: moved.laid_out(v, layout.axes[like.get(k, k)]) for k, v in features.items()}
    told = dict(trial.options if options is None else options) | {"method": trial.method}
    asked = targets(trial, np.arange(trial.n)) if target is None else target
    if layout.whole and isinstance(asked, list):
        (asked,) = asked
    return explainer({**given, **laid}, asked, wrt=tuple(features), **told)


def targets(trial: Trial, rows: IntArray) -> Any:
    """Return the targets of some samples; detections as they were given, for methods that look for boxes."""
    if trial.problem.reader is None:
        return trial.targets(rows)
    several = isinstance(trial.target, (list, tuple))
    return [trial.target[r] for r in rows] if several else trial.target


def same(a: FloatArray, b: FloatArray) -> bool:
    """Tell whether two models' scores are the same, but for rounding."""
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * max(float(np.abs(b).max(initial=0)), 1e-6)))


def largest(values: Mapping[str, FloatArray]) -> FloatArray:
    """Return the largest magnitude of each sample, (n,)."""
    return np.asarray(np.max([np.abs(v).reshape(len(v), -1).max(1, initial=0) for v in values.values()], 0))


def apart(
    found: Mapping[str, FloatArray], own: Mapping[str, FloatArray], scale: FloatArray | None = None
) -> FloatArray:
    """Return how far attributions differ: the largest difference over the largest magnitude, (n,).

    Parameters
    ----------
    found, own
        (n, ...) by feature.
    scale
        (n,): the magnitude; by default the larger one of the two.
    """
    scale = np.maximum(largest(found), largest(own)) if scale is None else scale
    off = largest({k: found[k] - v for k, v in own.items()})
    return np.asarray(off / np.where(scale > 0, scale, 1.0))


def refuse_inner(trial: Trial) -> None:
    """Refuse features that are values inside the model.

    Raises
    ------
    MethodError
        If there is one.
    """
    strange = [k for k in trial.features if k not in trial.posed.samples.arrays]
    if strange:
        raise MethodError(
            f"'{strange[0]}' is a value inside the model, and this metric explains other models with the "
            "same inputs; measure attributions of inputs"
        )


def refuse_integers(trial: Trial, what: str) -> None:
    """Refuse features that are no floats.

    Raises
    ------
    DataInputError
        If there is one.
    """
    for name, array in trial.features.items():
        if array.dtype.kind != "f":
            raise DataInputError(
                f"the metric '{what}' adds numbers to inputs and takes floats only, and '{name}' holds "
                f"{array.dtype}; name float inputs with wrt="
            )


def refuse_masks(trial: Trial, what: str) -> None:
    """Refuse a feature mask that is an array: the changed model's inputs have another shape.

    Raises
    ------
    MethodError
        If there is one.
    """
    mask = trial.options.get("feature_mask")
    if mask is not None and not isinstance(mask, str):
        raise MethodError(
            f"the metric '{what}' explains inputs of another shape, which the feature_mask of "
            "explain_options does not fit; name a kind of players, such as 'columns' or 'segments'"
        )
