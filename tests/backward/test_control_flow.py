"""If, Loop and Scan: gradients against central differences, in float64 on onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.backward.adjoint import SEED_PREFIX
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.testing import GradientProblem

if TYPE_CHECKING:
    from onnxplain._types import Arrays


def session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])


def run(made: ort.InferenceSession, feeds: Arrays) -> list[np.ndarray]:
    return made.run(None, {i.name: feeds[i.name] for i in made.get_inputs()})


def error(text: str, feeds: Arrays, wrt: list[str] | None = None, *, symbolic: bool = True) -> float:
    """Relative error of a directional derivative of a model written in ONNX's text form."""
    problem = GradientProblem.of(onnx.parser.parse_model(text), wrt, symbolic=symbolic)
    forward, adjoint = session(problem.forward.model), session(problem.adjoint)
    rng = np.random.default_rng(0)
    names = [o.name for o in forward.get_outputs()]
    made = dict(zip(names, run(forward, feeds), strict=True))
    weights = {k: rng.standard_normal(made[k].shape) for k in problem.outputs}
    direction = {k: rng.standard_normal(feeds[k].shape) for k in problem.wrt}

    def value(step: float) -> float:
        moved = feeds | {k: feeds[k] + step * d for k, d in direction.items()}
        found = dict(zip(names, run(forward, moved), strict=True))
        return sum(float((weights[k] * found[k]).sum()) for k in weights)

    seeds = {SEED_PREFIX + k: w for k, w in weights.items()}
    results = run(adjoint, feeds | seeds)
    for k, result in zip(problem.outputs, results, strict=False):
        np.testing.assert_allclose(result, made[k], rtol=1e-12)
    gradients = dict(zip(problem.wrt, results[len(problem.outputs) :], strict=True))
    assert all(gradients[k].shape == feeds[k].shape for k in gradients)
    terms = [gradients[k] * direction[k] for k in problem.wrt]
    analytic = sum(float(t.sum()) for t in terms)
    numeric = (value(1e-5) - value(-1e-5)) / 2e-5
    scale = sum(float(np.abs(t).sum()) for t in terms)
    assert scale > 1e-3
    return abs(analytic - numeric) / scale


HEAD = '<ir_version: 8, opset_import: ["" : 18]>'

IF = f"""{HEAD}
m (float[N, 3] x, float[3] w, bool c) => (float[N, 3] y, float[N, 3] z) {{
  h = Tanh(x)
  y, z = If(c) <
    then_branch = one () => (float[N, 3] a, float[N, 3] b) {{ a = Mul(h, w) b = Exp(x) }},
    else_branch = two () => (float[N, 3] d, float[N, 3] e) {{ t = Sin(h) d = Mul(t, t) e = Identity(h) }}>
}}"""


@pytest.mark.parametrize("condition", [True, False])
def test_if_walks_back_through_the_branch_that_ran(condition: bool) -> None:
    rng = np.random.default_rng(1)
    feeds = {"x": rng.standard_normal((2, 3)), "w": rng.standard_normal(3), "c": np.array(condition)}
    assert error(IF, feeds) < 1e-6


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_nested_if(condition: bool, inner: bool) -> None:
    text = f"""{HEAD}
    m (float[N] x, float[N] w, bool c, bool d) => (float[N] y) {{
      y = If(c) <
        then_branch = one () => (float[N] a) {{
          s = Sin(x)
          a = If(d) <then_branch = three () => (float[N] p) {{ p = Mul(s, w) }},
                     else_branch = four () => (float[N] q) {{ r = Mul(x, s) q = Tanh(r) }}>
        }},
        else_branch = two () => (float[N] b) {{ b = Exp(w) }}>
    }}"""
    rng = np.random.default_rng(1)
    feeds = {k: rng.standard_normal(4) for k in "xw"} | {"c": np.array(condition), "d": np.array(inner)}
    assert error(text, feeds) < 1e-6


LOOP = f"""{HEAD}
m (float[N] x, float[N] w, float[M, N] t, int64 n, bool c) => (float[N] y, float[K, N] s) {{
  y, s = Loop(n, c, x) <
    body = one (int64 i, bool go, float[N] h) => (bool more, float[N] out, float[N] scan) {{
    u = Gather<axis = 0>(t, i)
    hw = Mul(h, w)
    v = Add(hw, u)
    out = Tanh(v)
    scan = Mul(out, h)
    norm = ReduceSum<keepdims = 0>(out)
    limit = Constant<value = float {{100.0}}>()
    more = Less(norm, limit)
  }}>
}}"""


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("symbolic", [True, False])
def test_loop_with_captured_values_and_scan_outputs(n: int, symbolic: bool) -> None:
    rng = np.random.default_rng(2)
    feeds = {"x": rng.standard_normal(3), "w": rng.standard_normal(3), "t": rng.standard_normal((5, 3))}
    feeds |= {"n": np.array(n), "c": np.array(True)}
    assert error(LOOP, feeds, symbolic=symbolic) < 1e-6


