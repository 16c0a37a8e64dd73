"""The built-in digit classifier and its sample images."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxplain.data import digits_model_path, digits_samples


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    """Open the model once for all tests."""
    return ort.InferenceSession(digits_model_path(), providers=["CPUExecutionProvider"])


def test_model_is_small_and_valid() -> None:
    """The file is below 1 MB, passes the checker and ends in a Softmax."""
    path = digits_model_path()
    assert path.stat().st_size < 1_000_000
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (output,) = model.graph.output
    assert [node.op_type for node in model.graph.node if output.name in node.output] == ["Softmax"]


def test_interface(session: ort.InferenceSession) -> None:
    """Names, types and shapes are the documented ones."""
    (image,) = session.get_inputs()
    (probabilities,) = session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["N", 1, 28, 28])
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["N", 10])


def test_samples() -> None:
    """The samples come scaled and in the documented order."""
    images, labels = digits_samples()
    assert images.shape == (12, 1, 28, 28)
    assert images.dtype == np.float32
    assert images.min() == 0.0
    assert 0.9 < images.max() <= 1.0
    assert labels.dtype == np.int64
    assert labels[:10].tolist() == list(range(10))


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_size_is_free(session: ort.InferenceSession, batch: int) -> None:
    """Any number of images runs at once."""
    images, _ = digits_samples()
    (probabilities,) = session.run(None, {"image": images[:batch]})
    assert probabilities.shape == (batch, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_model_knows_the_samples(session: ort.InferenceSession) -> None:
    """The ten easy images are right, the last one is wrong."""
    images, labels = digits_samples()
    (probabilities,) = session.run(None, {"image": images})
    guesses = probabilities.argmax(axis=1)
    assert (guesses[:10] == labels[:10]).all()
    assert (guesses == labels).sum() >= len(labels) - 2
    assert guesses[11] != labels[11], "the last sample is there because the model gets it wrong"
