"""Exported files with their weights beside them: whole or not at all, and the old ones until then."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 100 bytes of weights be too much for one file."""
    monkeypatch.setattr("onnxplain.exported_file.write._LARGE", 64)
    monkeypatch.setattr("onnxplain.exported_file.write._WHOLE", 100)


def attribution(path, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["attribution/x"], {"x": x, "target": np.ones(len(x), np.int64)})[0]


METHODS = {"lrp": ox.LRP(), "integrated_gradients": ox.IntegratedGradients(n_steps=5)}


@pytest.mark.parametrize("method", METHODS)
def test_weights_beside_the_model(method, small_files, models, tmp_path) -> None:
    made = ox.export(models.conv(), tmp_path / "made.onnx", method=METHODS[method])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.onnx", "made.onnx.data"]
    assert made.data == tmp_path / "made.onnx.data"
    assert made.size == sum(p.stat().st_size for p in tmp_path.iterdir())
    x = models.random(3, 2, 8, 8)
    expected = ox.explain(models.conv(), x, 1, method=METHODS[method]).values
    np.testing.assert_allclose(attribution(made.path, x), expected, rtol=1e-4, atol=1e-5)
    onnx.checker.check_model(str(made.path), full_check=True)


def test_old_weights_stay_until_the_new_model_is_there(small_files, models, tmp_path, monkeypatch) -> None:
    path, x = tmp_path / "made.onnx", models.random(2, 2, 8, 8)
    ox.export(models.conv(), path, method="saliency")
    first = attribution(path, x)

    def fails(*_):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("onnxplain.exported_file.write._proto", fails)
        with pytest.raises(RuntimeError, match="stopped"):
            ox.export(models.conv(), path, method="lrp")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.onnx", "made.onnx.data"]
    np.testing.assert_array_equal(attribution(path, x), first)
    again = ox.export(models.conv(), path, method="input_x_gradient")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.onnx", "made.onnx.1.data"]
    assert again.data == tmp_path / "made.onnx.1.data"
    assert np.abs(attribution(path, x) - first).max() > 1e-2


def test_what_others_put_there_stays(small_files, models, tmp_path) -> None:
    (tmp_path / "made.onnx.data").write_text("mine")
    ox.export(models.conv(), tmp_path / "made.onnx", method="saliency")
    assert (tmp_path / "made.onnx.data").read_text() == "mine"
    assert (tmp_path / "made.onnx.1.data").exists()


def test_one_file_again(small_files, models, tmp_path, monkeypatch) -> None:
    path = tmp_path / "made.onnx"
    ox.export(models.conv(), path, method="saliency")
    monkeypatch.setattr("onnxplain.exported_file.write._WHOLE", 1 << 20)
    made = ox.export(models.conv(), path, method="saliency")
    assert made.data is None
    assert [p.name for p in tmp_path.iterdir()] == ["made.onnx"]


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_sources_with_external_weights(opset, small_files, models, tmp_path) -> None:
    model = models.make(
        "m (float[N, 30] x) => (float[N, 4] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }",
        opset=opset, w=models.random(30, 40), v=models.random(40, 4),
    )  # fmt: skip
    source = tmp_path / "source.onnx"
    onnx.save(model, source, save_as_external_data=True, location="w.bin", size_threshold=0)
    made = ox.export(source, tmp_path / "made.onnx", method="lrp")
    assert made.source_size == 4 * (30 * 40 + 40 * 4)
    x = models.random(2, 30)
    expected = ox.explain(source, x, 1, method="lrp").values
    np.testing.assert_allclose(attribution(made.path, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("opset", "expected"), [(17, 8), (18, 8), (21, 10)])
def test_the_oldest_ir_version_that_the_opset_needs(opset, expected, models, tmp_path) -> None:
    """So that older runtimes load the file, whatever wrote the source."""
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }", opset=opset, ir_version=11)
    made = ox.export(model, tmp_path / "made.onnx", method="saliency")
    assert onnx.load(made.path).ir_version == expected
    assert np.all(attribution(made.path, np.ones((2, 3), np.float32)).shape == (2, 3))
