"""Relevance does not depend on how a layer is written down: constants behind movers count as the layer's.

A family of networks, made of a layer, movers behind it and constants behind those, and for each the twin with
the constants folded into the layer by hand.
"""

from __future__ import annotations

import random
import re
import zlib

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.backward.preparation import prepare
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.movers import collapsed
from onnxplain.graph.normalize import normalize
from onnxplain.testing.reference import Evaluator

# name: (the layer, the shapes of x, of the weight and of the output, its channel axes,
# and the weight times a scale per channel, which has the shape of these axes)

LAYERS = {
    "conv": ("Conv(x, w, b)", (2, 3, 6), (6, 3, 3), (2, 6, 4), (1,), lambda w, s: w * s[:, None, None]),
    "conv of images": (
        "Conv<strides = [2, 1]>(x, w, b)", (2, 2, 5, 4), (6, 2, 3, 2), (2, 6, 2, 3), (1,),
        lambda w, s: w * s[:, None, None, None],
    ),
    "grouped": (
        "Conv<group = 2>(x, w, b)", (2, 4, 6), (6, 2, 3), (2, 6, 4), (1,), lambda w, s: w * s[:, None, None],
    ),
    "transposed": (
        "ConvTranspose<group = 2>(x, w, b)", (2, 4, 3), (4, 3, 2), (2, 6, 4), (1,),
        lambda w, s: (w.reshape(2, 2, 3, 2) * s.reshape(2, 1, 3, 1)).reshape(4, 3, 2),
    ),
    "gemm": ("Gemm(x, w, b)", (2, 5), (5, 6), (2, 6), (1,), lambda w, s: w * s),
    "gemm, transposed": (
        "Gemm<transB = 1, alpha = 0.5>(x, w, b)", (2, 5), (6, 5), (2, 6), (1,), lambda w, s: w * s[:, None],
    ),
    "matmul": ("MatMul(x, w)", (2, 5), (5, 6), (2, 6), (1,), lambda w, s: w * s),
    "matmul of sequences": ("MatMul(x, w)", (2, 3, 5), (5, 6), (2, 3, 6), (2,), lambda w, s: w * s),
    "matmul from the left": ("MatMul(w, x)", (2, 5, 3), (6, 5), (2, 6, 3), (1,), lambda w, s: w * s[:, None]),
    "einsum": (
        'Einsum<equation = "abc,cde->adbe">(x, w)', (2, 3, 5), (5, 2, 3), (2, 2, 3, 3), (1, 3),
        lambda w, s: w * s,
    ),
    "einsum with dots": ('Einsum<equation = "...c,dc">(x, w)', (2, 3, 5), (6, 5), (2, 3, 6), (2,),
                         lambda w, s: w * s[:, None]),
}  # fmt: skip

#: By the number of axes of the layer's output: the movers, from a to m.
MOVERS = {
    2: [
        "m = Identity(a)", "m = Reshape(a, two)", "m = Unsqueeze(a, one)", "m = Transpose(a)",
        "u = Reshape(a, two) m = Transpose<perm = [0, 2, 1]>(u)", "m = Slice(a, one, five, one)",
    ],
    3: [
        "m = Identity(a)", "u = Unsqueeze(a, two_) m = Squeeze(u, two_)",
        "m = Transpose<perm = [0, 2, 1]>(a)", "m = Flatten(a)", "m = Transpose(a)",
        "m = Reshape(a, copied)", "m = Unsqueeze(a, one)",
        "u = Transpose<perm = [1, 0, 2]>(a) m = Reshape(u, joined)", "m = Slice(a, zero, one, two_)",
        "m = Slice(a, one, two_, one)", 'm = Pad<mode = "edge">(a, pads)',
        "p, q = Split<axis = 2, num_outputs = 2>(a) m = Concat<axis = 2>(q, p)",
    ],
    4: [
        "m = Identity(a)", "m = Flatten(a)", "m = Transpose<perm = [0, 2, 3, 1]>(a)",
        "m = Reshape(a, copied)", "u = Transpose<perm = [0, 3, 1, 2]>(a) m = Flatten<axis = 3>(u)",
        "m = Unsqueeze(a, last)",
    ],
}  # fmt: skip

NUMBERS = {
    "zero": [0], "one": [1], "two_": [2], "five": [5], "two": [0, 2, 3], "last": [-1], "copied": [0, 0, -1],
    "pads": [0, 0, 1, 0, 0, 1], "joined": [0, -1],
}  # fmt: skip

