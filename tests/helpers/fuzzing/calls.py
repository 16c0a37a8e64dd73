"""What calls must not depend on: what was asked before, rows at once, whether lengths are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

import onnxplain as ox
from onnxplain.errors import OnnxplainError

from .forms import METHODS, differ

if TYPE_CHECKING:
    from pathlib import Path

    from .drawing import Drawn

__all__ = ["blocks", "exported", "lengths", "remembered"]

Rng = np.random.Generator

#: Methods that ask for scores at points, by what makes them quick.
DRIVERS: dict[str, Any] = {
    "occlusion": lambda: ox.Occlusion(),
    "feature_ablation": lambda: ox.FeatureAblation(),
    "rise": lambda: ox.RISE(n_masks=12, seed=3),
    "kernel_shap": lambda: ox.KernelShap(n_samples=20, seed=3),
    "lime": lambda: ox.Lime(n_samples=20, seed=3),
    "shapley_value_sampling": lambda: ox.ShapleyValueSampling(n_samples=3, seed=3),
    "feature_permutation": lambda: ox.FeaturePermutation(seed=3),
    "smooth_grad": lambda: ox.SmoothGrad(n_samples=5, seed=3),
    "expected_gradients": lambda: ox.ExpectedGradients(n_samples=5, seed=3),
    "gradient_shap": lambda: ox.GradientShap(n_samples=5, seed=3),
    "integrated_gradients": lambda: ox.IntegratedGradients(n_steps=5),
    "deep_lift_shap": lambda: ox.DeepLiftShap(),
}


def _said(explainer: ox.Explainer, *given: Any, **options: Any) -> dict[str, np.ndarray] | str:
    try:
        made = explainer(*given, **options)
    except OnnxplainError as error:
        return f"{type(error).__name__}: {error}"
    return {**made.arrays, "score": made.score, "predictions": made.predictions}


def _explainer(model: onnx.ModelProto, accelerate: Any = "auto") -> ox.Explainer:
    return ox.Explainer(model, device="cpu", threads=1, accelerate=accelerate)


def _classes(drawn: Drawn) -> int:
    return int(drawn.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)


def _asked(drawn: Drawn, rng: Rng) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Draw the arguments of a call."""
    n = int(rng.integers(1, len(drawn.feeds["x0"]) + 1))
    feeds = {k: v[:n] if v.ndim else v for k, v in drawn.feeds.items()}
    how = int(rng.integers(5))
    x = feeds["x0"]
    if how == 1:
        x = np.asfortranarray(x)
    elif how == 2:
        x = x[::-1]
    elif how == 3:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif how == 4:
        x = x.astype(rng.choice([np.float64, np.float16]))
    feeds["x0"] = x
    classes = _classes(drawn)
    target = [
        int(rng.integers(classes)), rng.integers(0, classes, n).tolist(), "predicted",
        ox.Weights(rng.normal(size=(n, classes)).astype(np.float32)),
    ][int(rng.integers(4))]  # fmt: skip
    names = [*METHODS, *DRIVERS]
    name = names[int(rng.integers(len(names)))]
    options: dict[str, Any] = {"wrt": list(drawn.floats)}
    if rng.random() < 0.5:
        options["internal_batch_size"] = int(rng.integers(1, 7))
    if rng.random() < 0.3:
        options["through_softmax"] = True
    if "shap" in name or rng.random() < 0.3:
        start = {k: v[: int(rng.choice([1, n]))] for k, v in drawn.baselines.items()}
        options["baselines"] = start if rng.random() < 0.8 else 0.0
    return (feeds, target, (METHODS.get(name) or DRIVERS[name])()), options


def remembered(drawn: Drawn, rng: Rng) -> None:
    """Calls one after the other find what each finds by itself."""
    once = _explainer(drawn.model, ["auto", True, False][int(rng.integers(3))])
    asked = [_asked(drawn, rng) for _ in range(3)]
    asked.append(asked[0])
    alone: dict[int, Any] = {}
    for given, options in asked:
        found = _said(once, *given, **options)
        if id(given) not in alone:
            alone[id(given)] = _said(_explainer(drawn.model), *given, **options)
        said = differ(found, alone[id(given)])
        assert not said, f"{given[2]}, {given[1]}, {options}: {said}"


def blocks(drawn: Drawn, rng: Rng) -> None:
    """Whatever number of rows goes at once, and one by one, the same is found."""
    name = list(DRIVERS)[int(rng.integers(len(DRIVERS)))]
    method, explainer = DRIVERS[name](), _explainer(drawn.model)
    options: dict[str, Any] = {"wrt": list(drawn.floats)}
    start = drawn.baselines if rng.random() < 0.7 or "shap" in name else None
    if start is not None:
        options["baselines"] = start
    target = drawn.target[0]
    whole = _said(explainer, drawn.feeds, target, method, **options)
    for size in (1, 2, 5):
        said = differ(
            _said(explainer, drawn.feeds, target, method, **options, internal_batch_size=size), whole
        )
        assert not said, f"{name}, {size} at once: {said}"
    said = differ(_said(_explainer(drawn.model, False), drawn.feeds, target, method, **options), whole)
    assert not said, f"{name}, portable: {said}"


def lengths(drawn: Drawn, rng: Rng) -> None:
    """Whether the batch is open or fixed changes nothing."""
    name = list(METHODS)[int(rng.integers(len(METHODS)))]
    options: dict[str, Any] = {"wrt": list(drawn.floats)}
    if name in ("deep_lift", "reveal_cancel", "integrated_gradients"):
        options["baselines"] = drawn.baselines
    found = []
    for length in ("N", len(drawn.feeds["x0"]), 1):
        model = onnx.ModelProto()
        model.CopyFrom(drawn.model)
        weights = {i.name for i in model.graph.initializer}
        for value in (*model.graph.input, *model.graph.output):
            dims = value.type.tensor_type.shape.dim
            if dims and value.name not in weights:
                dims[0].Clear()
                if isinstance(length, str):
                    dims[0].dim_param = length
                else:
                    dims[0].dim_value = length
        found.append(_said(_explainer(model), drawn.feeds, drawn.target[0], METHODS[name](), **options))
    if drawn.batch is None and not any(isinstance(f, str) for f in found):
        for fixed in found[1:]:
            said = differ(fixed, found[0])
            assert not said, f"{name}: {said}"


def exported(drawn: Drawn, rng: Rng, folder: Path) -> None:
    """Files of every form find what explainers find."""
    names = [*METHODS, *DRIVERS]
    name = names[int(rng.integers(len(names)))]
    method = (METHODS.get(name) or DRIVERS[name])()
    form = str(rng.choice(["portable", "cpu", "accelerated"]))
    options: dict[str, Any] = {"wrt": list(drawn.floats)}
    if "shap" in name or rng.random() < 0.3:
        options["baselines"] = {k: v[:1] for k, v in drawn.baselines.items()}
    try:
        file = ox.export(drawn.model, folder / "made.onnx", method=method, form=form, **options)
    except OnnxplainError:
        return
    rows = {k: v[: drawn.batch or 3] if v.ndim else v for k, v in drawn.feeds.items()}
    start = {k: v for k, v in options.items() if k == "baselines"}
    named = all(f"attribution/{k}" in file.outputs for k in drawn.floats)  # else the model has such a name
    if named and not file.mixed:
        made = ox.verify(file.path, drawn.model, rows, **start)
        assert made, f"{name}, {form}: {made}"
