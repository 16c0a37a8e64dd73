"""Recurrent layers, loops, branches and sequences: what is proven of them, compared with runs."""

from __future__ import annotations

import batch_cases
import numpy as np
import pytest

from onnxplain.graph.batch import Batch, Mixed, analyse
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

rng = np.random.default_rng(0)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
HIDDEN = 3


def random(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def layer(op_type, directions=1):
    return {
        "w": random(directions, GATES[op_type] * HIDDEN, 2),
        "r": random(directions, GATES[op_type] * HIDDEN, HIDDEN),
    }


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("way", ["forward", "bidirectional"])
def test_time_first(models, op_type, way):
    text = f"""m (float[T, N, 2] x) => (float y, float last) {{
      s = Shape<start = 1, end = 2>(x) t = Concat<axis = 0>(ways, s, hidden) h = ConstantOfShape(t)
      y, last = {op_type}<hidden_size = {HIDDEN}, direction = "{way}">(x, w, r, , , h) }}"""
    directions = 1 + (way != "forward")
    sizes = {"ways": np.array([directions]), "hidden": np.array([HIDDEN])}
    proto = models.make(text, **layer(op_type, directions), **sizes)
    found = batch_cases.analysed(proto, {"x": 1}, {"x": random(5, 4, 2)})
    assert isinstance(found, Batch), found
    assert (found.axes["y"], found.axes["last"]) == (2, 1)
    found = batch_cases.analysed(proto, {"x": 0}, {"x": random(5, 4, 2)})
    assert isinstance(found, Mixed)
    assert found.node.startswith(op_type)
    assert "steps along axis 0" in found.reason


@pytest.mark.parametrize("op_type", GATES)
def test_batch_first_by_transposes(models, op_type):
    text = f"""m (float[N, T, 2] x, int32[N] lengths, float[N, 3] start) => (float y) {{
      t = Transpose<perm = [1, 0, 2]>(x) h = Unsqueeze(start, nil)
      o, l = {op_type}<hidden_size = {HIDDEN}>(t, w, r, , lengths, h)
      q = Squeeze(o, one) y = Transpose<perm = [1, 0, 2]>(q) }}"""
    proto = models.make(text, **layer(op_type), nil=np.array([0]), one=np.array([1]))
    feeds = {"x": random(4, 5, 2), "lengths": np.array([5, 2, 3, 4], np.int32), "start": random(4, 3)}
    found = batch_cases.analysed(proto, dict.fromkeys(feeds, 0), feeds)
    assert isinstance(found, Batch), found
    assert found.axes["y"] == 0
    found = batch_cases.analysed(proto, {"x": 0, "start": 0}, feeds)
    assert isinstance(found, Mixed)
    assert "has no row for each sample" in found.reason


def test_loop_over_time(models):
    text = """m (float[N, T, 2] x) => (float last, float y) {
      s = Shape(x) t = Gather(s, one) n = Slice(s, a, b, a) z = Concat<axis = 0>(n, two) h = Expand(zero, z)
      last, o = Loop<body = step (int64 i, bool c, float[N, 2] before)
        => (bool d, float[N, 2] after, float[N, 2] e) {
        d = Identity(c) f = Gather<axis = 1>(x, i) g = MatMul(before, w) k = Add(f, g) after = Tanh(k)
        e = Identity(after) }>(t, , h)
      y = Transpose<perm = [1, 0, 2]>(o) }"""
    proto = models.make(
        text, one=np.array(1), a=np.array([0]), b=np.array([1]), two=np.array([2]), zero=0.0, w=random(2, 2)
    )
    found = batch_cases.analysed(proto, {"x": 0}, {"x": random(4, 5, 2)})
    assert isinstance(found, Batch), found
    assert (found.axes["last"], found.axes["y"], found.axes["o"]) == (0, 0, 1)


LOOPS = {
    "as many steps as samples": (
        """s = Shape(x) t = Gather(s, nil)
        y = Loop<body = b (int64 i, bool c, float[N, 2] p) => (bool d, float[N, 2] q)
        { d = Identity(c) q = Tanh(p) }>(t, , x)""",
        "as many steps as there are samples",
    ),
    "as many steps as the samples say": (
        """m = ReduceMax<keepdims = 0>(x) t = Cast<to = 7>(m)
        y = Loop<body = b (int64 i, bool c, float[N, 2] p) => (bool d, float[N, 2] q)
        { d = Identity(c) q = Tanh(p) }>(t, , x)""",
        "measures the range of all samples",
    ),
    "until all samples are done": (
        """y = Loop<body = b (int64 i, bool c, float[N, 2] p) => (bool d, float[N, 2] q)
        { q = Tanh(p) m = ReduceSum<keepdims = 0>(q) d = Greater(m, level) }>(most, , x)""",
        "how many steps it takes depends on all samples",
    ),
    "a step that mixes": (
        """y = Loop<body = b (int64 i, bool c, float[N, 2] p) => (bool d, float[N, 2] q)
        { d = Identity(c) q = Softmax<axis = 0>(p) }>(most, , x)""",
        "works along axis 0",
    ),
    "samples and their axis change places": (
        """y = Loop<body = b (int64 i, bool c, float[N, M] p) => (bool d, float[M, N] q)
        { d = Identity(c) q = Transpose(p) }>(most, , x)""",
        "samples lie elsewhere",
    ),
    "a branch for all": (
        """m = ReduceSum<keepdims = 0>(x) c = Greater(m, level)
        y = If(c)<then_branch = t () => (float a) { a = Relu(x) },
        else_branch = e () => (float b) { b = Neg(x) }>""",
        "works along axis 0",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_branches_that_mix(models, name):
    text, reason = LOOPS[name]
    weights = {"nil": np.array(0), "most": np.array(3), "level": np.array(0, np.float32)}
    used = {k: v for k, v in weights.items() if f"{k}," in text or f"{k})" in text}
    model = normalize(load(models.make(f"m (float[N, 2] x) => (float y) {{ {text} }}", **used))).model
    found = analyse(model, {"x": 0}, {"x": (4, 2)})
    assert isinstance(found, Mixed)
    assert reason in found.reason


def test_branches_by_a_condition_that_all_share(models):
    text = """m (float[N, 2] x, bool c) => (float y) {
      y = If(c) <then_branch = t () => (float a) { a = Relu(x) },
                 else_branch = e () => (float b) { b = Neg(x) }> }"""
    feeds = {"x": random(4, 2), "c": np.array(True)}
    found = batch_cases.analysed(models.make(text), {"x": 0, "c": None}, feeds)
    assert isinstance(found, Batch), found
    assert found.axes["y"] == 0
    worse = text.replace("b = Neg(x)", "b = Softmax<axis = 0>(x)")
    assert isinstance(batch_cases.analysed(models.make(worse), {"x": 0, "c": None}, feeds), Mixed)


def test_scan_over_time(models):
    text = """m (float[N, T, 2] x) => (float last, float y) {
      s = Shape<start = 0, end = 1>(x) z = Concat<axis = 0>(s, two) h = ConstantOfShape(z)
      last, y = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
        body = step (float[N, 2] before, float[N, 2] f) => (float[N, 2] after, float[N, 2] e) {
        g = MatMul(before, w) k = Add(f, g) after = Tanh(k) e = Identity(after) }>(h, x) }"""
    proto = models.make(text, two=np.array([2]), w=random(2, 2))
    found = batch_cases.analysed(proto, {"x": 0}, {"x": random(4, 5, 2)})
    assert isinstance(found, Batch), found
    assert (found.axes["last"], found.axes["y"]) == (0, 0)


def test_sequences(models):
    text = """m (float[N, 6] x) => (float y) {
      q = SplitToSequence<axis = 1>(x, two) a = SequenceAt(q, nil) b = SequenceAt(q, one)
      r = SequenceConstruct(b, a) y = ConcatFromSequence<axis = 1>(r) }"""
    proto = models.make(text, two=np.array(2), nil=np.array(0), one=np.array(1))
    found = batch_cases.analysed(proto, {"x": 0}, {"x": random(4, 6)})
    assert isinstance(found, Batch), found
    assert found.axes["y"] == 0
    found = batch_cases.analysed(
        models.make(text.replace("ConcatFromSequence<axis = 1>", "ConcatFromSequence<axis = 0>"),
                    two=np.array(2), nil=np.array(0), one=np.array(1)),
        {"x": 0}, {"x": random(4, 6)},
    )  # fmt: skip
    assert isinstance(found, Mixed)
