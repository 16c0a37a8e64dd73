"""Make the pictures of docs/gallery from trained models and real inputs.

Needs the models that ``tools/fetch_models.py`` puts into the cache folder::

    python tools/make_gallery.py            # all of them, some minutes
    python tools/make_gallery.py detector   # one
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import onnxplain as ox
from onnxplain import plots
from onnxplain.data import diabetes_background, diabetes_model_path
from onnxplain.plots.canvas import new_figure
from onnxplain.plots.image import image_png

sys.path.insert(0, str(Path(__file__).parent))

from real_inputs import RealModel, load
from real_inputs.texts import REVIEW

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
Array = NDArray[Any]

#: Methods for an image, with parameters that keep them quick; segments are players where there are any.
ON_PHOTOGRAPHS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("saliency", {}),
    ("input_x_gradient", {}),
    ("smooth_grad", {"n_samples": 20}),
    ("guided_backprop", {}),
    ("deconvolution", {}),
    ("integrated_gradients", {"n_steps": 50}),
    ("guided_ig", {"n_steps": 50}),
    ("blur_ig", {"n_steps": 50}),
    ("gradient_shap", {"n_samples": 30}),
    ("lrp", {"composite": "epsilon_plus_flat"}),
    ("excitation_backprop", {}),
    ("deep_lift", {}),
    ("grad_cam", {}),
    ("layer_cam", {}),
    ("score_cam", {}),
    ("guided_grad_cam", {}),
    ("xrai", {}),
    ("occlusion", {"sliding_window_shapes": (3, 32, 32), "strides": (3, 16, 16)}),
    ("rise", {"n_masks": 1000}),
    ("meaningful_perturbation", {}),
    ("feature_ablation", {}),
    ("kernel_shap", {"n_samples": 500}),
    ("lime", {"n_samples": 500}),
)

BY_SEGMENTS = ("feature_ablation", "kernel_shap", "lime")


def classifier() -> None:
    """Explain MobileNetV2's cat, by every method for photographs."""
    real = load("mobilenetv2")
    explainer = ox.Explainer(real.path)
    panels(
        explainer,
        real,
        ON_PHOTOGRAPHS,
        "classifier",
        "why is this an Egyptian cat? (MobileNetV2)",
        "segments",
    )


def detector() -> None:
    """Explain YuNet's face: its score at the place where it is."""
    real = load("yunet")
    methods = (
        *(m for m in ON_PHOTOGRAPHS if m[0] in ("saliency", "integrated_gradients", "lrp", "deep_lift")),
        ("grad_cam", {}),
        ("occlusion", {"sliding_window_shapes": (3, 80, 80), "strides": (3, 40, 40)}),
        ("rise", {"n_masks": 300}),
    )
    panels(ox.Explainer(real.path), real, methods, "detector", "why is there a face? (YuNet)", bgr=True)


def segmentation() -> None:
    """Explain U2-Net's salient object: the sum of its map over a region."""
    real = load("u2netp")
    explainer = ox.Explainer(real.path)
    saliency = explainer.predict(real.feeds)[real.output]
    region = ox.Region(saliency[0, 0] > 0.5)
    methods = (
        *(m for m in ON_PHOTOGRAPHS if m[0] in ("saliency", "lrp")),
        ("integrated_gradients", {"n_steps": 20}),
        ("occlusion", {"sliding_window_shapes": (3, 40, 40), "strides": (3, 40, 40)}),
    )
    panels(explainer, real, methods, "segmentation", "why is this the object? (U2-Net)", target=region)


def letters() -> None:
    """Explain a letter that a text recogniser read: one step of its sequence."""
    real = load("ocr_rec")
    methods = (("saliency", {}), ("integrated_gradients", {}), ("lrp", {"composite": "epsilon_plus"}),
               ("occlusion", {"sliding_window_shapes": (3, 48, 12), "strides": (3, 48, 6)}))  # fmt: skip
    panels(
        ox.Explainer(real.path),
        real,
        methods,
        "letters",
        "why is this an R? (PaddleOCR)",
        across=1,
        wide=True,
    )


def text() -> None:
    """Explain a film review by its words, with four methods."""
    real = load("movie_review")
    with real.path.with_name("movie_words.txt").open(encoding="utf-8") as lines:
        numbers = {line.split(" ", 1)[0]: place for place, line in enumerate(lines)}
    unknown = numbers["<unk>"]
    words = ox.Words.of(
        REVIEW.lower(), lambda word: [numbers.get(word, unknown)], ids="input", mask=None, instead=unknown,
        split=lambda line: re.findall(r"\w+|[^\w\s]", line),
    )  # fmt: skip
    explainer = ox.Explainer(real.path)
    methods: Mapping[str, dict[str, Any]] = {
        "integrated_gradients": {},
        "feature_ablation": words.players,
        "kernel_shap": words.players,
        "lime": {"perturbation": "uniform", **words.players},
    }
    figure = new_figure(8, 4.4)
    for ax, (name, options) in zip(figure.subplots(4, 1), methods.items(), strict=True):
        found = explainer(words.inputs, method=name, **options)
        rows = words.named(found)[0]
        heights, named = np.array([v for _, v in rows]), [w for w, _ in rows]
        plots.draw(heights, np.arange(len(rows)), kind="tokens", labels=named, ax=ax, title=name)
    write(figure, "text")


