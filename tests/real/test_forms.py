"""Trained models, explained with our own operators and with those of the standard alone: the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from trained import target_of

import onnxplain as ox
from onnxplain.runtime.operators import why_not

pytestmark = pytest.mark.models

#: Small ones, of different kinds, and those whose programs are kept in blocks.
NAMES = [
    "mnist", "mnist_tf", "shapes", "movie_review", "penguin", "season", "silero_half", "yunet", "minilm",
    "mobilenetv2",
]  # fmt: skip
#: At the embedding: a token's number is the sum over it, which is 0 behind a normalisation, but for rounding.
EXPLAINED = {"minilm": "/model/model.0/auto_model/embeddings/word_embeddings/Gather_output_0"}
METHODS = {
    "saliency": {"abs": False},
    "guided_backprop": {},
    "lrp": {},
    "deep_lift": {},
}


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_are_alike(name, real_model):
    """At the input, once more by the program that was compiled anew, and at another input by that."""
    if why_not() is not None:
        pytest.skip(f"our own operators do not run here: {why_not()}")
    model = real_model(name)
    ours, plain = (ox.Explainer(model.path, device="cpu", accelerate=a) for a in (True, False))
    target = target_of(model, plain)
    other = {k: v * np.float32(0.9) if v.dtype == np.float32 else v for k, v in model.feeds.items()}
    wrt = EXPLAINED.get(name)
    for method, parameters in METHODS.items():
        for feeds, runs in ((model.feeds, 2), (other, 1)):
            asked = {"output": model.output, "wrt": wrt, **parameters}
            expected = plain(feeds, target, method, **asked).arrays
            for _ in range(runs):
                made = ours(feeds, target, method, **asked).arrays
                for key, values in expected.items():
                    most = np.abs(values).max()
                    assert most > 0
                    off = np.abs(made[key] - values).max() / most
                    assert off < 2e-4, f"{method}: {key} is off by {off:.1e} of the largest value"
