"""Whether lengths are open or fixed changes no explanation, and what is computed of them joins no samples."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxplain as ox

#: Rules that read biases in different ways.
COMPOSITES = ("conserving", "zplus", "epsilon_alpha2_beta1", "attention")

N, LENGTH, WIDE = 3, 4, 5

#: What is added is made of c (WIDE) or of p, a table of positions (7, WIDE), as long as x (N, LENGTH, WIDE).
ADDED = {
    "positions": "s = Shape <start = 1, end = 2> (x) a = Slice (p, zero, s, zero) v = Add (h, a)",
    "behind a rectifier": "r = Relu (h) s = Shape (x) a = Expand (c, s) v = Add (r, a)",
    "a layer's": "s = Shape (x) a = Expand (c, s) v = Sub (h, a)",
    "of two": "s = Shape (x) a = Expand (c, s) b = Mul (a, c) v = Sum (h, b, c)",
}
DENSE = {
    "of a matrix": "s = Shape <start = 0, end = 1> (x) o = Expand (one, s) s2 = Concat <axis = 0> (s, five) "
    "a = Expand (c, s2) v = Gemm (x, w, a)",
    "and normalised": "s = Shape (x) a = Expand (c, s) m = MatMul (x, w) b = Add (m, a) "
    "v = BatchNormalization (b, c2, c, c, c2)",
}


def model(body: str, lengths: str, *, matrix: bool) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    first = "" if matrix else "h = MatMul (x, w)"
    made = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[{lengths}, {WIDE}] x) => (float[{lengths}, 2] y) {{
            {first} {body} t = Relu (v) y = MatMul (t, u) }}"""
    )
    c = rng.standard_normal(WIDE).astype(np.float32)
    weights = {
        "w": rng.standard_normal((WIDE, WIDE)), "u": rng.standard_normal((WIDE, 2)), "c": c,
        "c2": np.abs(c) + 0.5, "p": rng.standard_normal((7, WIDE)), "one": np.ones(1),
    }  # fmt: skip
    made.graph.initializer.extend(
        onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items() if k in str(made)
    )
    for name, number in (("zero", 0), ("five", WIDE)):
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([number]), name))
    return made


CASES = [(k, False) for k in ADDED] + [(k, True) for k in DENSE]


@pytest.mark.parametrize(("case", "matrix"), CASES, ids=[k for k, _ in CASES])
def test_lengths_are_open_or_fixed(case: str, matrix: bool) -> None:
    body = (DENSE if matrix else ADDED)[case]
    opened, fixed = ("N", str(N)) if matrix else ("N, L", f"{N}, {LENGTH}")
    shape = (N, WIDE) if matrix else (N, LENGTH, WIDE)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    moved = x.copy()
    moved[0] += 1
    target = [0, 1, 0] if matrix else [(k, k % 2) for k in range(N)]
    one, other = (
        ox.Explainer(model(body, lengths, matrix=matrix), device="cpu", threads=1)
        for lengths in (opened, fixed)
    )
    for name in COMPOSITES:
        values = one(x, target, "lrp", composite=name).values
        np.testing.assert_array_equal(other(x, target, "lrp", composite=name).values, values, err_msg=name)
        beside = other(moved, target, "lrp", composite=name).values[1:]
        np.testing.assert_allclose(beside, values[1:], rtol=1e-5, atol=1e-6, err_msg=f"{name}: beside")
