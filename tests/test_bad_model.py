"""Broken models: each one a named error that says what is wrong and what to do."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.runtime.session import Executable


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch) -> None:
    """All these are refused while reading."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("something ran")

    monkeypatch.setattr(Executable, "run", run)


def refused(kind: type[Exception], source: object, *words: str) -> str:
    """Assert that a model is refused, by every door, with all these words."""
    message = ""
    for door in (ox.Explainer, ox.inspect, lambda m: ox.export(m, "never.onnx", method="saliency")):
        with pytest.raises(kind) as caught:
            door(source)
        message = str(caught.value)
        assert isinstance(caught.value, errors.OnnxplainError)
        for word in words:
            assert word in message
        assert "\n" not in message
    return message


def test_missing_file(tmp_path) -> None:
    refused(errors.ModelNotFoundError, tmp_path / "gone.onnx", "gone.onnx", "check the path")
    refused(FileNotFoundError, str(tmp_path / "gone.onnx"), "gone.onnx")


def test_folder(tmp_path) -> None:
    refused(
        errors.ModelNotFoundError, tmp_path, str(tmp_path), "is a folder", "give the path of the .onnx file"
    )


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model.onnx", b"x" * 100)
    return content.getvalue()


OTHERS = {
    "text": b"# a readme, and no model at all\n" * 10,
    "json": b'{"model": "resnet", "layers": [1, 2, 3]}',
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0" + bytes(40),
    "zip": zipped(),
    "pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0}\x94\x8c\x05model\x94\x8c\x08weights!\x94s.",
    "zeros": bytes(1000),
    "empty": b"",
    "noise": np.random.default_rng(0).bytes(2000),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_not_a_model(kind, tmp_path) -> None:
    path = tmp_path / f"{kind}.onnx"
    path.write_bytes(OTHERS[kind])
    refused(errors.InvalidModelError, path, f"{kind}.onnx")
    message = refused(errors.InvalidModelError, OTHERS[kind], "the given bytes")
    assert any(way in message for way in ("export", "is it a training checkpoint", "onnx.checker"))


def test_another_type() -> None:
    with pytest.raises(TypeError, match=r"a model is a path, bytes.* not list"):
        ox.Explainer([1, 2])


def test_truncated_model(models, tmp_path) -> None:
    content = models.conv().SerializeToString()
    path = tmp_path / "cut.onnx"
    for end in [*range(1, 60, 3), *np.linspace(60, len(content) - 1, 60).astype(int)]:
        path.write_bytes(content[: int(end)])
        with pytest.raises(errors.InvalidModelError, match=r"cut\.onnx.*(export|onnx\.checker|checkpoint)"):
            ox.Explainer(path)


def external(models, folder, location: str = "weights.bin", **entries: object) -> onnx.ModelProto:
    """Lay the last weight of a small model into a file of its own."""
    model = models.mlp()
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": 0, "length": length, **entries}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    onnx.save(model, folder / "model.onnx")
    return model


def test_external_data_is_read(models, tmp_path, monkeypatch) -> None:
    monkeypatch.undo()
    folder = tmp_path / "inner"
    folder.mkdir()
    external(models, folder)
    x = models.random(2, 5)
    expected = ox.explain(models.mlp(), x, 1, method="saliency").values
    np.testing.assert_array_equal(ox.explain(folder / "model.onnx", x, 1, method="saliency").values, expected)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(ox.explain("inner/model.onnx", x, 1, method="saliency").values, expected)


def test_external_data_of_a_constant_node(models, tmp_path, monkeypatch) -> None:
    monkeypatch.undo()
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Mul(x, w) }")
    tensor = onnx.TensorProto(data_type=1, dims=[3], name="w", data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    (tmp_path / "weights.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    onnx.save(model, tmp_path / "model.onnx")
    found = ox.explain(tmp_path / "model.onnx", np.ones((1, 3)), 1, method="saliency")
    np.testing.assert_array_equal(found.values, [[0, 2, 0]])


def test_missing_external_data(models, tmp_path) -> None:
    external(models, tmp_path)
    (tmp_path / "weights.bin").unlink()
    refused(errors.ExternalDataError, tmp_path / "model.onnx", "'w'", "weights.bin", "put that file beside")


def test_short_external_data(models, tmp_path) -> None:
    for entries in ({}, {"length": None}):
        external(models, tmp_path, **entries)
        content = (tmp_path / "weights.bin").read_bytes()
        (tmp_path / "weights.bin").write_bytes(content[:-1])
        refused(errors.ExternalDataError, tmp_path / "model.onnx", "'w'", "weights.bin", "download it again")


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["soon", -4])
def test_nonsense_in_external_data(key, value, models, tmp_path) -> None:
    external(models, tmp_path, **{key: value})
    refused(errors.ExternalDataError, tmp_path / "model.onnx", "'w'", key, "export it again")


@pytest.mark.parametrize("location", ["../secret.bin", "sub/../../secret.bin", "/etc/passwd", "", "link.bin"])
def test_external_data_outside_the_folder(location, models, tmp_path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    external(models, folder, location)
    message = refused(errors.ExternalDataError, folder / "model.onnx", "'w'", "outside the model's folder")
    assert "put the weight file beside the model" in message


def test_external_data_cannot_come_from_bytes(models, tmp_path) -> None:
    model = external(models, tmp_path)
    refused(errors.ExternalDataError, model.SerializeToString(), "'w'", "by its path", "onnx.load")
    refused(errors.ExternalDataError, model, "'w'", "by its path")


def test_weight_of_the_wrong_length(models) -> None:
    model = models.mlp()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    refused(errors.InvalidModelError, model, "'w'", "export it again")


def test_value_that_nothing_makes(models) -> None:
    model = models.make("m (float[N, 2] x) => (float[N, 2] y) { y = Add(x, ghost) }")
    refused(errors.InvalidModelError, model, "'ghost'", "nothing makes", "export it again")
    model = models.make("m (float[N, 2] x) => (float[N, 2] y) { z = Relu(x) }")
    refused(errors.InvalidModelError, model, "'y'", "nothing makes", "export it again")


def test_operator_that_the_opset_does_not_have(models) -> None:
    model = models.make("m (float[N, 2] x) => (float[N, 2] y) { y = Frobnicate(x) }")
    refused(errors.InvalidModelError, model, "Frobnicate", "export it again")


def test_cycle(models) -> None:
    model = models.make("m (float[N, 2] x) => (float[N, 2] y) { a = Add(x, b) b = Relu(a) y = Relu(b) }")
    refused(errors.InvalidModelError, model, "circle", "export it again")


def test_no_opset(models) -> None:
    model = models.linear(np.ones((2, 2)))
    del model.opset_import[:]
    refused(errors.InvalidModelError, model, "opset version", "onnx.checker")


def test_unreadable_file(models, tmp_path, monkeypatch) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.mlp(), path)

    def deny(_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", deny)
    refused(errors.ModelNotFoundError, path, "model.onnx", "Permission denied", "check its permissions")
