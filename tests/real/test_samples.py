"""Trained models: samples are told apart where the graph proves them, and batches change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.models

#: What nothing differentiable runs through.
TREES = {"coffee", "hrv_60_5", "hrv_120_5", "hrv_120_60"}
#: Models whose first axis holds no samples, and why.
ONE_SAMPLE = {
    "silero_sequence": "LSTM",  # it steps along the frames
    "plcmos": "Squeeze",  # all axes of length 1: right for one sample only
    "aecmos_16k": "GRU",  # the state's batch is another axis than the input's, and has length 1
    "aecmos_48k": "GRU",
}


def close(a: Any, b: Any, rtol: float) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-12))


def test_samples_are_proven(real_name: str, real_model: Any) -> None:
    if real_name in TREES:
        pytest.skip("trees have no gradient")
    model = real_model(real_name)
    found = ox.Explainer(model.path)(model.feeds, "predicted", "saliency", output=model.output)
    said = [note for note in found.notes if "one sample" in note]
    if real_name in ONE_SAMPLE:
        assert len(said) == 1
        assert ONE_SAMPLE[real_name] in said[0]
        assert len(found) == 1
    else:
        assert not said


#: One of each kind, quick enough for many runs.
BATCHED = [
    "mnist", "shapes", "leafsnap", "ocr_cls", "minilm", "minilm_int8", "movie_review", "magika", "lac",
    "silero", "chars2vec", "season", "penguin", "sunshine", "dnsmos_p808", "mobilenetv2", "silero_openvino",
]  # fmt: skip


#: Where onnxruntime's kernels round otherwise for other batches, and the path runs along ties: from zeros on,
#: all of magika's one-hot rows are alike, and which of them a maximum takes is a matter of the last bit.
ROUNDING = {"magika": 0.15}


@pytest.mark.parametrize("name", BATCHED)
def test_the_internal_batch_size_changes_nothing(name: str, real_model: Any) -> None:
    """A row of 1, of 2, or all at once; and a batch is its samples one by one."""
    model = real_model(name)
    explainer = ox.Explainer(model.path)
    ig = ox.IntegratedGradients(n_steps=4)
    options = {"target": "predicted", "method": ig, "output": model.output}
    samples = explainer._answering.samples(
        model.feeds, [i for i in explainer.inputs if i.explained], (model.output,), None
    )
    axes = samples.layout.axes
    twice = {
        k: np.asarray(v) if axes[k] is None else np.concatenate([v, _another(v, axes[k])], axis=axes[k])
        for k, v in samples.arrays.items()
    }
    whole = explainer(twice, **options)
    rounding = ROUNDING.get(name, 2e-3)
    assert len(whole) == 2 * samples.n
    for size in (1, 2):
        part = explainer(twice, **options, internal_batch_size=size)
        for key, values in whole.arrays.items():
            close(part.arrays[key], values, rounding)
    alone = explainer(model.feeds, **options)
    for key, values in alone.arrays.items():
        close(np.take(whole.arrays[key], np.arange(samples.n), axis=axes[key]), values, rounding)


def _another(array: Any, axis: int | None) -> Any:
    """Return other samples of the same kind: the same numbers in another order."""
    other = np.flip(array, axis=-1) if array.ndim > 1 and axis != array.ndim - 1 else array
    return np.ascontiguousarray(other)


@pytest.mark.parametrize("width", [160, 320, 511])
def test_a_recogniser_whose_declared_length_lies(width: int, real_model: Any) -> None:
    """The output has a step for each eight columns, whatever the file says."""
    model = real_model("ocr_rec")
    explainer = ox.Explainer(model.path)
    feeds = {k: v[..., :width] for k, v in model.feeds.items()}
    steps = explainer.predict(feeds)[model.output].shape[1]
    found = explainer(feeds, (steps - 1, 0), "saliency", output=model.output)
    assert found.predictions.shape[1] == steps
    with pytest.raises(ox.errors.TargetError, match=rf"axis 0 of \({steps}, "):
        explainer(feeds, (steps, 0), "saliency", output=model.output)