#: From m to y, by the constants c and d; and the same on numbers.
FOLLOWS = {
    "Add": ("y = Add(m, c)", lambda m, c, d: m + c),
    "Add on the left": ("y = Add(c, m)", lambda m, c, d: c + m),
    "Sub": ("y = Sub(m, c)", lambda m, c, d: m - c),
    "Sub from": ("y = Sub(c, m)", lambda m, c, d: c - m),
    "Mul": ("y = Mul(m, c)", lambda m, c, d: m * c),
    "Mul on the left": ("y = Mul(c, m)", lambda m, c, d: m * c),
    "Div": ("y = Div(m, c)", lambda m, c, d: m / c),
    "Neg": ("y = Neg(m)", lambda m, c, d: -m),
    "Mul, Add": ("s = Mul(m, c) y = Add(s, d)", lambda m, c, d: m * c + d),
    "Add, Mul, Add": ("t = Add(m, c) s = Mul(t, c) y = Add(d, s)", lambda m, c, d: (m + c) * c + d),
    "moved between": ("t = Sub(m, c) f = Flatten(t) g = Reshape(f, like) y = Mul(d, g)",
                      lambda m, c, d: (m - c) * d),
}  # fmt: skip


def keeps_samples(movers: str) -> bool:
    """Tell whether the first axis is still the samples' afterwards."""
    return not any(word in movers for word in ("Transpose(a)", "[1, 0, 2]", "joined"))


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


CONSTANTS = ("one number", "per channel", "whole")

#: Every layer with every mover; what follows and the kinds of constants take turns.
CASES = [
    (layer, movers, list(FOLLOWS)[(k + 3 * j) % len(FOLLOWS)], CONSTANTS[(k + j) % 3])
    for k, layer in enumerate(LAYERS)
    for movers in MOVERS[len(LAYERS[layer][3])]
    for j in range(4 * hash_of(movers), 4 * hash_of(movers) + 4)
    if not ("Pad" in movers and LAYERS[layer][3][2] == 6)  # channels are padded
]
#: Some of them, for what takes longer.
FEW = [c for c in random.Random(1).sample(CASES, 120) if keeps_samples(c[1])][:36]


