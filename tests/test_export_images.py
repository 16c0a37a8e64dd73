"""Exported files that take images as they are read: uint8, of any size."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError

PLAN = {"size": (8, 8), "channels": 3, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}


def network(models, layout: str = "NCHW", size: str = "8, 8", batch: str = "N"):
    shape = f"{batch}, 3, {size}" if layout == "NCHW" else f"{batch}, {size}, 3"
    start = "t = Identity(x)" if layout == "NCHW" else "t = Transpose<perm = [0, 3, 1, 2]>(x)"
    return models.make(
        f"m (float[{shape}] x) => (float[{batch}, 4] y) {{ {start} c = Conv(t, w) r = Relu(c) "
        "p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, v) }",
        w=models.random(5, 3, 3, 3, seed=1), v=models.random(5, 4, seed=2),
    )  # fmt: skip


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), np.uint8)


def line(before: int, after: int) -> np.ndarray:
    """Return the triangle filter, (after, before), written from its definition."""
    scale = before / after
    reach = max(scale, 1.0)
    made = np.zeros((after, before))
    for i in range(after):
        for j in range(before):
            made[i, j] = max(0.0, 1 - abs(j + 0.5 - (i + 0.5) * scale) / reach)
    return made / made.sum(1, keepdims=True)


def replica(image: np.ndarray, plan: ox.Preprocessing) -> np.ndarray:
    """Return what a model takes, in NumPy."""
    pixels = image.astype(np.float64)
    if plan.size is not None:
        high, wide = plan.size
        if plan.crop is not None:
            factor = max(high / image.shape[1], wide / image.shape[2]) * plan.crop / 224
            high, wide = max(high, round(image.shape[1] * factor)), max(wide, round(image.shape[2] * factor))
        for axis, length in ((2, wide), (1, high)):
            turned = np.moveaxis(pixels, axis, -1) @ line(image.shape[axis], length).T
            pixels = np.clip(np.floor(np.moveaxis(turned, -1, axis) + 0.5 + 1e-9), 0, 255)
        top, left = (high - plan.size[0]) // 2, (wide - plan.size[1]) // 2
        pixels = pixels[:, top : top + plan.size[0], left : left + plan.size[1]]
    made = (pixels * plan.scale - np.array(plan.mean)) / np.array(plan.std)
    return (np.moveaxis(made, -1, 1) if plan.layout == "NCHW" else made).astype(np.float32)


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-6))


@pytest.mark.parametrize("sides", [(8, 8), (13, 21), (5, 30), (37, 6)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("crop", [None, 256])
def test_the_file_takes_pixels(sides, layout, crop, models, tmp_path) -> None:
    model, plan = network(models, layout), ox.Preprocessing(**PLAN, layout=layout, crop=crop)
    made = ox.export(model, tmp_path / "made.onnx", method="input_x_gradient", preprocessing=plan)
    assert made.inputs == ("x", "target")
    image = picture(*sides)
    found = stock(made.path, x=image, target=np.array([1, 2]))
    x = replica(image, plan)
    np.testing.assert_allclose(plan.apply(image), x, rtol=1e-6, atol=1e-6)
    expected = ox.explain(model, x, [1, 2], method="input_x_gradient")
    close(found["y"], expected.predictions)
    close(found["attribution/x"], expected.values)
    assert found["attribution/x"].shape == x.shape


@pytest.mark.parametrize("method", [ox.IntegratedGradients(n_steps=3), ["saliency", ox.RISE(n_masks=9)]])
def test_other_kinds_of_files_do(method, models, tmp_path) -> None:
    model, plan = network(models), ox.Preprocessing(**PLAN)
    made = ox.export(model, tmp_path / "made.onnx", method=method, preprocessing=plan, top_k=2)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    found = stock(made.path, x=picture(11, 9))
    x = replica(picture(11, 9), plan)
    several = method if isinstance(method, list) else [method]
    for one in map(ox.method, several):
        expected = ox.explain(model, x, found["target"][:, 1].tolist(), method=one).values
        name = f"attribution/{one.name}/x" if len(several) > 1 else "attribution/x"
        close(found[name][:, 1], expected)


def test_the_size_is_the_models_or_the_images_own(models, tmp_path) -> None:
    plan = ox.Preprocessing(scale=1.0)
    made = ox.export(network(models), tmp_path / "a.onnx", method="saliency", preprocessing=plan)
    assert stock(made.path, x=picture(11, 9), target=np.array([1, 2]))["attribution/x"].shape == (2, 3, 8, 8)
    free = network(models, size="H, W")
    made = ox.export(free, tmp_path / "b.onnx", method="saliency", preprocessing={"x": plan})
    assert stock(made.path, x=picture(11, 9), target=np.array([1, 2]))["attribution/x"].shape == (2, 3, 11, 9)


def test_the_command_lines_images_come_out_the_same(models) -> None:
    """Pillow's bilinear filter is the same, but for sums that are half-way between two pixels."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    one = picture(57, 41)[0]
    resized = np.asarray(image.fromarray(one).resize((8, 8), image.Resampling.BILINEAR), np.float64)
    ours = replica(one[None], ox.Preprocessing(size=(8, 8), scale=1.0, layout="NHWC"))[0]
    assert np.abs(ours - resized).max() <= 1
    assert (ours != resized).mean() < 0.02


def test_what_is_no_image_is_refused(models, tmp_path) -> None:
    for model, plan, said in (
        (models.mlp(), ox.Preprocessing(), "is no image"),
        (network(models), ox.Preprocessing(channels=1), "give channels=3"),
        (network(models), ox.Preprocessing(size=(9, 9)), "the model takes images of 8 x 8"),
        (network(models), {"z": ox.Preprocessing()}, "preprocessing is for inputs of the model"),
    ):
        with pytest.raises(DataInputError, match=said):
            ox.export(model, tmp_path / "made.onnx", method="saliency", preprocessing=plan)
    with pytest.raises(DataInputError, match="std must hold"):
        ox.Preprocessing(std=(0.0,))
