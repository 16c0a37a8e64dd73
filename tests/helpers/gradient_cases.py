"""The ONNX standard's own node test cases as problems for gradients, and what of each is varied."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.case.node import collect_testcases

from onnxplain.backward.registry import Category, lookup
from onnxplain.testing import GradientProblem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
SKIPS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parents[1] / "backward" / "skips.toml").read_text("utf-8")
)