def numbers(body: str, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Return the weights that a graph names."""
    known = {k: np.array(v, np.int64) for k, v in NUMBERS.items()} | more
    return {k: v for k, v in known.items() if re.search(rf"[ (]{k}[,)]", body)}


def evaluate(body: str, a: np.ndarray, models) -> np.ndarray:
    letters = ", ".join("ABCDE"[: a.ndim + body.count("Unsq") + body.count("two)")])
    dims = ", ".join(map(str, a.shape))
    made = models.make(f"m (float[{dims}] a) => (float[{letters}] m) {{ {body} }}", **numbers(body))
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return np.asarray(Evaluator(load(made))({"a": a})["m"])


def pair(models, case: tuple[str, str, str, str]) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return the model as exported, and the one with all constants right behind the layer or in it."""
    layer, movers, follows, constant = case
    node, shape, w_shape, out, axes, scaled = LAYERS[layer]
    rng = np.random.default_rng(hash_of("".join(case)))
    channels = tuple(out[k] for k in axes)
    behind = tuple(n if k in axes else 1 for k, n in enumerate(out))
    w, b = rng.standard_normal(w_shape), rng.standard_normal(channels) * ("b)" in node)
    pick = 1 if constant == "one number" else channels
    c, d = (rng.uniform(0.5, 1.5, pick) * rng.choice([-1, 1], pick) * np.ones(channels) for _ in "cd")
    text, meant = FOLLOWS[follows]
    shift = meant(np.zeros(channels), c, d)
    scale = meant(np.ones(channels), c, d) - shift
    moved = [
        evaluate(movers, np.broadcast_to(p.reshape(behind), out).astype(np.float32), models) for p in (c, d)
    ]
    tail = "r = Relu(y) k = Reshape(r, flat) z = MatMul(k, v)"
    size = moved[0].size // 2
    sizes = {
        "like": np.array([-1, *moved[0].shape[1:]]), "flat": np.array([-1, size]),
        "v": rng.standard_normal((size, 3)).astype(np.float32),
    }  # fmt: skip
    if constant != "whole":
        moved = [p.ravel()[0] if constant == "one number" else collapsed(p) for p in moved]
    head = f"m (float[{', '.join(map(str, shape))}] x) => (float[2, 3] z)"
    body = f"a = {node} {movers} {text} {tail}"
    exported = models.make(
        f"{head} {{ {body} }}",
        **numbers(body, w=w.astype(np.float32), b=b.astype(np.float32), c=moved[0], d=moved[1], **sizes),
    )
    folded = (
        f"a = {node}" if "b)" in node else f"p0 = {node} a = Add(p0, b)" if shift.any() else f"a = {node}"
    )
    body = f"{folded} {movers} y = Identity(m) {tail}"
    bias = (b * scale + shift).astype(np.float32)
    twin = models.make(
        f"{head} {{ {body} }}",
        **numbers(body, w=scaled(w, scale).astype(np.float32),
                  b=bias if "b)" in node else bias.reshape(behind), **sizes),
    )  # fmt: skip
    return exported, twin


def prepared(model: onnx.ModelProto) -> ir.Model:
    return prepare(normalize(load(model)).model, ["relevance"])


@pytest.mark.parametrize("case", CASES, ids="; ".join)
def test_the_layer_takes_all_constants_in(case, models) -> None:
    """The prepared graphs have the same operators, with the same weights, so all rules give the same."""
    exported, twin = (prepared(m) for m in pair(models, case))
    beside = ("Concat", "Flatten", "Identity", "Reshape", "Shape")  # a Gemm comes with some
    ops, others = ([n.op_type for n in m.graph if n.op_type not in beside] for m in (exported, twin))
    assert ops == others
    for mine, its in zip(layers(exported), layers(twin), strict=True):
        for a, b in zip(mine, its, strict=True):
            if "Slice" not in case[1]:  # what is cut off may be anything
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def layers(model: ir.Model) -> list[list[np.ndarray]]:
    """Return weight and bias of the first layer."""
    node = next(n for n in model.graph if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"))
    found = [facts.constant(v) for v in node.inputs[1:]]
    return [[a for a in found if a is not None]]


@pytest.mark.parametrize("case", FEW, ids="; ".join)
def test_relevance_is_the_twins(case, models) -> None:
    exported, twin = (ox.Explainer(m) for m in pair(models, case))
    x = models.random(*LAYERS[case[0]][1], seed=4)
    np.testing.assert_allclose(exported.predict(x)["z"], twin.predict(x)["z"], rtol=1e-4, atol=1e-4)
    for name in ("zplus", "epsilon_alpha2_beta1", "deep_taylor", "zero_epsilon_gamma"):
        found, wanted = (e(x, 1, method=ox.LRP(name)).values for e in (exported, twin))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max(), err_msg=name)


#: Composites of relevance, and what they need.
COMPOSITES = {
    name: {"low": -4.0, "high": 4.0} if name == "epsilon_gamma_box" else {}
    for name, make in PRESETS.items()
    if preset(name, **({"low": -4.0, "high": 4.0} if name == "epsilon_gamma_box" else {})).preparation
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in COMPOSITES if not n.startswith("deep_lift")])
def test_all_composites(name, models) -> None:
    exported, twin = (ox.Explainer(m) for m in keras(models))
    x = models.random(3, 10, 2, seed=5)
    method = ox.VisualBackProp() if name == "visual_backprop" else ox.LRP(name, **COMPOSITES[name])
    found, wanted = (e(x, 1, method=method).values for e in (exported, twin))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def keras(models) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Two Conv1D with "same" padding and BatchNormalization, as tf2onnx writes them, and folded by hand."""
    w, u = models.random(4, 2, 1, 3, seed=1), models.random(5, 4, 1, 3, seed=2)
    v = models.random(5, 3, seed=3)
    per = [models.random(1, n, 1, seed=10 + k) for k, n in enumerate((4, 4, 4, 5, 5, 5))]
    weights = {"w": w, "u": u, "v": v, "pads": np.array([0, 1, 0, 0, 1, 0]), "k2": np.array([2]),
               "k1": np.array([1])}  # fmt: skip
    named = dict(zip(("c1", "s1", "t1", "c2", "s2", "t2"), per, strict=True))
    exported = models.make(
        """m (float[N, 10, 2] x) => (float[N, 3] y) {
          p = Pad(x, pads) e = Unsqueeze(p, k1) i = Transpose<perm = [0, 3, 1, 2]>(e)
          a1 = Conv(i, w) q1 = Squeeze(a1, k2) b1 = Add(q1, c1) m1 = Mul(b1, s1) n1 = Add(m1, t1)
          r1 = Relu(n1) e2 = Unsqueeze(r1, k2)
          a2 = Conv<pads = [0, 1, 0, 1]>(e2, u) q2 = Squeeze(a2, k2) b2 = Add(q2, c2) m2 = Mul(b2, s2)
          n2 = Sub(m2, t2) r2 = Relu(n2) g = GlobalMaxPool(r2) f = Flatten(g) y = MatMul(f, v)
        }""", **weights, **named,
    )  # fmt: skip
    c1, s1, t1, c2, s2, t2 = (p.ravel() for p in per)
    twin = models.make(
        """m (float[N, 10, 2] x) => (float[N, 3] y) {
          i = Transpose<perm = [0, 2, 1]>(x) a1 = Conv<pads = [1, 1]>(i, w, b1) r1 = Relu(a1)
          a2 = Conv<pads = [1, 1]>(r1, u, b2) r2 = Relu(a2) g = GlobalMaxPool(r2)
          f = Flatten(g) y = MatMul(f, v)
        }""",
        w=w[:, :, 0] * s1[:, None, None], b1=c1 * s1 + t1, u=u[:, :, 0] * s2[:, None, None], b2=c2 * s2 - t2,
        v=v,
    )  # fmt: skip
    return exported, twin
