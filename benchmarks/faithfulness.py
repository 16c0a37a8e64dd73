"""Deletion and insertion: whether what a method calls relevant matters to the trained model.

    python benchmarks/faithfulness.py [--models mobilenetv2 ...] [--ways keep drop ...] [--json FILE]

The places of a picture are replaced by those of a picture without content (blurred, or the ground of a
drawing) in the order of their relevance (deletion, which should lower the probability soon), or put into it
in that order (insertion, which should raise it soon).  Printed are, over all pictures, the means of the areas
under the two curves of the probability of the class first predicted, the mean difference from the first row
picture by picture with its standard error, and the mean of |delta| / |score|.  Needs scikit-image, SciPy,
Pillow, and the models of ``tools/fetch_models.py``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from timing import write_json

import onnxplain as ox

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import real_inputs
from real_inputs.images import IMAGENET_MEAN, IMAGENET_STD, channels_first, photograph, resized

Array = Any

PHOTOGRAPHS = ("chelsea", "astronaut", "coffee", "rocket", "camera", "page", "coins", "horse")
STEPS = 20

#: What is compared: method and options by the name of the row; the first is what others are compared with.
WAYS: dict[str, dict[str, Any]] = {
    **{bias: {"method": "lrp", "bias": bias} for bias in ("keep", "drop", "spread", "scale")},
    **{
        f"{name} {bias}": {"method": "lrp", "composite": name, "bias": bias}
        for name in ("epsilon", "epsilon_alpha2_beta1")
        for bias in ("keep", "spread", "scale")
    },
    "input times gradient": {"method": "input_x_gradient"},
    "integrated gradients": {"method": "integrated_gradients", "n_steps": 20},
}


@dataclass(frozen=True)
class Subject:
    """A model and pictures for it.

    Attributes
    ----------
    pictures
        Yields inputs, (1, C, H, W) or (1, H, W, C).
    channels
        Axis of the channels.
    probability
        Turns the model's output into probabilities.
    target
        Index of the score, or None for the class predicted.
    sigma
        Deviation of the blur in pixels; 0 replaces by the picture's corner, the ground of a drawing.
    """

    pictures: Callable[[], Iterator[Array]]
    channels: int = 1
    probability: Callable[[Array], Array] = lambda y: real_inputs.softmax(y)
    target: tuple[int, ...] | None = None
    sigma: float = 10.0


def photographs(width: int, height: int) -> Iterator[Array]:
    """Return three pieces of each of scikit-image's photographs, first the middles, 0 to 255, (H, W, 3)."""
    for part, name in itertools.product((0.5, 0.0, 1.0), PHOTOGRAPHS):
        picture = photograph(name)
        high, wide = picture.shape[:2]
        scale = 1.2 * max(height / high, width / wide)
        whole = resized(picture, round(wide * scale), round(high * scale))
        spare = whole.shape[0] - height, whole.shape[1] - width
        top, left = round(part * spare[0]), round(part * spare[1])
        yield whole[top : top + height, left : left + width]


def imagenet(width: int, height: int) -> Iterator[Array]:
    """Return photographs with ImageNet's mean and deviation."""
    for picture in photographs(width, height):
        yield channels_first((picture / 255 - IMAGENET_MEAN) / IMAGENET_STD)


def bgr() -> Iterator[Array]:
    """Return photographs as opennsfw takes them."""
    for picture in photographs(224, 224):
        yield (picture[:, :, ::-1] - np.array([104, 117, 123], np.float32))[None]


def digits(last: bool) -> Iterator[Array]:
    """Return handwritten digits, 0 to 255."""
    path = Path(__file__).resolve().parents[1] / "onnxplain" / "data" / "digits_samples.npz"
    with np.load(path) as samples:
        for image in samples["images"][:30].astype(np.float32):
            yield image[None, :, :, None] if last else image[None, None]


def turned(name: str) -> Iterator[Array]:
    """Return the picture of a model, turned and mirrored."""
    (picture,) = real_inputs.load(name).feeds.values()
    for quarter in range(4):
        for axis in (None, 3):
            made = np.rot90(picture, quarter, (2, 3))
            yield np.ascontiguousarray(made if axis is None else np.flip(made, axis))


