"""Every gradient against the ONNX standard's own node test cases.

Each case of ``onnx.backend.test`` whose operator has a differentiable float input is checked twice in
float64 on ONNX's reference evaluator (backward graph against central differences, with static and with
symbolic shapes), and once in float32 on onnxruntime (against the float64 gradient). What cannot be
checked is listed with its reason in ``skips.toml``; an entry that is no longer needed fails.
"""

from __future__ import annotations

import fnmatch
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.backend.test.case.node import collect_testcases

from onnxplain.backward.registry import Category, lookup
from onnxplain.testing import TOLERANCES, GradientProblem
from onnxplain.testing.reference import CORRECTED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ort = pytest.importorskip("onnxruntime")

# Not marked differentiable in the standard, but with a gradient here.
EXTRA = {
    "AffineGrid": ("theta",),
    "Attention": ("Q", "K", "V", "attn_mask", "past_key", "past_value"),
    "DFT": ("x", "input"),
    "DeformConv": ("X", "W", "offset", "B", "mask"),
    "GridSample": ("X", "Grid"),
    "MaxUnpool": ("xT",),
    "ReverseSequence": ("x",),
    "RoiAlign": ("X", "rois"),
    "RotaryEmbedding": ("input",),
    "STFT": ("signal", "window"),
    "Swish": ("X",),
    "Upsample": ("X",),
}
# Operators without a case of float arrays in the standard.
OWN = {
    "cast": "m (float[2, 3] x) => (double[2, 3] y) { y = Cast<to = 11>(x) }",
    "cast_like": "m (float[2, 3] x) => (float[2, 3] y) { y = CastLike(x, x) }",
    "global_lp_pool_1": "m (float[2, 3, 4] x) => (float[2, 3, 1] y) { y = GlobalLpPool<p = 1>(x) }",
    "global_lp_pool_2": "m (float[2, 3, 4, 5] x) => (float[2, 3, 1, 1] y) { y = GlobalLpPool(x) }",
    "global_lp_pool_3": "m (float[2, 3, 4] x) => (float[2, 3, 1] y) { y = GlobalLpPool<p = 3>(x) }",
    "max_roi_pool": "m (float[2, 3, 6, 7] x) => (float[3, 3, 2, 2] y)"
    "<float[3, 5] r = {0, 0, 0, 4, 4, 1, 2, 1, 6, 5, 1, 5, 4, 9, 9}>"
    "{ y = MaxRoiPool<pooled_shape = [2, 2], spatial_scale = 0.8>(x, r) }",
    "scatter": "m (float[2, 3] x) => (float[2, 3] y) <int64[1, 2] i = {0, 2}, float[1, 2] u = {5, 6}>"
    "{ y = Scatter<axis = 1>(x, i, u) }",
    "trilu": "m (float[2, 3, 3] x) => (float[2, 3, 3] y) { y = Trilu(x) }",
    "trilu_lower": "m (float[3, 4] x) => (float[3, 4] y) <int64 k = {1}> { y = Trilu<upper = 0>(x, k) }",
}
# Kernels stay static: what a window covers must be known before running.
SYMBOLIC = dict.fromkeys(("CausalConvWithState", "Conv", "ConvTranspose", "DeformConv"), ("X", "input"))
# The standard's numbers saturate tanh, which leaves gradients of nothing but rounding errors.
SHRUNK = {"RNN": 0.2}
# Cases with images this large are cut to SMALL along each spatial axis.
LARGE, SMALL = 4000, 12

#: Largest error of a float32 gradient on onnxruntime, relative to its largest element.
FLOAT32_TOLERANCES = {
    Category.STRUCTURAL: 1e-6,
    Category.SUM: 2e-6,
    Category.REDUCTION: 1e-5,
    Category.LINEAR: 1e-5,
    Category.BILINEAR: 1e-5,
    Category.POOLING: 1e-5,
    Category.ELEMENTWISE: 1e-5,
    Category.NORMALIZATION: 1e-4,
    Category.RECURRENT: 1e-4,
    Category.CONTROL_FLOW: 1e-4,
}
BODY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """One node test case, and what of it is varied."""

    name: str
    op_type: str
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    wrt: tuple[str, ...]

    def problem(self, *, symbolic: bool = False, dtype: str = "float64") -> GradientProblem:
        constants = {k: v for k, v in self.feeds.items() if k not in self.wrt}
        names = SYMBOLIC.get(self.op_type, True) if symbolic else False
        return GradientProblem.of(self.model, self.wrt, dtype=dtype, constants=constants, symbolic=names)

    def check(self, problem: GradientProblem):
        feeds = {k: self.feeds[k] for k in self.wrt}
        step = 1e-8 if self.op_type == "MaxPool" else 1e-6  # many kinks, but no curvature
        return problem.check(feeds, jitter=0.01, step=step)

    @cached_property
    def tolerance(self) -> float:
        rule = lookup(ir.from_proto(self.model).graph[0]) if len(self.model.graph.node) == 1 else None
        return BODY_TOLERANCE if rule is None else FLOAT32_TOLERANCES.get(rule.category, 1e-6)


