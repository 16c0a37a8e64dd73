"""The built-in demo: a small digit classifier, and a few images; a pipeline with trees, and its table."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "diabetes_background",
    "diabetes_model_path",
    "diabetes_rows",
    "digits_model_path",
    "digits_samples",
    "imagenet_classes",
]


def digits_model_path() -> Path:
    """Tell where the built-in digit classifier lies.

    The model takes ``image``, float32 of shape (N, 1, 28, 28) with values in 0..1 (white ink on black), and
    gives ``probabilities``, float32 of shape (N, 10).

    Returns
    -------
    Path
        The ``.onnx`` file.
    """
    return Path(str(resources.files(__name__).joinpath("digits.onnx")))


def digits_samples() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load the sample images of the built-in digit classifier.

    Images 0 to 9 show the digits 0 to 9 and are easy. The model gets image 10 only just right, and image 11
    wrong.

    Returns
    -------
    images : ndarray of float32, shape (12, 1, 28, 28)
        Values in 0..1.
    labels : ndarray of int64, shape (12,)
        The true digits.
    """
    with (
        resources.files(__name__).joinpath("digits_samples.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        images = stored["images"][:, None].astype(np.float32) / np.float32(255.0)
        labels = stored["labels"].astype(np.int64)
    return images, labels


def imagenet_classes() -> list[str]:
    """Name the 1,000 classes of ImageNet's challenge, in their usual order."""
    text = resources.files(__name__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return text.splitlines()


def diabetes_model_path() -> Path:
    """Tell where the built-in pipeline over a table lies.

    The model takes ten columns by name, each (N, 1), float32 but for ``sex``, which holds texts; it gives
    ``progression``, float32 of shape (N, 1): how far a patient's diabetes goes in a year.

    Returns
    -------
    Path
        The ``.onnx`` file.
    """
    return Path(str(resources.files(__name__).joinpath("diabetes.onnx")))


def diabetes_rows() -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """Load patients that took no part in training.

    Returns
    -------
    columns : dict
        By name, as the model takes them: 40 of each.
    progression : ndarray of float32, shape (40,)
        How far their diabetes went.
    """
    columns = _columns("diabetes.csv")
    return columns, columns.pop("progression")


def diabetes_background() -> dict[str, NDArray[Any]]:
    """Load columns of 100 patients that did take part."""
    return _columns("diabetes_train.csv")


def _columns(name: str) -> dict[str, NDArray[Any]]:
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return {
        name: np.array(cells, object if name == "sex" else np.float32)
        for name, cells in zip(header, zip(*rows, strict=True), strict=True)
    }
