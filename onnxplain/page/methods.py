"""Which methods a page offers, and what it says of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from onnxplain.errors import MethodError
from onnxplain.methods import Method
from onnxplain.methods import method as make_method

__all__ = ["USUAL", "about", "chosen_methods", "title_of"]

#: By kind of page: what is offered where nobody asks for something else, as far as the model allows it.
USUAL: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "image": (
        ("lrp", {}),
        ("grad_cam", {}),
        ("integrated_gradients", {"n_steps": 16}),
        ("saliency", {}),
    ),
    "row": (
        ("exact_shapley", {}),
        ("kernel_shap", {"n_samples": 200}),
        ("feature_ablation", {}),
        ("integrated_gradients", {"n_steps": 16}),
    ),
    "tokens": (
        ("integrated_gradients", {"n_steps": 16}),
        ("lrp", {}),
        ("deep_lift", {}),
        ("input_x_gradient", {}),
    ),
}

_TITLES = {
    "cam": "CAM", "deep_lift": "DeepLIFT", "deep_lift_shap": "DeepLIFT SHAP", "eigen_cam": "Eigen-CAM",
    "grad_cam": "Grad-CAM", "grad_cam_plus_plus": "Grad-CAM++", "gradient_shap": "GradientSHAP",
    "guided_grad_cam": "Guided Grad-CAM", "hi_res_cam": "HiResCAM", "idgi": "IDGI",
    "input_x_gradient": "Input \u00d7 gradient", "kernel_shap": "KernelSHAP", "layer_cam": "LayerCAM",
    "lime": "LIME", "lrp": "LRP", "rise": "RISE", "score_cam": "Score-CAM", "smooth_grad": "SmoothGrad",
    "exact_shapley": "Shapley values", "x_grad_cam": "XGrad-CAM", "shapley_cam": "ShapleyCAM",
}  # fmt: skip

#: What the usual methods answer, in plain words.
_WORDS = {
    "lrp": "Shares the score out layer by layer, each unit to what made it fire; adds up to the score.",
    "grad_cam": "A coarse map of where the last feature maps speak for the class.",
    "integrated_gradients": "The gradient, summed up on the way from the baseline to this input; adds up to "
    "the change of the score.",
    "saliency": "How strongly the score reacts to each pixel, whichever way: the size of its gradient.",
    "exact_shapley": "What each column adds to the score, averaged over all orders of columns.",
    "kernel_shap": "Shapley values, estimated from many coalitions of columns.",
    "feature_ablation": "What the score loses when one column is replaced by the baseline.",
    "deep_lift": "What the difference from the baseline does, unit by unit; adds up exactly.",
    "input_x_gradient": "What each entry would add if the model were linear around this input.",
    "smooth_grad": "The gradient, averaged over noisy copies of the input.",
    "occlusion": "What the score loses while a window hides a part of the input.",
    "rise": "The score that is expected where a part of the input is kept, over many random masks.",
    "lime": "The slopes of a linear model that behaves like this one near the input.",
}


def title_of(method: Method) -> str:
    """Return what a method is called on the page."""
    return _TITLES.get(method.name, method.name.replace("_", " ").capitalize())


def about(method: Method) -> str:
    """Return a sentence on what a method answers: plain words, or the first line of its documentation."""
    first = (inspect.getdoc(type(method)) or "").splitlines()[:1]
    return _WORDS.get(method.name, " ".join(first).replace("``", ""))


def chosen_methods(
    methods: Sequence[str | Method] | Mapping[str, str | Method] | None, kind: str
) -> tuple[dict[str, Method], bool]:
    """Return methods by the name that their file has, and whether each must work.

    Parameters
    ----------
    methods
        As :func:`~onnxplain.page.write_page` takes them; None for those that are usual, which need not work.
    kind
        Of the page.

    Raises
    ------
    MethodError
        If one is unknown, two have one name, or a name cannot be that of a file.
    """
    if methods is None:
        return {name: make_method(name, **given) for name, given in USUAL[kind]}, False
    if isinstance(methods, (str, Method)):
        methods = [methods]
    pairs = methods.items() if isinstance(methods, Mapping) else [(None, m) for m in methods]
    made: dict[str, Method] = {}
    for label, each in pairs:
        method = make_method(each)
        name = method.name if label is None else str(label)
        if name in made:
            raise MethodError(f"there are two methods '{name}'; give a dict, by names of your own")
        if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
            raise MethodError(f"'{name}' cannot be a file's name; use letters, digits, - and _")
        if name in ("model", "prepare"):
            raise MethodError(f"a method cannot be called '{name}'; choose another name")
        made[name] = method
    if not made:
        raise MethodError("no method is given; name at least one")
    return made, True
