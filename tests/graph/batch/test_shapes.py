"""Shape arithmetic of real exports, and samples inside longer axes: proven, and compared with runs."""

from __future__ import annotations

import batch_cases
import numpy as np
import pytest

from onnxplain.graph.batch import Batch, Mixed

rng = np.random.default_rng(0)


def random(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def ints(*content):
    return np.array(content, np.int64)


# Models of x (N, ...) whose samples are independent: shape of x, axis of the samples, graph, weights.
PROVEN = {
    "flatten by -1": (
        (4, 2, 3),
        0,
        "f = Reshape(x, s) y = MatMul(f, w)",
        {"s": ints(-1, 6), "w": random(6, 2)},
    ),
    "flatten by 0": (
        (4, 2, 3),
        0,
        "f = Reshape(x, s) y = MatMul(f, w)",
        {"s": ints(0, -1), "w": random(6, 2)},
    ),
    "head by Shape, Gather, Concat": (
        (4, 2, 3),
        0,
        """s = Shape(x) n = Gather(s, zero) f = Unsqueeze(n, axis) t = Concat<axis = 0>(f, rest)
        y = Reshape(x, t)""",
        {"zero": np.array(0), "axis": ints(0), "rest": ints(-1)},
    ),
    "head by Shape, Cast, Slice as TensorFlow writes it": (
        (4, 2, 3),
        0,
        """s = Shape(x) i = Cast<to = 6>(s) n = Slice(i, a, b, a) c = Concat<axis = 0>(n, rest)
        t = Cast<to = 7>(c) y = Reshape(x, t)""",
        {"a": ints(0), "b": ints(1), "rest": np.array([6], np.int32)},
    ),
    "size divided": (
        (4, 2, 3),
        0,
        """s = Size(x) n = Div(s, six) f = Unsqueeze(n, axis) t = Concat<axis = 0>(f, rest)
        y = Reshape(x, t)""",
        {"six": np.array(6), "axis": ints(0), "rest": ints(2, 3)},
    ),
    "dense layer on [N * T, F]": (
        (4, 5, 3),
        0,
        """s = Shape(x) r = Reshape(x, flat) a = MatMul(r, w) l = Softmax(a) y = Reshape(l, s)""",
        {"flat": ints(-1, 3), "w": random(3, 3)},
    ),
    "dense layer on [T * N, F]": (
        (5, 4, 3),
        1,
        """s = Shape(x) r = Reshape(x, flat) a = MatMul(r, w) y = Reshape(a, s)""",
        {"flat": ints(-1, 3), "w": random(3, 3)},
    ),
    "attention with heads as part of the batch, time first": (
        (5, 4, 6),
        1,
        """s = Shape(x) n = Slice(s, one, two, nil) h = Mul(n, three) t = Slice(s, nil, one, nil)
        p = Concat<axis = 0>(t, h, two) q = Reshape(x, p) k = Transpose<perm = [1, 0, 2]>(q)
        v = Transpose<perm = [0, 2, 1]>(k) a = MatMul(k, v) w = Softmax(a) m = MatMul(w, k)
        b = Transpose<perm = [1, 0, 2]>(m) y = Reshape(b, s)""",
        {"nil": ints(0), "one": ints(1), "two": ints(2), "three": ints(3)},
    ),
    "class token by Expand": (
        (4, 5, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) t = Concat<axis = 0>(s, rest) e = Expand(token, t)
        c = Concat<axis = 1>(e, x) y = Add(c, position)""",
        {"rest": ints(1, 3), "token": random(1, 1, 3), "position": random(1, 6, 3)},
    ),
    "class token by Expand with -1 as PyTorch writes it": (
        (4, 5, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) t = Concat<axis = 0>(s, rest) o = ConstantOfShape<value = f>(len)
        m = Mul(o, minus) e = Equal(t, m) w = Where(e, o, t) z = Expand(token, w)
        y = Concat<axis = 1>(z, x)""",
        {"rest": ints(-1, 3), "len": ints(3), "minus": ints(-1), "token": random(1, 1, 3)},
    ),
    "zeros of the batch's size": (
        (4, 5),
        0,
        """s = Shape(x) z = ConstantOfShape(s) m = Max(x, z) y = Where(c, m, z)""",
        {"c": np.array([True, False, True, True, False])},
    ),
    "positions by Range": (
        (4, 5),
        0,
        """s = Shape<start = 1, end = 2>(x) t = Squeeze(s) r = Range(a, t, b) p = Gather(table, r)
        y = Add(x, p)""",
        {"a": np.array(0), "b": np.array(1), "table": random(9)},
    ),
    "tiled table": (
        (4, 5, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) t = Concat<axis = 0>(s, rest) e = Tile(table, t) y = Mul(x, e)""",
        {"rest": ints(1, 1), "table": random(1, 5, 3)},
    ),
    "windows": (
        (4, 4, 6, 2),
        0,
        """w = Reshape(x, split) t = Transpose<perm = [0, 1, 3, 2, 4, 5]>(w) f = Reshape(t, windows)
        k = Transpose<perm = [0, 2, 1]>(f) a = MatMul(f, k) g = Reshape(a, groups) m = Add(g, mask)
        y = Softmax(m)""",
        {
            "split": ints(0, 2, 2, 2, 3, 2),
            "windows": ints(-1, 6, 2),
            "groups": ints(-1, 4, 6, 6),
            "mask": random(1, 4, 6, 6),
        },
    ),
    "two views of each sample": (
        (4, 6),
        0,
        """m = Neg(x) b = Concat<axis = 0>(x, m) h = MatMul(b, w) p, q = Split<axis = 0, num_outputs = 2>(h)
        y = Add(p, q)""",
        {"w": random(6, 2)},
    ),
    "each sample's own row": (
        (4, 5, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) n = Squeeze(s) r = Range(a, n, b)
        o = ReduceSum<keepdims = 0>(x, last) k = ArgMax<axis = 1, keepdims = 0>(o)
        u = Unsqueeze(r, last) v = Unsqueeze(k, last)
        i = Concat<axis = -1>(u, v) y = GatherND(x, i)""",
        {"a": np.array(0), "b": np.array(1), "last": ints(-1)},
    ),
    "depthwise on channels last": (
        (4, 6, 5, 2),
        0,
        """t = Transpose<perm = [0, 3, 1, 2]>(x) c = Conv<group = 2, pads = [1, 1, 1, 1]>(t, w)
        u = Resize<mode = "nearest">(c, none, scales) y = Transpose<perm = [0, 2, 3, 1]>(u)""",
        {"w": random(4, 1, 3, 3), "none": random(0), "scales": np.array([1, 1, 2, 2], np.float32)},
    ),
    "resized to another's size": (
        (4, 2, 4, 4),
        0,
        """p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x) s = Shape(x) h = Slice(s, a, b, nil)
        q = Shape(p) n = Slice(q, nil, a, nil) t = Concat<axis = 0>(n, h)
        u = Resize<mode = "linear">(p, , , t) y = Add(x, u)""",
        {"a": ints(2), "b": ints(4), "nil": ints(0)},
    ),
    "channels shuffled": (
        (4, 6, 3, 3),
        0,
        """g = Reshape(x, split) t = Transpose<perm = [0, 2, 1, 3, 4]>(g) s = Shape(x) y = Reshape(t, s)""",
        {"split": ints(-1, 2, 3, 3, 3)},
    ),
    "entries placed in each sample": (
        (4, 5),
        0,
        """t = Transpose(x) u = Slice(t, nil, two, nil) z = ScatterND(t, index, u) y = Transpose(z)""",
        {"index": ints([4], [1]), "nil": ints(0), "two": ints(2)},
    ),
    "a table repeated for each sample, in the same order": (
        (4, 3, 6),
        0,
        """s = Shape(x) a = Reshape(x, flat) e = Expand(table, s) b = Reshape(e, flat) c = Add(a, b)
        y = Reshape(c, s)""",
        {"flat": ints(-1, 6), "table": random(1, 3, 6)},
    ),
    "pooled with windows that stand out": (
        (4, 2, 6, 6),
        0,
        """p = MaxPool<kernel_shape = [1, 2], strides = [3, 3], ceil_mode = 1>(x) s = Shape<start = 2>(p)
        z = Slice(s, nil, one, nil) t = Concat<axis = 0>(all, z) q = Reshape(p, t) y = Reshape(q, back)""",
        {"nil": ints(0), "one": ints(1), "all": ints(-1, 4), "back": ints(-1, 8)},
    ),
    "einsum": ((4, 5, 3), 0, """y = Einsum<equation = "nij,jk->kni">(x, w)""", {"w": random(3, 2)}),
    "beams of each sample": (
        (4, 3),
        0,
        """u = Unsqueeze(x, one) t = Tile(u, r) f = Reshape(t, flat) h = Tanh(f) g = Reshape(h, back)
        y = ReduceMax<keepdims = 0>(g, one)""",
        {"one": ints(1), "r": ints(1, 2, 1), "flat": ints(-1, 3), "back": ints(-1, 2, 3)},
    ),
}


def build(models, shape, axis, graph, weights):
    dims = ", ".join("N" if k == axis else str(d) for k, d in enumerate(shape))
    filled = graph.replace("<value = f>", "<value = int64[1] {1}>")
    return models.make(f"m (float[{dims}] x) => (float y) {{ {filled} }}", **weights)


@pytest.mark.parametrize("name", PROVEN)
def test_proven_and_true(models, name):
    shape, axis, graph, weights = PROVEN[name]
    proto = build(models, shape, axis, graph, weights)
    for free in (True, False):
        found = batch_cases.analysed(proto, {"x": axis}, {"x": random(*shape)}, free=free)
        assert isinstance(found, Batch), found
        assert found.axes["y"] is not None


# The same kinds of arithmetic, gone wrong.
REFUSED = {
    "[N, T, F] read as [T, N, F]": (
        (4, 5, 3),
        0,
        """s = Shape(x) n = Slice(s, nil, one, nil) t = Concat<axis = 0>(five, n, three) y = Reshape(x, t)""",
        {"nil": ints(0), "one": ints(1), "five": ints(5), "three": ints(3)},
        "cuts across samples",
    ),
    "transposed heads": (
        (4, 5, 6),
        0,
        """a = Reshape(x, flat) t = Transpose(a) y = Reshape(t, back)""",
        {"flat": ints(-1, 6), "back": ints(-1, 5, 6)},
        "cuts across samples",
    ),
    "two sizes in one shape": (
        (4, 3),
        0,
        "s = Shape(x) n = Slice(s, nil, one, nil) t = Concat<axis = 0>(n, n) y = ConstantOfShape(t)",
        {"nil": ints(0), "one": ints(1)},
        "both depend on the batch size",
    ),
    "a bound that only large batches meet": (
        (4, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) n = Min(s, most) t = Concat<axis = 0>(n, three) e = Expand(row, t)
        y = Add(x, e)""",
        {"most": ints(64), "three": ints(3), "row": random(1, 3)},
        "computes with the batch size",
    ),
    "half of the samples": (
        (4, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) n = Div(s, two) y = Slice(x, nil, n, nil)""",
        {"two": ints(2), "nil": ints(0)},
        "picks",
    ),
    "as many entries as samples": (
        (4, 9),
        0,
        """s = Shape<start = 0, end = 1>(x) y = Slice(x, nil, s, one)""",
        {"nil": ints(0), "one": ints(1)},
        "depends on the batch size",
    ),
    "a choice by the number of samples": (
        (4, 3),
        0,
        """s = Shape<start = 0, end = 1>(x) c = Greater(s, ten) n = Neg(x) y = Where(c, x, n)""",
        {"ten": ints(10)},
        "computes with the batch size",
    ),
    "another sample's row": (
        (4, 5),
        0,
        """s = Shape<start = 0, end = 1>(x) n = Squeeze(s) r = Range(a, n, b) m = Mod(q, n) p = Add(r, m)
        u = Unsqueeze(p, last) y = GatherND(x, u)""",
        {"a": np.array(0), "b": np.array(1), "q": np.array(1), "last": ints(-1)},
        "",
    ),
    "a table repeated for each sample, beside samples inside it": (
        (4, 6),
        0,
        """s = Shape<start = 0, end = 1>(x) u = Unsqueeze(x, one) v = Tile(u, often)
        f = Transpose<perm = [1, 0, 2]>(v) a = Reshape(f, flat) t = Concat<axis = 0>(s, three, six)
        e = Expand(table, t) b = Reshape(e, flat) c = Add(a, b) d = Reshape(c, back)
        y = ReduceSum<keepdims = 0>(d, nil)""",
        {
            "one": ints(1),
            "often": ints(1, 3, 1),
            "flat": ints(-1, 6),
            "three": ints(3),
            "six": ints(6),
            "table": random(1, 3, 6),
            "back": ints(3, -1, 6),
            "nil": ints(0),
        },
        "lie in a different order",
    ),
    "[N * T, F] added to [T * N, F]": (
        (4, 5, 3),
        0,
        """s = Shape(x) a = Reshape(x, flat) t = Transpose<perm = [1, 0, 2]>(x) b = Reshape(t, flat)
        c = Add(a, b) y = Reshape(c, s)""",
        {"flat": ints(-1, 3)},
        "lie in a different order",
    ),
    "[N * T, F] beside [T * N, F]": (
        (4, 5, 3),
        0,
        """a = Reshape(x, flat) t = Transpose<perm = [1, 0, 2]>(x) b = Reshape(t, flat)
        c = Concat<axis = 0>(a, b) y = Reshape(c, back)""",
        {"flat": ints(-1, 3), "back": ints(-1, 30)},
        "in a different order",
    ),
    "stretched": (
        (4, 2),
        0,
        "y = Resize<mode = 'nearest'>(x, none, scales)".replace("'", '"'),
        {"none": random(0), "scales": np.array([2, 1], np.float32)},
        "stretches the axis of the samples",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(models, name):
    shape, axis, graph, weights, reason = REFUSED[name]
    found = batch_cases.analysed(
        build(models, shape, axis, graph, weights), {"x": axis}, {"x": random(*shape)}
    )
    assert isinstance(found, Mixed)
    assert reason in found.reason
