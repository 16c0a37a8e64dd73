"""Which branches are taken while rewriting."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing import GradientProblem

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def operators(text: str) -> list[str]:
    return [n.op_type for n in normalize(load(onnx.parser.parse_model(text))).model.graph]


@pytest.mark.parametrize(("value", "expected"), [(1, "Exp"), (0, "Sin")])
def test_a_constant_condition(value: int, expected: str) -> None:
    text = f"""{HEAD}
    m (float[N] x) => (float[N] y) {{
      c = Constant<value = bool {{{value}}}>()
      y = If(c) <then_branch = a () => (float[N] p) {{ p = Exp(x) }},
                 else_branch = b () => (float[N] q) {{ q = Sin(x) }}>
    }}"""
    assert expected in operators(text)
    assert "If" not in operators(text)


def test_a_condition_on_a_static_shape_also_inside_a_branch() -> None:
    text = f"""{HEAD}
    m (float[N, 1] x, bool c) => (float[N] y) {{
      y = If(c) <then_branch = a () => (float[N] p) {{
        s = Shape(x)
        k = Constant<value = int64 {{1}}>()
        d = Gather<axis = 0>(s, k)
        one = Constant<value = int64 {{1}}>()
        e = Equal(d, one)
        axes = Constant<value = int64[1] {{1}}>()
        p = If(e) <then_branch = t () => (float[N] u) {{ u = Squeeze(x, axes) }},
                   else_branch = f () => (float[N, 1] v) {{ v = Identity(x) }}>
      }}, else_branch = b () => (float[N] q) {{ q = ReduceSum<keepdims = 0>(x, axes1) }}>
      axes1 = Constant<value = int64[1] {{1}}>()
    }}"""
    model = onnx.parser.parse_model(text)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    made = normalize(load(model)).model
    assert [n.op_type for n in made.graph.all_nodes()].count("If") == 1


@pytest.mark.parametrize("activation", ["Relu", "Softplus", "HardSwish"])
def test_only_one_branch_has_as_many_axes_as_the_lstm_needs(activation) -> None:
    """A squeeze as PyTorch exports it: nothing but what follows says that the axis has length 1."""
    rng = np.random.default_rng(0)
    text = f"""{HEAD}
    m (float[T, B, K] x) => (float[T, B, H] y) {{
      shape = Shape(x)
      k = Constant<value = int64 {{2}}>()
      d = Gather<axis = 0>(shape, k)
      one = Constant<value = int64 {{1}}>()
      c = Equal(d, one)
      axes = Constant<value = int64[1] {{2}}>()
      f = If(c) <then_branch = t () => (float[T, B] u) {{ u = Squeeze(x, axes) }},
                 else_branch = e () => (float[T, B, K] v) {{ v = Identity(x) }}>
      r = {activation}(f)
      wide = Unsqueeze(r, axes)
      z, h = RNN<hidden_size = 4>(wide, W, R)
      one1 = Constant<value = int64[1] {{1}}>()
      y = Squeeze(z, one1)
    }}"""
    model = onnx.parser.parse_model(text)
    for name, shape in {"W": (1, 4, 1), "R": (1, 4, 4)}.items():
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    assert "If" not in operators_of(model)
    feeds = {"x": rng.standard_normal((5, 2, 1)).astype(np.float32)}
    assert GradientProblem.of(model).check(feeds).relative_error < 1e-6


def operators_of(model: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in normalize(load(model)).model.graph.all_nodes()]
