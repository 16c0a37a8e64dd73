"""Zero padding becomes the convolution's own, where it is the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

PADS = np.array([0, 0, 1, 2, 0, 0, 0, 1])

# name: (graph from x (2, 2, 5, 5) to y, weights, pads of the convolutions)
FOLDED = {
    "plain": ("p = Pad(x, pads) y = Conv(p, w)", {"pads": PADS}, [[1, 2, 0, 1]]),
    "zero given": ("p = Pad(x, pads, zero) y = Conv(p, w)", {"pads": PADS, "zero": np.float32(0)},
                   [[1, 2, 0, 1]]),
    "axes": ("p = Pad(x, pads, none, axes) y = Conv(p, w)",
             {"pads": np.array([1, 2]), "axes": np.array([-1])}, [[0, 1, 0, 2]]),
    "pads of its own": ("p = Pad(x, pads) y = Conv<pads = [1, 0, 1, 0], strides = [2, 2]>(p, w)",
                        {"pads": PADS}, [[2, 2, 1, 1]]),
    "valid": ('p = Pad(x, pads) y = Conv<auto_pad = "VALID">(p, w)', {"pads": PADS}, [[1, 2, 0, 1]]),
    "two readers": (("p = Pad(x, pads) a = Conv(p, w) b = Conv<strides = [2, 2]>(p, w) c = GlobalMaxPool(b) "
                    "y = Add(a, c)"), {"pads": PADS}, [[1, 2, 0, 1], [1, 2, 0, 1]]),
}  # fmt: skip

LEFT = {
    "ones": ("p = Pad(x, pads, one) y = Conv(p, w)", {"pads": PADS, "one": np.float32(1)}),
    "reflected": ('p = Pad<mode = "reflect">(x, pads) y = Conv(p, w)', {"pads": PADS}),
    "channels": ("p = Pad(x, pads) y = Conv(p, w)", {"pads": np.array([0, 1, 0, 0, 0, 0, 0, 0])}),
    "cropped": ("p = Pad(x, pads) y = Conv(p, w)", {"pads": np.array([0, 0, -1, 0, 0, 0, 0, 0])}),
    "read by a pooling": (("p = Pad(x, pads) a = Conv(p, w) b = GlobalMaxPool(p) c = Concat<axis = 1>(b) "
                          "d = ReduceSum(c) y = Add(a, d)"), {"pads": PADS}),
    "same": ('p = Pad(x, pads) y = Conv<auto_pad = "SAME_UPPER">(p, w)', {"pads": PADS}),
}  # fmt: skip


def stock(proto, x):
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def run(models, body, weights):
    w = models.random(
        3, 3 if (weights["pads"][1:2] == 1).all() and weights["pads"].size == 8 else 2, 2, 2, seed=1
    )
    graph = f"m (float[2, 2, 5, 5] x) => (float[2, 3, H, W] y) {{ {body.replace('none', '')} }}"
    proto = models.make(graph, w=w, **weights)
    x = models.random(2, 2, 5, 5)
    made = normalize(load(proto)).model
    np.testing.assert_allclose(stock(ir.to_proto(made), x), stock(proto, x), atol=1e-5)
    return made


@pytest.mark.parametrize("case", FOLDED)
def test_padding_becomes_the_convolutions(case, models) -> None:
    body, weights, pads = FOLDED[case]
    made = run(models, body, weights)
    assert "Pad" not in [n.op_type for n in made.graph]
    assert [list(n.attributes["pads"].value) for n in made.graph if n.op_type == "Conv"] == pads


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_such_padding_stays(case, models) -> None:
    body, weights = LEFT[case]
    assert "Pad" in [n.op_type for n in run(models, body, weights).graph]
