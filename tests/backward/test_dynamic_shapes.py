"""Gradients of graphs whose axes have no known length, at random shapes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxplain.testing import TOLERANCES, GradientProblem

settings.register_profile(
    "shapes", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
quick = settings.get_profile("shapes")
sizes = st.integers(1, 4)


def check(nodes: str, feeds: dict[str, np.ndarray], constants: dict[str, np.ndarray] | None = None) -> None:
    """Compare with central differences, all shapes of the feeds unknown."""
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> m ({", ".join(feeds)}) => (y) {{ {nodes} }}'
    )
    for info in proto.graph.input:
        axes = [f"{info.name}{k}" for k in range(feeds[info.name].ndim)]
        info.CopyFrom(onnx.helper.make_tensor_value_info(info.name, onnx.TensorProto.FLOAT, axes))
    for name, content in (constants or {}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(content, name))
    proto = onnx.shape_inference.infer_shapes(proto)
    result = GradientProblem.of(proto, list(feeds), symbolic=list(feeds)).check(feeds)
    assert result.relative_error < TOLERANCES["float64"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def broadcast_pairs(draw):
    """Two shapes that broadcast, of ranks 0 to 4."""
    wide = draw(st.lists(sizes, min_size=0, max_size=4))
    shapes = []
    for _ in range(2):
        start = draw(st.integers(0, len(wide)))
        shapes.append([draw(st.sampled_from([1, d])) for d in wide[start:]])
    return shapes


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Sum", "Mean"])
@quick
@given(shapes=broadcast_pairs())
def test_broadcast_arithmetic(op, shapes):
    a, b = (normal(*s, seed=k) for k, s in enumerate(shapes))
    check(f"y = {op}(a, b)", {"a": a, "b": (np.abs(b) + 0.5).astype(np.float32)})


@quick
@given(shapes=broadcast_pairs(), wide=st.booleans())
def test_where(shapes, wide):
    a, b = (normal(*s, seed=k) for k, s in enumerate(shapes))
    check(
        "c = Greater(a, b) y = Where(c, a, b)" if wide else "c = Greater(a, a) y = Where(c, a, b)",
        {"a": a, "b": b},
    )


@st.composite
def products(draw):
    """Shapes of A and B with ranks 1 to 4."""
    n, k, m = draw(sizes), draw(sizes), draw(sizes)
    batch = draw(st.lists(sizes, min_size=0, max_size=2))
    left, right = (
        [draw(st.sampled_from([1, d])) for d in batch[draw(st.integers(0, len(batch))) :]] for _ in range(2)
    )
    a = draw(st.sampled_from([[k], [*left, n, k]]))
    b = draw(st.sampled_from([[k], [*right, k, m]]))
    return a, b


@quick
@given(shapes=products())
def test_matmul(shapes):
    a, b = shapes
    check("y = MatMul(a, b)", {"a": normal(*a), "b": normal(*b, seed=1)})


@st.composite
def convolutions(draw):
    n = draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(n)]
    dilations = [draw(st.integers(1, 2)) for _ in range(n)]
    strides = [draw(st.integers(1, 3)) for _ in range(n)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * n)]
    group = draw(st.integers(1, 2))
    auto = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    spatial = [r + draw(st.integers(0, 4)) for r in reach]
    where = f", pads = {pads}" if auto == "NOTSET" else f', auto_pad = "{auto}"'
    attrs = f"strides = {strides}, dilations = {dilations}, group = {group}{where}"
    return attrs, [draw(sizes), 2 * group, *spatial], [2 * group, 2, *kernel], auto


@quick
@given(case=convolutions())
def test_conv(case):
    attrs, x, w, _ = case
    check(f"y = Conv<{attrs}>(x, w)", {"x": normal(*x)}, {"w": normal(*w, seed=1)})


@quick
@given(case=convolutions())
def test_conv_transpose(case):
    attrs, x, w, auto = case
    if auto == "NOTSET":  # pads crop here; they must leave something
        attrs = attrs[: attrs.index(", pads")]
    check(f"y = ConvTranspose<{attrs}>(x, w)", {"x": normal(*x)}, {"w": normal(*w, seed=1)})


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@quick
@given(data=st.data())
def test_pooling(op, data):
    kernel, stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    pads = [data.draw(st.integers(0, kernel - 1)) for _ in range(2)]
    ceil = 0 if op == "LpPool" else data.draw(st.integers(0, 1))
    x = normal(data.draw(sizes), 2, kernel + data.draw(st.integers(0, 5)))
    attrs = f"kernel_shape = [{kernel}], strides = [{stride}], pads = {pads}, ceil_mode = {ceil}"
    check(f"y = {op}<{attrs}>(x)", {"x": x})


@quick
@given(data=st.data())
def test_slice(data):
    x = normal(5, 4)
    bound = st.integers(-7, 7)
    steps = [data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3])) for _ in range(2)]
    names = {
        "s": [data.draw(bound) for _ in range(2)],
        "e": [data.draw(bound) for _ in range(2)],
        "a": data.draw(st.permutations([0, -1])),
        "t": steps,
    }
    check("y = Slice(x, s, e, a, t)", {"x": x}, {k: np.array(v, np.int64) for k, v in names.items()})


@quick
@given(data=st.data())
def test_gather(data):
    rank = data.draw(st.integers(1, 3))
    shape = [data.draw(sizes) for _ in range(rank)]
    axis = data.draw(st.integers(-rank, rank - 1))
    index = st.integers(-shape[axis], shape[axis] - 1)
    row = st.lists(index, min_size=2, max_size=2)
    kinds = st.one_of(index, st.lists(index, min_size=1, max_size=4), st.lists(row, min_size=1, max_size=3))
    picked = data.draw(kinds)
    check(f"y = Gather<axis = {axis}>(x, i)", {"x": normal(*shape)}, {"i": np.array(picked, np.int64)})


@quick
@given(data=st.data())
def test_pad(data):
    mode = data.draw(st.sampled_from(["constant", "edge", "reflect", "wrap"]))
    pads = [data.draw(st.integers(0, 2)) for _ in range(4)]
    check(f'y = Pad<mode = "{mode}">(x, p)', {"x": normal(4, 3)}, {"p": np.array(pads, np.int64)})


@quick
@given(data=st.data())
def test_reductions(data):
    op = data.draw(
        st.sampled_from(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"])
    )
    rank = data.draw(st.integers(1, 3))
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), max_size=rank, unique_by=lambda a: a % rank))
    keep, noop = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
    x = normal(*(data.draw(sizes) for _ in range(rank))) + 3
    nodes = f"y = {op}<keepdims = {keep}, noop_with_empty_axes = {noop}>(x, a)"
    check(nodes, {"x": x.astype(np.float32)}, {"a": np.array(axes, np.int64)})


@quick
@given(data=st.data())
def test_split_and_concat(data):
    lengths = [data.draw(st.integers(1, 3)) for _ in range(3)]
    axis = data.draw(st.integers(-2, 1))
    shape = [2, 2]
    shape[axis] = sum(lengths)
    nodes = f"a, b, c = Split<axis = {axis}>(x, n) d = Mul(a, a) y = Concat<axis = {axis}>(c, d, a)"
    check(nodes, {"x": normal(*shape)}, {"n": np.array(lengths, np.int64)})
