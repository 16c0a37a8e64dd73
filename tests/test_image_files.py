"""From an image file to a model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from onnxplain.errors import DataInputError
from onnxplain.image_files import IMAGENET_MEAN, IMAGENET_STD, load_image, preprocessing_for

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_plain(picture: Path) -> None:
    loaded = load_image(picture)
    assert loaded.array.dtype == np.float32
    np.testing.assert_allclose(loaded.array, PIXELS.transpose(2, 0, 1)[None] / 255, rtol=1e-6)
    assert loaded.steps == ("picture.png: 40 x 60", "/ 255", "NCHW 1 x 3 x 40 x 60")
    nhwc = load_image(picture, layout="nhwc").array
    np.testing.assert_array_equal(nhwc, loaded.array.transpose(0, 2, 3, 1))


def test_numbers(picture: Path) -> None:
    loaded = load_image(picture, mean=[127], std=[128], scale=1)
    np.testing.assert_allclose(loaded.array[0, 1], (PIXELS[..., 1].astype(float) - 127) / 128, rtol=1e-6)
    assert "pixels as they are, minus mean (127), divided by std (128)" in loaded.steps
    each = load_image(picture, mean=(0.1, 0.2, 0.3), std=(1, 2, 4)).array
    np.testing.assert_allclose(each[0, 2], (PIXELS[..., 2] / 255 - 0.3) / 4, rtol=1e-5)


def test_resizing_is_bilinear(picture: Path) -> None:
    loaded = load_image(picture, size=(20, 24))
    expected = np.asarray(Image.fromarray(PIXELS).resize((24, 20), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(loaded.array[0].transpose(1, 2, 0), expected / 255, rtol=1e-6)
    assert "resized to 20 x 24 (bilinear)" in loaded.steps


def test_imagenet_preset(tmp_path: Path) -> None:
    picture = tmp_path / "wide.png"
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 451, 3), dtype=np.uint8))
    image.save(picture)
    loaded = load_image(picture, preset="imagenet")
    wide = round(451 * 256 / 300)
    small = image.resize((wide, 256), Image.Resampling.BILINEAR)
    left = (wide - 224) // 2
    expected = np.asarray(small.crop((left, 16, left + 224, 240))) / 255
    expected = (expected - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(loaded.array[0].transpose(1, 2, 0), expected, rtol=1e-4, atol=1e-6)
    assert loaded.steps[1:3] == (f"resized to 256 x {wide} (bilinear)", "middle 224 x 224")
    half = load_image(picture, preset="imagenet", size=(112, 112), mean=(0,))
    assert half.array.shape == (1, 3, 112, 112)
    assert half.preprocessing.mean == (0,)
    assert any(step.startswith("resized to 128 x") for step in half.steps)


def test_black_and_white_of_the_same_preprocessing(picture: Path) -> None:
    loaded = load_image(picture, preset="imagenet")
    black, white = loaded.filled(0), loaded.filled(1)
    assert black.shape == white.shape == loaded.array.shape
    np.testing.assert_allclose(black[0, :, 0, 0], -np.array(IMAGENET_MEAN) / IMAGENET_STD, rtol=1e-6)
    np.testing.assert_allclose(white[0, :, 5, 5], (1 - np.array(IMAGENET_MEAN)) / IMAGENET_STD, rtol=1e-6)
    nhwc = load_image(picture, layout="NHWC")
    assert nhwc.filled(0.5).shape == nhwc.array.shape
    np.testing.assert_allclose(nhwc.filled(0.5), 0.5)


def test_kinds_of_pixels(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = tmp_path / "x.png"

    Image.fromarray(grey).save(path)
    np.testing.assert_allclose(load_image(path, channels=1).array[0, 0], grey / 255, rtol=1e-6)
    assert load_image(path).array.shape == (1, 3, 16, 16)

    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    deep = load_image(path, channels=1)
    np.testing.assert_allclose(deep.array[0, 0], grey / 255, rtol=1e-6)
    assert "16 bits to 8" in deep.steps

    alpha = np.dstack([grey, grey, grey, np.zeros_like(grey)])
    Image.fromarray(alpha).save(path)
    clear = load_image(path)
    np.testing.assert_array_equal(clear.array, 1)
    assert "laid over white" in clear.steps
    assert load_image(path, channels=4).array.shape == (1, 4, 16, 16)

    Image.fromarray(grey).convert("P").save(path)
    assert load_image(path).array.shape == (1, 3, 16, 16)


def test_orientation_mark_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "phone.png"
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(path, exif=exif)
    assert load_image(path).array.shape == (1, 3, 60, 40)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "coco"}, "no preset 'coco'; known: imagenet"),
        ({"preset": "imagenet", "channels": 1}, "for 3 channels"),
        ({"mean": (1, 2)}, "mean has 2 numbers"),
        ({"std": (0,)}, "std must hold finite numbers, above 0"),
        ({"mean": (float("nan"),)}, "mean must hold finite"),
        ({"scale": 0}, "scale must"),
        ({"size": (0, 5)}, "at least 1 x 1"),
        ({"layout": "CHW"}, "layout must be NCHW or NHWC"),
        ({"channels": 2}, "1, 3 or 4 channels"),
    ],
)
def test_wrong_options(picture: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(DataInputError, match=words):
        load_image(picture, **options)


def test_unreadable_files(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(DataInputError, match="there is no file"):
        load_image(tmp_path / "nothing.png")
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(DataInputError, match="cannot be read as an image"):
        load_image(text)
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:2000])
    with pytest.raises(DataInputError, match="cannot be read as an image"):
        load_image(cut)
    with pytest.raises(DataInputError, match="is a folder"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("N", 3, 224, 224), ("NCHW", 3, (224, 224))),
        ((1, 224, 200, 3), ("NHWC", 3, (224, 200))),
        (("N", 1, 28, 28), ("NCHW", 1, (28, 28))),
        (("N", 3, "H", "W"), ("NCHW", 3, None)),
        ((None, None, None, None), ("NCHW", 3, None)),
        (("N", 4, 64, 4), ("NCHW", 4, (64, 4))),
    ],
)
def test_form_is_told_from_the_model(
    shape: tuple[int | str | None, ...], expected: tuple[str, int, tuple[int, int] | None]
) -> None:
    assert preprocessing_for(shape) == expected


def test_form_asked_for_must_fit_the_model() -> None:
    assert preprocessing_for(("N", 3, "H", 32), size=(16, 32)) == ("NCHW", 3, (16, 32))
    with pytest.raises(DataInputError, match=r"takes images of \? x 32 .*not 16 x 16"):
        preprocessing_for(("N", 3, "H", 32), size=(16, 16))
    with pytest.raises(DataInputError, match="is no image"):
        preprocessing_for(("N", 30))
    with pytest.raises(DataInputError, match=r"read as NHWC.* 224 channels"):
        preprocessing_for((1, 3, 224, 224), "NHWC")
    with pytest.raises(DataInputError, match="layout must be"):
        preprocessing_for((1, 3, 224, 224), "HWC")
