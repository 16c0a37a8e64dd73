"""Which models keep samples apart, and which node mixes them: small models of every kind."""

from __future__ import annotations

import pytest

from onnxplain.graph.batch import Batch, Mixed, analyse
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize


def run(proto, axes, shapes, **options):
    model = normalize(load(proto)).model
    return analyse(model, axes, shapes, **options)


def axes_of(found, *names):
    assert isinstance(found, Batch), found
    return [found.axes[name] for name in names]


def test_zoo_is_proven(models):
    assert axes_of(run(models.mlp(softmax=True), {"x": 0}, {"x": (4, 5)}), "y", "h") == [0, 0]
    assert axes_of(run(models.conv(), {"x": 0}, {"x": (4, 2, 8, 8)}), "y") == [0]
    assert axes_of(run(models.channels_last(), {"x": 0}, {"x": (4, 8, 8, 2)}), "y") == [0]
    found = run(models.batch_last(), {"x": 0, "aside": 1}, {"x": (4, 5), "aside": (5, 4)})
    assert axes_of(found, "aside", "turned", "y") == [1, 0, 0]
    shapes = {"ids": (4, 7), "mask": (4, 7)}
    assert axes_of(run(models.tokens(), {"ids": 0, "mask": 0}, shapes), "e", "y") == [0, 0]
    assert axes_of(run(models.tokens(), {"ids": 0, "mask": 0}, shapes), "table", "y") == [None, 0]


MIXING = {
    "self-attention over the first axis": (
        "t = Transpose(x) a = MatMul(x, t) s = Softmax(a) y = MatMul(s, x)",
        "MatMul",
        "every sample of one input meet every sample of another",
    ),
    "centring over the batch": (
        "zero = Constant<value_ints = [0]>() m = ReduceMean(x, zero) y = Sub(x, m)",
        "ReduceMean",
        "works along axis 0 of 'x'",
    ),
    "softmax over the batch": ("y = Softmax<axis = 0>(x)", "Softmax", "works along axis 0"),
}


@pytest.mark.parametrize("name", MIXING)
def test_the_first_node_that_mixes_is_named(models, name):
    graph, node, reason = MIXING[name]
    found = run(models.make(f"m (float[N, 4] x) => (float[N, K] y) {{ {graph} }}"), {"x": 0}, {"x": (5, 4)})
    assert isinstance(found, Mixed)
    assert found.node.startswith(f"{node} node")
    assert reason in found.reason