def table() -> None:
    """Explain how a disease goes on, by trees of which every number is exact."""
    rows, background = diabetes_background(), diabetes_background()
    found = ox.explain(diabetes_model_path(), rows, method="tree_shap", baselines=background)
    figure = new_figure(11, 4.2)
    first, second = figure.subplots(1, 2)
    found.plot(0, kind="waterfall", ax=first)
    found.plot(kind="beeswarm", ax=second)
    write(figure, "table")


def sound() -> None:
    """Show what in 36 ms of speech tells a detector that there is a voice."""
    real = load("silero")
    explainer = ox.Explainer(real.path)
    figure = new_figure(9, 4)
    for ax, name in zip(figure.subplots(2, 1), ("integrated_gradients", "occlusion"), strict=True):
        options: dict[str, Any] = (
            {"sliding_window_shapes": (32,), "strides": (8,)} if name == "occlusion" else {}
        )
        found = explainer(real.feeds, method=ox.method(name, **options), wrt="input")
        plots.draw(found.arrays["input"][0], real.feeds["input"][0], kind="series", ax=ax, title=name)
    write(figure, "sound")


def units() -> None:
    """Show what units of MobileNetV2 look for."""
    real = load("mobilenetv2")
    figure = new_figure(9, 3.3)
    axes = figure.subplots(1, 3)
    for ax, (title, unit) in zip(
        axes, {"Egyptian cat": 285, "espresso": 967, "volcano": 980}.items(), strict=True
    ):
        found = ox.visualise(real.path, unit=unit, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        ax.imshow(np.moveaxis(np.clip(found.pixels, 0, 1), 0, -1))
        ax.set_title(title)
        ax.set_axis_off()
    write(figure, "units")


def panels(
    explainer: ox.Explainer,
    real: RealModel,
    methods: tuple[tuple[str, dict[str, Any]], ...],
    name: str,
    title: str,
    mask: str | None = None,
    *,
    target: Any = None,
    across: int = 6,
    wide: bool = False,
    bgr: bool = False,
) -> None:
    """Draw what methods find in one image, a small picture each."""
    feature = next(iter(real.feeds))
    given = np.asarray(real.feeds[feature])
    asked = tuple(real.target[1:]) if target is None else target
    asked = asked[0] if isinstance(asked, tuple) and len(asked) == 1 else asked
    shown = given[0][::-1] if bgr else given[0]
    drawn = [("input", image_png(None, shown))]
    for kind, options in methods:
        method = ox.method(kind, **options)
        players = {"feature_mask": mask} if mask and kind in BY_SEGMENTS else {}
        began = time.perf_counter()
        found = explainer(real.feeds, asked, method, output=real.output, **players)
        print(f"{name}: {kind} {time.perf_counter() - began:.1f} s", flush=True)
        drawn.append((kind, image_png(found.arrays[feature][0], shown, over=True)))
    down = -(-len(drawn) // across)
    size = (9.0, 0.9 * down) if wide else (1.6 * across, 1.8 * down)
    figure = new_figure(size[0], size[1] + 0.4)
    figure.suptitle(title, fontsize=11)
    for ax in (axes := figure.subplots(down, across, squeeze=False)).ravel():
        ax.set_axis_off()
    for ax, (caption, png) in zip(axes.ravel(), drawn, strict=False):
        ax.imshow(np.asarray(Image.open(io.BytesIO(png))))
        ax.set_title(caption, fontsize=8)
    write(figure, name)


def write(figure: Any, name: str) -> None:
    """Write a small PNG file of few colours."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=110)
        with Image.open(buffer) as picture:
            small = picture.convert("RGB").quantize(200, dither=Image.Dither.NONE)
    FOLDER.mkdir(parents=True, exist_ok=True)
    small.save(FOLDER / f"{name}.png", optimize=True)
    print(f"wrote {name}.png, {(FOLDER / f'{name}.png').stat().st_size / 1000:.0f} kB", flush=True)


PICTURES: dict[str, Callable[[], None]] = {
    made.__name__: made for made in (classifier, detector, segmentation, letters, text, table, sound, units)
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or PICTURES:
        PICTURES[chosen]()