def upside_down() -> Iterator[Array]:
    """Return pieces of lines of text, upside down and not."""
    page = photograph("page")
    for top, left in ((6, 2), (6, 100), (6, 180)):
        line = page[top : top + 28, left : left + 108]
        for piece in (line, line[::-1, ::-1]):
            yield channels_first(resized(np.ascontiguousarray(piece), 192, 48) / 127.5 - 1)


SUBJECTS: dict[str, Subject] = {
    "mnist": Subject(lambda: digits(False), probability=np.exp, sigma=0),
    "mnist_tf": Subject(lambda: digits(True), channels=3, probability=lambda y: y, sigma=0),
    "shapes": Subject(lambda: turned("shapes"), sigma=0),
    "leafsnap": Subject(lambda: turned("leafsnap"), sigma=6),
    "mobilenetv2": Subject(lambda: imagenet(224, 224)),
    "opennsfw": Subject(bgr, channels=3, probability=lambda y: y),
    "ocr_cls": Subject(upside_down, probability=lambda y: y, sigma=6),
    "u2netp": Subject(
        lambda: imagenet(320, 320),
        probability=lambda y: y,
        target=(0, 160, 160),
    ),
}


def baseline(x: Array, subject: Subject) -> Array:
    """Return the picture without content."""
    if not subject.sigma:
        return np.full_like(x, x.flat[0])
    sigmas = [0.0 if axis in (0, subject.channels) else subject.sigma for axis in range(x.ndim)]
    return gaussian_filter(x, sigmas, mode="nearest")


def areas(
    score: Callable[[Array], float], x: Array, empty: Array, values: Array, channels: int
) -> list[float]:
    """Return the areas under the deletion and the insertion curve, a relevance per place."""
    relevance = values.sum(axis=channels, keepdims=True)
    order = np.argsort(-relevance.ravel(), kind="stable")
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    rank = rank.reshape(relevance.shape)
    found = []
    for there, instead in ((x, empty), (empty, x)):
        curve = [score(np.where(rank < order.size * k / STEPS, instead, there)) for k in range(STEPS + 1)]
        found.append(float(np.mean((np.array(curve[1:]) + curve[:-1]) / 2)))
    return found


def measure(name: str, ways: list[str], most_pictures: int) -> dict[str, list[float]]:
    """Return means by way: deletion, insertion, their difference, what that is more, its error, delta."""
    subject, model = SUBJECTS[name], real_inputs.load(name)
    explainer = ox.Explainer(model.path)
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for picture in itertools.islice(subject.pictures(), most_pictures):
        x = picture.astype(np.float32)

        def predict(inputs: Array) -> Array:
            return subject.probability(explainer.predict(inputs)[model.output])[0]

        probabilities = predict(x)
        most = np.unravel_index(probabilities.argmax(), probabilities.shape)
        target = subject.target or tuple(int(k) for k in most)
        for way in ways:
            made = explainer(x, target if len(target) > 1 else target[0], output=model.output, **WAYS[way])
            deleted, inserted = areas(
                lambda v, at=target: float(predict(v)[at]),
                x,
                baseline(x, subject),
                made.values,
                subject.channels,
            )
            delta = made.relative_delta
            lost = np.nan if delta is None else float(np.max(delta))
            found[way].append([deleted, inserted, inserted - deleted, lost])
    first = np.array(found[ways[0]])[:, 2]
    told = {}
    for way, rows in found.items():
        deleted, inserted, both, lost = np.mean(rows, axis=0)
        more = np.array(rows)[:, 2] - first
        error = more.std() / max(len(more) - 1, 1) ** 0.5
        told[way] = [float(v) for v in (deleted, inserted, both, more.mean(), error, lost)]
    return told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--pictures", type=int, default=30, help="at most so many of a model")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    print("| model | | deletion | insertion | difference | more than the first | mean delta |")
    print("|---|---|---|---|---|---|---|")
    for name in given.models:
        results[name] = measure(name, given.ways, given.pictures)
        for way, (deleted, inserted, both, more, error, lost) in results[name].items():
            compared = "" if way == given.ways[0] else f"{more:+.3f} ± {error:.3f}"
            told = "" if np.isnan(lost) else f"{lost:.2%}"
            print(
                f"| {name} | {way} | {deleted:.3f} | {inserted:.3f} | {both:+.3f} | {compared} | {told} |",
                flush=True,
            )
        write_json(given.json, results)


if __name__ == "__main__":
    main()
