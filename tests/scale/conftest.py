"""Data sets in files, each with a model that takes it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

ROWS = 23


@pytest.fixture
def numbers(models: Any, tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """Return an array in a file, a model of it, and the array."""
    model, data = tmp_path / "mlp.onnx", tmp_path / "x.npy"
    onnx.save(models.mlp(), model)
    x = models.random(ROWS, 5, seed=9)
    np.save(data, x)
    return data, model, x


@pytest.fixture
def table(models: Any, tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """Return a folder of two tables with a key and a class, a model of it, and all numbers."""
    model, data = tmp_path / "mlp.onnx", tmp_path / "data"
    onnx.save(models.mlp(), model)
    x = models.random(ROWS, 5, seed=9)
    data.mkdir()
    for name, rows in (("a.csv", range(14)), ("below/b.csv", range(14, ROWS))):
        path = data / name
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["key", *"abcde", "class"])
            writer.writerows([f'k"{k}\nof two lines', *map(str, x[k]), k % 3] for k in rows)
    return data, model, x


@pytest.fixture
def pictures(models: Any, tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """Return a folder of images of several sizes, a model of them, and their pixels as it takes them."""
    model, data = tmp_path / "vgg.onnx", tmp_path / "photos"
    onnx.save(models.vgg(), model)
    data.mkdir()
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    for k, pixels in enumerate(x):
        (data / f"{k % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(data / f"{k % 2}" / f"{k}.png")
    ordered = x[[0, 2, 4, 1, 3]]
    return data, model, (ordered.transpose(0, 3, 1, 2) / 255).astype(np.float32)
