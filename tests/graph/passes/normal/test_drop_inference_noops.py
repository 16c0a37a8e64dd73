"""What does nothing at inference goes."""

from __future__ import annotations

import numpy as np
import pytest
from one_pass import TEXT, apply, ops

from onnxplain.graph.passes.normal import DropInferenceNoOps


def test_drop_inference_noops(models) -> None:
    body = """i = Identity(x) d = Dropout(i) r = Relu(d) c = Cast<to = 1>(r)
      e, k = Dropout(c, half, off) y = Identity(e)"""
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body), half=0.5, off=np.array(False))
    made = apply(DropInferenceNoOps(), model, x=models.random(2, 3))
    assert ops(made) == ["Relu", "Identity"], "the last one gives the output its name"


def test_a_dropout_that_makes_an_output_is_an_identity(models) -> None:
    body = "t = Tanh(x) y = Dropout(t, half, off)"
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body), half=0.5, off=np.array(False))
    assert ops(apply(DropInferenceNoOps(), model, x=models.random(2, 3))) == ["Tanh", "Identity"]


@pytest.mark.parametrize(
    "body",
    [
        "d, k = Dropout(x) f = Cast<to = 1>(k) y = Add(d, f)",
        "c = Cast<to = 11>(x) d = Cast<to = 1>(c) y = Relu(d)",
    ],
    ids=["mask used", "real casts"],
)
def test_drop_leaves_alone(body, models) -> None:
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body))
    apply(DropInferenceNoOps(), model, changed=False, x=models.random(2, 3))
