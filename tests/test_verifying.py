"""Exported files beside their model: equal, or found to be different."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from command_line import failure, run

import onnxplain as ox
from onnxplain.exported_file import KEY

METHODS = {
    "lrp": (ox.LRP(), {}),
    "integrated_gradients": (ox.IntegratedGradients(n_steps=5), {"baselines": 0.2}),
    "kernel_shap": (ox.KernelShap(n_samples=120), {"feature_mask": "grid"}),
    "predicted": (ox.Saliency(), {"target": "predicted"}),
    "top": (ox.InputXGradient(), {"top_k": 2}),
    "several": ([ox.LRP(), ox.IntegratedGradients(n_steps=3)], {}),
}


@pytest.mark.parametrize("case", METHODS)
def test_files_are_equal(case, models, tmp_path) -> None:
    method, options = METHODS[case]
    model = models.conv(softmax=True)
    made = ox.export(model, tmp_path / "made.onnx", method=method, **options)
    found = ox.verify(made.path, model, models.random(3, 2, 8, 8))
    assert found, found.differences
    assert found.notes == ()
    assert {d.output for d in found.differences} == {
        o for o in made.outputs if o == "y" or o.startswith("attribution/")
    }


IMAGES = {
    "resized": ox.Preprocessing(size=(8, 8), channels=1, mean=(0.4,), std=(0.3,)),
    "cut": ox.Preprocessing(size=(8, 8), channels=1, crop=256, scale=1.0),
    "as they are": ox.Preprocessing(channels=1),
}


def grey(models):
    return models.make(
        "m (float[N, 1, 8, 8] x) => (float[N, 4] y) { c = Conv(x, w) r = Relu(c) "
        "p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, v) }",
        w=models.random(5, 1, 3, 3, seed=1), v=models.random(5, 4, seed=2),
    )  # fmt: skip


def pixels(height: int = 11, width: int = 17, samples: int = 2) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (samples, height, width, 1), np.uint8)


@pytest.mark.parametrize("case", IMAGES)
@pytest.mark.parametrize("named", [False, True])
def test_files_that_take_images(case, named, models, tmp_path) -> None:
    plan, images = IMAGES[case], pixels(*((8, 8) if case == "as they are" else (11, 17)))
    made = ox.export(grey(models), tmp_path / "made.onnx", method="lrp", preprocessing=plan)
    found = ox.verify(made.path, grey(models), {"x": images} if named else images)
    assert found, found.differences
    assert {d.output for d in found.differences} == {"y", "attribution/x"}
    damaged(made.path)
    assert not ox.verify(made.path, grey(models), images)


@pytest.mark.parametrize(
    "given",
    [np.zeros((1, 1, 8, 8), np.float32), np.zeros((1, 8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)],
)
def test_other_than_images_is_refused(given, models, tmp_path) -> None:
    made = ox.export(grey(models), tmp_path / "made.onnx", preprocessing=IMAGES["resized"])
    with pytest.raises(ox.errors.DataInputError, match=r"input 'x' must be uint8 \(N, H, W, 1\)"):
        ox.verify(made.path, grey(models), given)


def damaged(path) -> None:
    """Change the weights of a file a little."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > 4:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * np.float32(1.01), tensor.name))
    onnx.save(model, path)


def test_differences_are_found(models, tmp_path) -> None:
    made = ox.export(models.conv(), tmp_path / "made.onnx", method="lrp")
    damaged(made.path)
    found = ox.verify(made.path, models.conv(), models.random(3, 2, 8, 8))
    assert not found
    assert not found.differences[0].equal
    assert found.differences[0].relative > 1e-4


def test_another_model_is_told(models, tmp_path) -> None:
    made = ox.export(models.mlp(), tmp_path / "made.onnx", method="lrp")
    other = models.mlp()
    array = onnx.numpy_helper.to_array(other.graph.initializer[0]) + np.float32(0.1)
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(array, other.graph.initializer[0].name))
    found = ox.verify(made.path, other, models.random(2, 5))
    assert not found
    assert found.notes == ("the file was made from a model of other content",)


