"""Sequences that become tensors: the same numbers as onnxruntime's sequences, and right gradients."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing import check_gradient

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
MAIN = "m (float[N, 3] x, float[N, 3] z)"


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    made = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(made.run(None, {i.name: feeds[i.name] for i in made.get_inputs()})[0])


def with_constants(body: str, output: str) -> str:
    return f"""{HEAD}
    {MAIN} => (float{output} y) {{
      p0 = Constant<value = int64 {{0}}>()
      p1 = Constant<value = int64 {{1}}>()
      last = Constant<value = int64 {{-1}}>()
      three = Constant<value = int64 {{3}}>()
      yes = Constant<value = bool {{1}}>()
      sx = Sin(x)
      sz = Exp(z)
      {body}
    }}"""


def counted(sequence: str, position: str) -> str:
    return f"""a = SequenceAt({sequence}, {position})
      n = SequenceLength({sequence})
      f = Cast<to = 1>(n)
      y = Mul(a, f)"""


def looped(element: str, after: str, state: str = "") -> str:
    carried, inner, kept = ("k, ", "float[N, 3] h, ", "float[N, 3] g, ") if state else ("", "", "")
    start = f"{state}, " if state else ""
    return f"""e = SequenceEmpty<dtype = 1>()
      {carried} s = Loop(three, yes, {start} e) <
        body = one (int64 i, bool go, {inner} seq(float) q) => (bool more, {kept} seq(float) out) {{
        more = Identity(go)
        {element}
        out = SequenceInsert(q, t)
      }}>
      {after}"""


GATHER = "u = Gather<axis = 1>(sx, i) t = Tanh(u)"
MATRIX = "c = Cast<to = 1>(i) u = Add(sx, c) t = Tanh(u)"
CONSTRUCT = "s = SequenceConstruct(sx, sz, x)\n"
SPLIT = "s = SplitToSequence<axis = {}, keepdims = {}>(sx)\n"

CASES = {
    "construct, first": (CONSTRUCT + counted("s", "p0"), "[N, 3]"),
    "construct, last": (CONSTRUCT + counted("s", "last"), "[N, 3]"),
    "construct, joined": (CONSTRUCT + "y = ConcatFromSequence<axis = 0>(s)", "[M, 3]"),
    "construct, stacked": (CONSTRUCT + "y = ConcatFromSequence<axis = -1, new_axis = 1>(s)", "[N, 3, 3]"),
    "split, kept": (SPLIT.format(1, 1) + counted("s", "p1"), "[N, 1]"),
    "split, dropped": (SPLIT.format(1, 0) + counted("s", "last"), "[N]"),
    "split, dynamic": (SPLIT.format(-2, 0) + counted("s", "p1"), "[3]"),
    "split by one": ("s = SplitToSequence<axis = 0>(sx, p1)\n" + counted("s", "p1"), "[1, 3]"),
    "split, joined": (SPLIT.format(1, 1) + "y = ConcatFromSequence<axis = -1>(s)", "[N, 3]"),
    "split, stacked": (SPLIT.format(0, 0) + "y = ConcatFromSequence<axis = 1, new_axis = 1>(s)", "[3, N]"),
    "split, merged": (SPLIT.format(1, 0) + "y = ConcatFromSequence<axis = 0>(s)", "[M]"),
    "split, computed position": (
        SPLIT.format(1, 1) + "l = SequenceLength(s)\n j = Sub(l, p1)\n y = SequenceAt(s, j)",
        "[N, 1]",
    ),
    "loop, stacked": (looped(GATHER, "y = ConcatFromSequence<axis = 1, new_axis = 1>(s)"), "[N, 3]"),
    "loop, stacked first": (looped(GATHER, "y = ConcatFromSequence<axis = 0, new_axis = 1>(s)"), "[3, N]"),
    "loop, joined": (looped(GATHER, "y = ConcatFromSequence<axis = 0>(s)"), "[M]"),
    "loop, matrices": (looped(MATRIX, "y = ConcatFromSequence<axis = -1>(s)"), "[N, M]"),
    "loop, matrices stacked": (
        looped(MATRIX, "y = ConcatFromSequence<axis = -2, new_axis = 1>(s)"),
        "[N, 3, 3]",
    ),
    "loop, indexed": (looped(MATRIX, counted("s", "last")), "[N, 3]"),
    "loop, over a split": (
        SPLIT.format(1, 0).replace("s = S", "parts = S")
        + looped("u = SequenceAt(parts, i) t = Tanh(u)", "y = ConcatFromSequence<axis = 0>(s)"),
        "[M]",
    ),
    "loop, over a split that keeps": (
        SPLIT.format(1, 1).replace("s = S", "parts = S")
        + looped("u = SequenceAt(parts, i) t = Tanh(u)", "y = ConcatFromSequence<axis = 1>(s)"),
        "[N, M]",
    ),
    "loop, with a state": (
        looped(
            "g = Mul(h, sx) w = Gather<axis = 1>(sz, i) t = Sin(w)",
            "b = ConcatFromSequence<axis = 1, new_axis = 1>(s)\n y = Add(b, k)",
            "sz",
        ),
        "[N, 3]",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_without_sequences(name: str) -> None:
    model = onnx.parser.parse_model(with_constants(*CASES[name]))
    rng = np.random.default_rng(0)
    feeds = {k: rng.standard_normal((4, 3)).astype(np.float32) for k in "xz"}
    found = normalize(load(model)).model
    left = {n.op_type for n in found.graph.all_nodes()}
    assert not [op for op in left if "Sequence" in op]
    made, expected = run(ir.to_proto(found), feeds), run(model, feeds)
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=1e-6)
    checked = check_gradient(model, feeds)
    assert checked.scale > 1e-3
    assert checked.relative_error < 1e-6


RAGGED = looped(
    "one = Unsqueeze(i, p0v) end = Add(one, p1) u = Slice(x, p0v, end) t = Tanh(u)",
    "y = ConcatFromSequence<axis = 0>(s)",
)
PLACED = looped(MATRIX, "y = ConcatFromSequence<axis = 0>(s)").replace("(q, t)", "(q, t, p0)")
READ = looped("l = SequenceLength(q) c = Cast<to = 1>(l) t = Add(sx, c)", "y = SequenceAt(s, p0)")
GROWING = looped(
    "g = Concat<axis = 0>(h, sx) t = Tanh(h)", "y = ConcatFromSequence<axis = 0>(s)", "sz"
).replace("float[N, 3]", "float")
ERASED = CONSTRUCT + "r = SequenceErase(s, p0)\n y = SequenceAt(r, p0)"
UNCLEAR = "s = SplitToSequence<keepdims = 0>(sx, p1)\n y = SequenceAt(s, p0)"
UNEVEN = "s = SplitToSequence<axis = 0>(sx, three)\n y = SequenceAt(s, p0)"


@pytest.mark.parametrize(
    "body",
    ["p0v = Constant<value_ints = [0]>()\n" + RAGGED, GROWING, PLACED, READ, ERASED, UNCLEAR, UNEVEN],
    ids=["ragged", "growing", "placed", "read", "erased", "unclear", "uneven"],
)
def test_others_are_refused(body: str) -> None:
    model = onnx.parser.parse_model(with_constants(body, "[M, 3]"))
    with pytest.raises(UnsupportedOperatorError, match=r"Sequence|Loop"):
        check_gradient(model, {k: np.ones((4, 3), np.float32) for k in "xz"})
