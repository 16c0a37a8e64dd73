"""What is not typed is what Python takes where it is not given."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command_line import MODEL, run, two_inputs

import onnxplain as ox
from onnxplain.commands import cli
from onnxplain.commands.demo import run_demo
from onnxplain.image_files import load_image, preprocessing_for

if TYPE_CHECKING:
    from collections.abc import Callable

#: By command and option: the function and its argument that the option is for.
MEANT: dict[str, dict[str, tuple[Callable[..., Any], str]]] = {
    "explain": {
        "target": (ox.Explainer.__call__, "target"),
        "output_name": (ox.Explainer.__call__, "output"),
        "baseline": (ox.Explainer.__call__, "baselines"),
        "rows": (ox.Explainer.__call__, "baselines"),
        "layer": (ox.Explainer.__call__, "layer"),
        "neuron": (ox.Explainer.__call__, "neuron"),
        "feature_mask": (ox.Explainer.__call__, "feature_mask"),
        "at_once": (ox.Explainer.__call__, "internal_batch_size"),
        "input_name": (ox.Explainer.__call__, "wrt"),
        "device": (ox.Explainer.__init__, "device"),
        "layout": (preprocessing_for, "layout"),
        **{name: (load_image, name) for name in ("size", "mean", "std", "scale", "preset")},
    },
    "evaluate": {
        "target": (ox.evaluate, "target"),
        "output_name": (ox.evaluate, "output"),
        "baseline": (ox.evaluate, "baselines"),
        "input_name": (ox.evaluate, "wrt"),
        "at_once": (ox.evaluate, "internal_batch_size"),
        **{name: (ox.evaluate, name) for name in ("masks", "feature_mask", "seed", "level", "resume")},
        "block_size": (ox.evaluate, "block_size"),
        "device": (ox.Explainer.__init__, "device"),
        "layout": (preprocessing_for, "layout"),
        **{name: (load_image, name) for name in ("size", "mean", "std", "scale", "preset")},
    },
    "inspect": {"composite": (ox.inspect, "composite"), "output_name": (ox.inspect, "output")},
    "export": {
        "method": (ox.export, "method"),
        "output_name": (ox.export, "output"),
        **{
            name: (ox.export, name)
            for name in ("form", "batch", "card", "top_k", "shapes", "precision", "target_opset")
        },
    },
    "demo": {"folder": (run_demo, "folder")},
}
#: Options for files and the terminal, and those that only add parameters where they are given.
OWN = {
    *("params", "composite", "out", "labels", "names", "ids", "quiet", "debug"),
    *("box", "detection", "region", "memory"),
    "method",  # of tables it is auto
    *("methods", "metrics", "count"),  # there are usual ones on the command line
    *("predicted", "images", "layout", "size", "mean", "std", "scale", "preset"),  # of files that take images
}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("command", MEANT)
def test_options_default_to_what_python_does(command: str) -> None:
    given, meant = defaults(getattr(cli, command)), MEANT[command]
    assert set(given) - set(meant) <= OWN, "an option that stands for an argument is compared with it"
    for option, (function, argument) in meant.items():
        wanted = defaults(function)[argument]
        assert given[option] == (Path(wanted) if command == "demo" else wanted), option
    for option in OWN & set(given) - set(meant):
        assert given[option] in (None, False), option


def test_explain_without_options_is_the_call_without_options(folder: Path) -> None:
    two_inputs(folder / "two.onnx")
    x = {name: np.array([[1.0, 2.0, 3.0]], np.float32) * k for k, name in enumerate("ab", 1)}
    np.savez("in.npz", **x)
    run("explain", "two.onnx", "in.npz", "-o", "out.npz", "-q")
    told, made = ox.Attribution.load("out.npz"), ox.Explainer("two.onnx")(x)
    assert told.method == made.method
    assert list(told.arrays) == list(made.arrays)
    for name, values in made.arrays.items():
        np.testing.assert_array_equal(told.arrays[name], values)


def test_of_several_scores_the_predicted_one_is_explained(folder: Path) -> None:
    """Where the call without a target is refused, for there is nobody to ask."""
    run("explain", MODEL, "digits.npy", "-m", "saliency", "-o", "out.npz", "-q")
    explainer, x = ox.Explainer(MODEL), np.load("digits.npy")
    told, made = ox.Attribution.load("out.npz"), explainer(x, "predicted", "saliency")
    np.testing.assert_array_equal(told.values, made.values)
    with pytest.raises(ox.errors.TargetError):
        explainer(x, method="saliency")


def test_export_without_options_is_the_call_without_options(folder: Path) -> None:
    run("export", MODEL, "told.onnx", "-q")
    ox.export(MODEL, "made.onnx")
    assert (folder / "told.onnx").read_bytes() == (folder / "made.onnx").read_bytes()
