"""The trained models of the trust table, each with data that took no part in its training."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_inputs import cache_folder
from real_inputs.images import IMAGENET_MEAN, IMAGENET_STD, photograph, resized

import onnxplain as ox
from onnxplain.data import diabetes_background, diabetes_model_path, diabetes_rows, digits_model_path

Array = NDArray[Any]

__all__ = ["WORLDS", "World"]


@dataclass(frozen=True)
class World:
    """A model and its data.

    Attributes
    ----------
    title
        What it is, for a heading.
    about
        A sentence or two.
    explainer
        Of the model.
    inputs, target
        What is explained.
    masks
        Where the truth is, if it is known.
    baselines
        What stands for what is taken away.
    feature_mask
        What metrics and methods take away together; None: single elements (images: pixels).
    """

    title: str
    about: str
    explainer: ox.Explainer
    inputs: Any
    target: Any
    masks: Any = None
    baselines: Any = None
    feature_mask: Any = None
    options: dict[str, Any] = field(default_factory=dict)


def digits(n: int = 16) -> World:
    """Take the first images of the MNIST test set, and the built-in classifier."""
    cache = cache_folder()
    images = np.frombuffer((cache / "mnist_test_images").read_bytes(), np.uint8, offset=16)
    images = images.reshape(-1, 1, 28, 28)[:n]
    return World(
        "Digits",
        f"The built-in classifier (a small CNN, 99.5 % right) and the first {n} images of the MNIST test "
        "set; the predicted class is explained. What is taken away becomes black, as the background is.",
        ox.Explainer(digits_model_path()),
        images.astype(np.float32) / 255,
        "predicted",
        baselines=0.0,
    )


#: Photographs in scikit-image and scikit-learn, and the class that MobileNetV2 sees in each.
PHOTOGRAPHS = {
    "chelsea": 285,
    "coffee": 967,
    "camera": 872,
    "china": 442,
    "rocket": 540,
    "flower": 599,
}


def _picture(name: str) -> Array:
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return np.asarray(load_sample_image(f"{name}.jpg"))
    picture = photograph(name)
    return picture if picture.ndim == 3 else np.stack([picture] * 3, -1)


def _square(name: str, side: int) -> Array:
    """Return the middle of a photograph, (side, side, 3), the shorter side 8/7 of that."""
    picture = _picture(name)
    height, width = picture.shape[:2]
    scale = side * 8 / 7 / min(height, width)
    height, width = round(height * scale), round(width * scale)
    top, left = (height - side) // 2, (width - side) // 2
    return resized(picture, width, height)[top : top + side, left : left + side]


def _normalised(pictures: Array) -> Array:
    scaled = (pictures / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def photographs() -> World:
    """Take six photographs and the ONNX zoo's MobileNetV2."""
    return World(
        "Photographs",
        "MobileNetV2 (the ONNX zoo's, ImageNet) and six photographs of scikit-image and scikit-learn; "
        "the predicted class is explained. What is taken away becomes ImageNet's mean colour.",
        ox.Explainer(cache_folder() / "mobilenetv2.onnx"),
        _normalised(np.stack([_square(name, 224) for name in PHOTOGRAPHS])),
        "predicted",
        baselines=0.0,
    )


def mosaics() -> World:
    """Set the photographs in mosaics of four; the class of one of them is explained."""
    names = list(PHOTOGRAPHS)
    tiles = {name: _square(name, 112) for name in names}
    pictures, masks = [], []
    for k in range(len(names)):
        four = [tiles[names[(k + j) % len(names)]] for j in range(4)]
        place = k % 4  # where the explained one lies
        four[0], four[place] = four[place], four[0]
        rows = [np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)]
        pictures.append(np.concatenate(rows, 0))
        mask = np.zeros((1, 224, 224), bool)
        top, left = 112 * (place // 2), 112 * (place % 2)
        mask[:, top : top + 112, left : left + 112] = True
        masks.append(mask)
    return World(
        "Mosaics",
        "MobileNetV2 and mosaics of four photographs each; the class of one of the four is explained, and "
        "the evidence for it should lie in its quarter.",
        ox.Explainer(cache_folder() / "mobilenetv2.onnx"),
        _normalised(np.stack(pictures)),
        [PHOTOGRAPHS[name] for name in names],
        masks=np.stack(masks),
        baselines=0.0,
    )


#: Reviews of ten tokens each, half of them in praise.
REVIEWS = (
    "a wonderful film with a moving story and great acting",
    "the plot is boring and the actors are really terrible",
    "one of the best comedies that i have seen lately",
    "what a waste of time , i hated every minute",
    "a charming and clever little movie full of good humor",
    "this sequel is a dull mess without any real ideas",
    "beautiful pictures , a smart script and a perfect ending",
    "the jokes fall flat and the ending is just stupid",
    "an honest and touching portrait of a family in crisis",
    "bad dialogue and worse music make this film very painful",
    "brilliant performances turn a simple tale into something truly great",
    "it is too long , too loud and utterly pointless",
)


def reviews() -> World:
    """Write film reviews, and take DIANNA's sentiment network."""
    cache = cache_folder()
    with (cache / "movie_words.txt").open(encoding="utf-8") as lines:
        numbers = {line.split(" ", 1)[0]: place for place, line in enumerate(lines)}
    rows = [[numbers[w] for w in re.findall(r"\w+|[^\w\s]", review)] for review in REVIEWS]
    return World(
        "Reviews",
        f"A convolutional network over words (DIANNA's, trained on film reviews) and {len(rows)} reviews of "
        "ten words written for this test, half of them in praise; the one score is explained. What is taken "
        "away becomes the unknown word.",
        ox.Explainer(cache / "movie_review.onnx"),
        np.array(rows, np.int64),
        0,
        baselines=numbers["<unk>"],
    )


def _usual(column: Array) -> Array:
    """Return a column's median, or most frequent text."""
    if column.dtype.kind == "f":
        return np.nanmedian(column).astype(column.dtype)
    values, counts = np.unique(column.astype(str), return_counts=True)
    return np.array(values[counts.argmax()], object)


def patients() -> World:
    """Take the built-in pipeline over patients, and those that took no part in training."""
    rows, _ = diabetes_rows()
    return World(
        "Patients",
        "The built-in pipeline over a table (imputing, one-hot encoding, boosted trees: no gradients) and 40 "
        "patients that took no part in training. What is taken away becomes the median (or most frequent) "
        "value of other patients.",
        ox.Explainer(diabetes_model_path()),
        rows,
        None,
        baselines={name: _usual(column) for name, column in diabetes_background().items()},
    )


#: By name.
WORLDS: dict[str, Callable[[], World]] = {
    "digits": digits,
    "photographs": photographs,
    "mosaics": mosaics,
    "reviews": reviews,
    "patients": patients,
}
