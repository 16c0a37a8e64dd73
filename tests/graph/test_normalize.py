"""The normal form as a whole."""

from __future__ import annotations

from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize


def test_normal_form_keeps_the_symbolic_batch(models) -> None:
    model = normalize(load(models.conv())).model
    dims = [str(v.shape[0]) for node in model.graph for v in node.outputs]
    assert set(dims) == {"N"}
