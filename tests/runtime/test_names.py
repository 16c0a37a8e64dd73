"""Names that programs would like to have may be the model's own: of weights and of values."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.kernels import operators_library
from onnxplain.runtime.plans import nearby as asking
from onnxplain.runtime.plans import run as running

pytestmark = pytest.mark.skipif(operators_library() is None, reason="the operators were not built here")

BODY = """
    c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
    p1 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
    c2 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(p1, w2) r2 = Relu(c2)
    c3 = Conv<pads = [1, 1, 1, 1]>(r2, w3) r3 = Relu(c3) f = Flatten(r3) y = MatMul(f, v)
"""
#: By turns taken by a weight and by a value.
TAKEN = [
    "w1/packed", "w2/packed", "w2/part_0_0", "w2/part_1_1", "w1/flipped_1", "w3/flipped_1", "x/whole",
    "p1/whole",
    "x/around", "r1/around", "onnxplain/place_0", "onnxplain/place_1", "r1/blocked", "p1/blocked",
]  # fmt: skip


def network(models, names: dict[str, str]) -> onnx.ModelProto:
    """Return a network, some of whose names are others."""
    model = models.make(
        f"m (float[N, 3, 16, 16] x) => (float[N, 4] y) {{ {BODY} }}",
        w1=models.random(16, 3, 3, 3, seed=1), w2=models.random(16, 16, 3, 3, seed=2),
        w3=models.random(16, 16, 3, 3, seed=3, scale=0.2), v=models.random(256, 4, seed=4),
    )  # fmt: skip
    for node in model.graph.node:
        node.input[:] = [names.get(i, i) for i in node.input]
        node.output[:] = [names.get(o, o) for o in node.output]
    for weight in model.graph.initializer:
        weight.name = names.get(weight.name, weight.name)
    return model


@pytest.mark.parametrize(("name", "of"), [(name, "vf"[k % 2]) for k, name in enumerate(TAKEN)])
def test_it_is_explained_as_ever(name, of, models, monkeypatch) -> None:
    monkeypatch.setattr(asking, "_GAIN", 0.0)
    monkeypatch.setattr(asking, "_FEWEST", 1)
    used = []

    def noted(*given):
        used.append(asking.nearby(*given))
        return used[-1]

    monkeypatch.setattr(running, "nearby", noted)
    x, names = models.random(2, 3, 16, 16), {of: name}
    plain = ox.Explainer(network(models, {}), accelerate=False)
    own = ox.Explainer(network(models, names), accelerate=True)
    for method in (ox.Saliency(abs=False), ox.DeepLift(), ox.Occlusion((3, 4, 4), (3, 2, 2))):
        expected = plain(x, [0, 2], method).values
        for _ in range(2):  # as it was compiled first, and anew
            found = own(x, [0, 2], method).values
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert sum(u is not None for u in used) == 2
