"""Every method with few points, what it is given, and why there is no file of some."""

from __future__ import annotations

import dataclasses
from typing import Any

import onnxplain as ox

__all__ = ["REFUSED", "few", "given"]

#: Why there is no file of a method, whatever the model; everything else must be written.
REFUSED = {
    "guided_ig": "looks at answers before it chooses its next points",
    "meaningful_perturbation": "looks at answers before it chooses its next points",
    "xrai": "cuts each image into regions of its own",
    "d_rise": "first looks for the detection that is explained",
    "tree_shap": "reads what single players contribute out of the model",
    "linear_shap": "reads what single players contribute out of the model",
}

_SMALL = {"n_steps": 5, "n_masks": 20, "n_samples": 16, "n_repeats": 2}
_AS_THEY_ARE = {"kernel_shap", "lime", "regression_adjusted_shapley", "partition_shap", "permutation_shapley"}
_ROWS = {"feature_permutation", "deep_lift_shap", "expected_gradients", "gradient_shap"}


def few(name: str, **parameters: Any) -> ox.Method:
    """Return a method with few points; of ``parameters`` it gets those that it has."""
    kind = ox.METHODS[name]
    fields = {f.name for f in dataclasses.fields(kind)}
    small = {} if name in _AS_THEY_ARE else _SMALL
    return kind(**{k: v for k, v in (small | parameters).items() if k in fields})


def given(method: ox.Method, *, players: Any, rows: Any, baseline: Any = None) -> dict[str, Any]:
    """Return what goes with a method: players, a background, or a baseline, where it takes one."""
    options: dict[str, Any] = {"feature_mask": players} if method.wants_players() else {}
    if method.name in _ROWS:
        options["baselines"] = ox.Background(rows)
    elif method.wants_baselines() and baseline is not None:
        options["baselines"] = baseline
    elif method.default_baseline() is not None:
        options["baselines"] = 0.0
    return options