def test_arrays_are_to_be_given_again(models, tmp_path) -> None:
    rows, x = models.random(1, 5, seed=4), models.random(2, 5)
    made = ox.export(models.mlp(), tmp_path / "made.onnx", method="integrated_gradients", baselines=rows)
    with pytest.raises(ox.errors.OptionError, match="baselines of its own"):
        ox.verify(made.path, models.mlp(), x)
    assert ox.verify(made.path, models.mlp(), x, baselines=rows)
    assert not ox.verify(made.path, models.mlp(), x, baselines=rows + 1)


def test_other_files_are_refused(models, tmp_path) -> None:
    onnx.save(models.mlp(), tmp_path / "plain.onnx")
    with pytest.raises(ox.errors.InvalidModelError, match="does not say how it was made"):
        ox.verify(tmp_path / "plain.onnx", models.mlp(), models.random(2, 5))


def test_what_a_file_says_of_itself(models, tmp_path) -> None:
    made = ox.export(models.mlp(), tmp_path / "made.onnx", method="lrp", composite="epsilon_plus", card=True)
    held = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    record = json.loads(held[KEY])
    assert record["source"] == ox.Explainer(models.mlp()).model_hash
    assert record["target"] == "target"
    assert record["options"]["form"] == "portable"
    assert record["methods"][""]["method"] == repr(ox.LRP("epsilon_plus"))
    card = (tmp_path / "made.md").read_text()
    for text in ("# made\n", record["source"], "`attribution/x` | float (N, 5)", "LRP(", "onnxplain verify"):
        assert text in card


def test_command(models, tmp_path) -> None:
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    np.savez(tmp_path / "x.npz", x=models.random(2, 5))
    explained = str(tmp_path / "explained.onnx")
    rest = ["--against", str(tmp_path / "model.onnx"), "--inputs", str(tmp_path / "x.npz")]
    run("export", str(tmp_path / "model.onnx"), explained, "--card")
    assert "attribution/x" in run("verify", explained, *rest).stdout
    damaged(explained)
    assert "DIFFERENT" in run("verify", explained, *rest, code=1).stdout


@pytest.mark.parametrize("ending", ["png", "npz", "npy"])
def test_command_with_images(ending, models, tmp_path) -> None:
    from PIL import Image

    onnx.save(grey(models), tmp_path / "model.onnx")
    model, explained, given = (str(tmp_path / n) for n in ("model.onnx", "explained.onnx", f"x.{ending}"))
    run("export", model, explained, "--mean", "0.4", "--std", "0.3", "--card")
    assert "images as they are read" in (tmp_path / "explained.md").read_text()
    images = pixels(samples=1)
    if ending == "png":
        Image.fromarray(images[0, ..., 0]).save(given)
    else:
        np.savez(given, x=images) if ending == "npz" else np.save(given, images)
    assert "attribution/x" in run("verify", explained, "--against", model, "--inputs", given).stdout
    run("export", model, explained)
    if ending == "png":
        assert "takes no images" in failure("verify", explained, "--against", model, "--inputs", given)


@pytest.mark.parametrize("batch", ["any", 4])
def test_files_of_other_batches_than_the_model(batch, models, tmp_path) -> None:
    model = models.conv(batch="2")
    made = ox.export(model, tmp_path / "made.onnx", method="lrp", batch=batch)
    found = ox.verify(made.path, model, models.random(4, 2, 8, 8))
    assert found, found.differences
    damaged(made.path)
    assert not ox.verify(made.path, model, models.random(4, 2, 8, 8))


def test_a_damaged_record_is_told(models, tmp_path) -> None:
    made = ox.export(grey(models), tmp_path / "made.onnx", preprocessing=IMAGES["resized"])
    model = onnx.load(made.path)
    (held,) = (p for p in model.metadata_props if p.key == KEY)
    held.value = held.value.replace('"channels": 1', '"channels": 2')
    onnx.save(model, made.path)
    with pytest.raises(ox.errors.InvalidModelError, match="damaged"):
        ox.verify(made.path, grey(models), pixels())