def _cut(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    """Shorten the spatial axes of an image that is the only input."""
    (info,), (name,) = model.graph.input, feeds
    if feeds[name].size <= LARGE:
        return
    feeds[name] = feeds[name][(slice(None), slice(None), *[slice(0, SMALL)] * (feeds[name].ndim - 2))]
    for dim, length in zip(info.type.tensor_type.shape.dim, feeds[name].shape, strict=True):
        dim.dim_value = length
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            dim.ClearField("dim_value")


def _varied(node: onnx.NodeProto, version: int) -> list[str]:
    schema = onnx.defs.get_schema(node.op_type, version)
    yes = onnx.defs.OpSchema.DifferentiationCategory.Differentiable
    formal = [schema.inputs[min(k, len(schema.inputs) - 1)] for k in range(len(node.input))]
    extra = EXTRA.get(node.op_type, ())
    return [
        i
        for i, f in zip(node.input, formal, strict=True)
        if f.differentiation_category == yes or f.name in extra or i in extra
    ]


def _collect() -> list[Case]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = {c.name: c for c in collect_testcases(None) if c.data_sets and c.model.graph.node}
    cases = []
    for name, case in found.items():
        plain = found.get(name.split("_expanded")[0])
        inputs = case.data_sets[0][0]
        if plain is None or not all(isinstance(a, (np.ndarray, np.generic)) for a in inputs):
            continue
        node = plain.model.graph.node[0]
        version = next((o.version for o in plain.model.opset_import if o.domain == ""), None)
        if node.domain or version is None:
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        feeds = {i.name: np.asarray(a) for i, a in zip(model.graph.input, inputs, strict=True)}
        varied = _varied(node, version)
        wrt = tuple(
            k for k in feeds if k in varied and feeds[k].dtype in (np.float16, np.float32, np.float64)
        )
        if not wrt:
            continue
        if "Pool" in node.op_type and len(feeds) == 1:
            _cut(model, feeds)
        shrink = SHRUNK.get(node.op_type, 1)
        feeds = {k: (shrink * v).astype(v.dtype) if k in wrt else v for k, v in feeds.items()}
        cases.append(Case(name, node.op_type, model, feeds, wrt))
    return cases


def _own() -> list[Case]:
    cases = []
    for name, graph in OWN.items():
        opset = 10 if name == "scatter" else 18
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {graph}')
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        cases.append(Case(f"test_own_{name}", model.graph.node[0].op_type, model, {"x": x}, ("x",)))
    return cases


CASES = [*_collect(), *_own()]
SKIPS: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "skips.toml").read_text("utf-8"))


def parametrize(kind: str):
    """All cases; those that the table names must fail."""
    params = []
    for case in CASES:
        reason = next((r for p, r in SKIPS[kind].items() if fnmatch.fnmatchcase(case.name, p)), None)
        marks = () if reason is None else pytest.mark.xfail(reason=reason, strict=True)
        params.append(pytest.param(case, id=case.name.removeprefix("test_"), marks=marks))
    return pytest.mark.parametrize("case", params)


@parametrize("float64")
def test_gradient_is_the_central_difference(case):
    result = case.check(case.problem())
    assert result.relative_error < TOLERANCES["float64"]


@parametrize("float64")
def test_gradient_is_the_central_difference_with_symbolic_shapes(case):
    result = case.check(case.problem(symbolic=True))
    assert result.relative_error < TOLERANCES["float64"]


@parametrize("onnxruntime")
def test_float32_on_onnxruntime_gives_the_float64_gradient(case):
    single = case.problem(dtype="float32")
    if single.adjoint is None:
        pytest.skip("no gradient flows, as the other tests confirm")
    session = _session(single.adjoint)
    result = case.check(case.problem())
    types = {v.name: v.dtype.numpy() for v in single.adjoint.graph.inputs}
    feeds = {**result.point, **{f"seed/{k}": w for k, w in result.weights.items()}}
    made = session.run(None, {k: feeds[k].astype(t) for k, t in types.items()})[len(single.outputs) :]
    for name, gradient in zip(single.wrt, made, strict=True):
        expected = result.gradients[name]
        error = np.abs(gradient - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-3)
        assert error <= case.tolerance, f"gradient of {name}"


def _session(model: ir.Model):
    newest = 26  # that onnxruntime has kernels for
    opset = model.graph.opset_imports[""]
    if opset > newest:
        for node in model.graph.all_nodes():
            since = onnx.defs.get_schema(node.op_type, opset).since_version
            if since > newest:
                pytest.skip(f"onnxruntime has no {node.op_type} of opset {since}")
        model.graph.opset_imports[""] = newest
    model.ir_version = min(model.ir_version, 10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("kind", SKIPS)
def test_every_skip_names_a_case(kind):
    unused = [p for p in SKIPS[kind] if not fnmatch.filter([c.name for c in CASES], p)]
    assert not unused


@pytest.mark.parametrize("case", [c for c in CASES if c.name.startswith("test_own")], ids=lambda c: c.name)
def test_reference_operators_agree_with_onnxruntime(case):
    if case.op_type == "Scatter":
        pytest.skip("deprecated")
    expected = _session(ir.from_proto(case.model)).run(None, case.feeds)[0]
    got = onnx.reference.ReferenceEvaluator(case.model, new_ops=CORRECTED).run(None, case.feeds)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


MISSING = ("GlobalLpPool", "MaxRoiPool")  # compared with onnxruntime above
# onnxruntime counts in whole elements of the result where the standard's cases count in fractions.
OTHERWISE = (
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
)


@pytest.mark.parametrize("op_type", [c.__name__ for c in CORRECTED if c.__name__ not in MISSING])
def test_corrected_reference_operators_give_what_the_standard_expects(op_type):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [c for c in collect_testcases(op_type) if c.model.graph.node[0].op_type == op_type]
    assert cases
    for case in cases:
        inputs, expected = case.data_sets[0]
        node = case.model.graph.node[0]
        if "" in node.input[:1] or inputs[0].dtype.kind != "f" or len(case.model.graph.node) > 1:
            continue
        feeds = dict(zip([i.name for i in case.model.graph.input], inputs, strict=True))
        if case.name in OTHERWISE:
            expected = _session(ir.from_proto(case.model)).run(None, feeds)
        session = onnx.reference.ReferenceEvaluator(case.model, new_ops=CORRECTED)
        for got, want in zip(session.run(None, feeds), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4, err_msg=case.name)