def test_loop_stops_where_its_condition_does() -> None:
    """x doubles until it is above 10: the number of iterations depends on the data."""
    text = f"""{HEAD}
    m (float x, float w) => (float y) {{
      yes = Constant<value = bool {{1}}>()
      y = Loop(, yes, x) <body = one (int64 i, bool go, float h) => (bool more, float out) {{
        out = Mul(h, w)
        limit = Constant<value = float {{10.0}}>()
        more = Less(out, limit)
      }}>
    }}"""
    feeds = {"x": np.array(0.7), "w": np.array(2.1)}
    problem = GradientProblem.of(onnx.parser.parse_model(text))
    made = run(session(problem.adjoint), feeds | {SEED_PREFIX + "y": np.array(1.0)})
    np.testing.assert_allclose(made, [0.7 * 2.1**4, 2.1**4, 4 * 0.7 * 2.1**3], rtol=1e-12)


def test_loop_whose_state_grows() -> None:
    text = f"""{HEAD}
    m (float[N] x, int64 n) => (float[M] y) {{
      yes = Constant<value = bool {{1}}>()
      y = Loop(n, yes, x) <body = one (int64 i, bool go, float[A] h) => (bool more, float[B] out) {{
        s = Sin(h)
        out = Concat<axis = 0>(s, x)
        more = Identity(go)
      }}>
    }}"""
    feeds = {"x": np.random.default_rng(0).standard_normal(3), "n": np.array(3)}
    assert error(text, feeds) < 1e-6


def test_if_inside_a_loop() -> None:
    text = f"""{HEAD}
    m (float[N] x, float[N] w, int64 n) => (float[N] y) {{
      yes = Constant<value = bool {{1}}>()
      y = Loop(n, yes, x) <body = one (int64 i, bool go, float[N] h) => (bool more, float[N] out) {{
        two = Constant<value = int64 {{2}}>()
        k = Mod(i, two)
        odd = Cast<to = 9>(k)
        out = If(odd) <then_branch = a () => (float[N] p) {{ p = Mul(h, w) }},
                       else_branch = b () => (float[N] q) {{ r = Add(h, w) q = Sin(r) }}>
        more = Identity(go)
      }}>
    }}"""
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal(3), "w": rng.standard_normal(3), "n": np.array(5)}
    assert error(text, feeds) < 1e-6


def scan_text(attributes: str = "", t: str = "T, N", s: str = "T, N") -> str:
    return f"""{HEAD}
    m (float[N] x, float[{t}] t, float[N] w) => (float[N] y, float[{s}] s) {{
      y, s = Scan<num_scan_inputs = 1 {attributes},
        body = one (float[N] h, float[N] u) => (float[N] out, float[N] v) {{
        hw = Mul(h, w)
        a = Add(hw, u)
        out = Tanh(a)
        v = Mul(out, u)
      }}>(x, t)
    }}"""


@pytest.mark.parametrize("symbolic", [True, False])
@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ("", (5, 3)),
        (", scan_input_directions = [1]", (5, 3)),
        (", scan_output_directions = [1]", (5, 3)),
        (", scan_input_axes = [1], scan_input_directions = [1], scan_output_axes = [-1]", (3, 5)),
    ],
)
def test_scan(attributes: str, shape: tuple[int, int], symbolic: bool) -> None:
    rng = np.random.default_rng(3)
    feeds = {"x": rng.standard_normal(3), "w": rng.standard_normal(3), "t": rng.standard_normal(shape)}
    dims = ("N, T", "N, T") if "axes" in attributes else ("T, N", "T, N")
    assert error(scan_text(attributes, *dims), feeds, symbolic=symbolic) < 1e-6


def test_loop_over_sequences_is_refused_with_the_way_out() -> None:
    text = f"""{HEAD}
    m (float[N] x, int64 n) => (float[M] y) {{
      yes = Constant<value = bool {{1}}>()
      e = SequenceEmpty<dtype = 1>()
      s = Loop(n, yes, e) <body = one (int64 i, bool go, seq(float[N]) h) => (bool more, seq(float[N]) out) {{
        one = Constant<value_ints = [1]>()
        zero = Constant<value_ints = [0]>()
        end = Add(i, one)
        ragged = Slice(x, zero, end)
        out = SequenceInsert(h, ragged)
        more = Identity(go)
      }}>
      y = ConcatFromSequence<axis = 0>(s)
    }}"""
    with pytest.raises(UnsupportedOperatorError, match=r"Loop node .*scan output|ConcatFromSequence"):
        GradientProblem.of(onnx.parser.parse_model(text))
