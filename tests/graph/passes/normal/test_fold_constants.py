"""What does not depend on the input is computed ahead."""

from __future__ import annotations

import numpy as np
from one_pass import TEXT, apply, ops

from onnxplain.graph.passes.normal import FoldConstants


def test_fold_constants(models) -> None:
    body = "t = Transpose(w) u = Mul(t, k) c = Cast<to = 1>(u) y = MatMul(x, c)"
    model = models.make(TEXT.format(x="N, 3", y="N, 4", body=body), w=models.random(4, 3), k=2.0)
    assert ops(apply(FoldConstants(), model, x=models.random(2, 3))) == ["MatMul"]


def test_fold_shapes(models) -> None:
    """A static shape is a constant; of a symbolic one, its static axes."""
    body = "s = Shape(x) a = Gather(s, last) c = Concat<axis = 0>(minus, a) z = Size(w) y = Reshape(x, c)"
    weights = {"last": np.array([1]), "minus": np.array([-1]), "w": models.random(2)}
    model = models.make(TEXT.format(x="N, 3", y="M, 3", body=body), **weights)
    made = apply(FoldConstants(), model, x=models.random(2, 3))
    assert ops(made) == ["Shape", "Reshape"], "the shape itself has a symbolic axis, and is simply not used"
    static = apply(FoldConstants(), models.make(TEXT.format(x="2, 3", y="M, 3", body=body), **weights),
                   x=models.random(2, 3))  # fmt: skip
    assert ops(static) == ["Reshape"]


def test_fold_constants_keeps_what_is_random_or_an_output(models) -> None:
    body = "r = RandomNormal<shape = [3], seed = 1.0>() z = Mul(r, zero) y = Add(x, z) k = Neg(zero)"
    model = models.make(f"m (float[N, 3] x) => (float[N, 3] y, float k) {{ {body} }}", zero=0.0)
    apply(FoldConstants(), model, changed=False, x=models.random(2, 3))
