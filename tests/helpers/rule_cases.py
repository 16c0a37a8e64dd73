"""The cases for modified rules: one of each form of an operator, with the points that are compared.

They are the ONNX standard's own node test cases (:mod:`gradient_cases`), and a few beside them.  What a rule
refuses, keeps or cannot be exact for is listed in ``tests/backward/rule_skips.toml``.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradient_cases
import numpy as np
import onnx
import pytest

from onnxplain.backward.engine import between
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    from onnxplain._types import Arrays
    from onnxplain.testing import GradientProblem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: At most so many cases per operator.
MOST = 4

#: What the standard has no case of, or none with an input that it marks as differentiable.
OWN = {
    "layer_normalization": "m (float[2, 3, 4] x, float[4] s, float[4] b) => (float[2, 3, 4] y)"
    "{ y = LayerNormalization(x, s, b) }",
    "sqrt_of_a_difference": "m (float[2, 3] x) => (float[2, 3] y) <float c = {0.5}>"
    "{ p = Exp(x) q = Mul(p, p) r = Add(p, q) a = Mul(q, c) d = Sub(r, a) y = Sqrt(d) }",
    "variance_by_squares": "m (float[2, 4] x) => (float[2, 1] y) <int64[1] last = {1}>"
    "{ m = ReduceMean(x, last) s = Mul(x, x) n = ReduceMean(s, last) q = Mul(m, m) v = Sub(n, q)"
    "  y = Sqrt(v) }",
    "if": "m (float[2, 3] x) => (float[2, 3] y) {"
    "  s = ReduceSum<keepdims = 0>(x) c = GreaterOrEqual(s, s)"
    "  y = If(c) <then_branch = a () => (float[2, 3] u) { t = Exp(x) u = Mul(x, t) },"
    "             else_branch = b () => (float[2, 3] v) { v = Neg(x) }> }",
    "loop": "m (float[2, 3] x) => (float[2, 3] y) <int64 n = {3}> {"
    "  s = ReduceSum<keepdims = 0>(x) c = GreaterOrEqual(s, s) e = Exp(x)"
    "  y = Loop(n, c, x) <body = step (int64 i, bool d, float[2, 3] h) => (bool on, float[2, 3] k)"
    "    { p = Mul(h, e) k = Tanh(p) on = Identity(d) }> }",
    "quantized": "m (float[2, 3] x) => (float[2, 3] y) <float s = {0.1}, int8 z = {3}>"
    "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
}  # fmt: skip

#: References are multiples of the input here, since the operators do not take all numbers.
POSITIVE = ("Acos", "Acosh", "Asin", "Atanh", "BatchNormalization", "Div", "Log", "LpNormalization", "Pow",
            "Reciprocal", "ReduceLogSum", "Sqrt")  # fmt: skip

#: The reference evaluator takes the logarithm of a softmax, which is 0 for large numbers.
SHRUNK = {"LogSoftmax": 1e-3}

SKIPS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parents[1] / "backward" / "rule_skips.toml").read_text("utf-8")
)


@dataclasses.dataclass(frozen=True, eq=False)
class Walkable:
    """A case of the standard with those of its inputs that are varied."""

    case: Any
    which: str

    @property
    def name(self) -> str:
        """Name of the case, and "all" or "first" for the inputs that are varied."""
        return f"{self.case.name.removeprefix('test_')}-{self.which}"

    @property
    def wrt(self) -> tuple[str, ...]:
        return self.case.wrt

    @functools.cached_property
    def problem(self) -> GradientProblem:
        return self.case.problem()

    @functools.cached_property
    def forward(self) -> Evaluator:
        return Evaluator(self.problem.forward.model)

    @functools.cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that depend on what is varied."""
        graph = self.problem.forward.model.graph
        _, reached = between(graph, graph.outputs, [v for v in graph.inputs if v.name in self.wrt])
        return tuple(str(v.name) for v in graph.outputs if v in reached and v.name in self.problem.outputs)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.name.encode()))

    @functools.cached_property
    def point(self) -> Arrays:
        """The standard's numbers, moved a little, so that none are equal."""
        rng, shrink = self.rng(), SHRUNK.get(self.case.op_type, 1.0)
        point = {k: shrink * np.asarray(self.case.feeds[k], np.float64) for k in self.wrt}
        if self.case.op_type == "Acosh":
            point = {k: v + 0.1 for k, v in point.items()}
        if self.case.op_type == "LpNormalization":  # not by magnitudes there
            point = {k: np.abs(v) for k, v in point.items()}
        scale = 1.0 if self.case.op_type in POSITIVE else 0.0
        moved = {
            k: v + 0.01 * np.where(scale, v, 1.0) * rng.uniform(-1, 1, v.shape) for k, v in point.items()
        }
        usable = all(np.isfinite(self.forward(moved)[o]).all() for o in self.outputs)
        return moved if usable else point

    def reference(self, kind: str) -> Arrays:
        """Another point, in part the same; or zeros."""
        if kind == "zero":
            return {k: np.zeros_like(v) for k, v in self.point.items()}
        rng, made = self.rng(), {}
        for name, v in self.point.items():
            factor = rng.uniform(0.4, 0.95, v.shape)
            if self.case.op_type == "Acosh":
                other = 1 + (v - 1) * factor
            else:
                other = v * factor
                if self.case.op_type not in POSITIVE:
                    other = other + 0.3 * rng.standard_normal(v.shape)
            made[name] = np.where(rng.uniform(size=v.shape) < 0.15, v, other)
        return made

    def listed(self, table: str) -> bool:
        """Tell whether a table of ``rule_skips.toml`` names the case."""
        return any(fnmatch.fnmatchcase(self.name, p) for p in SKIPS.get(table, {}))


def _form(case: Any) -> tuple[Any, ...]:
    """Return what tells one form of an operator from another."""
    if "_expanded" in case.name:
        return case.op_type, "expanded"
    node = case.model.graph.node[0]
    return case.op_type, case.wrt, tuple(sorted((a.name, a.s) for a in node.attribute))


def _own() -> list[Any]:
    cases = []
    for name, graph in OWN.items():
        model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 19]> {graph}')
        rng = np.random.default_rng(1)
        feeds = {
            i.name: rng.standard_normal([d.dim_value for d in i.type.tensor_type.shape.dim]).astype(
                np.float32
            )
            for i in model.graph.input
        }
        cases.append(gradient_cases.Case(f"test_own_{name}", name, model, feeds, tuple(feeds)))
    return cases


def _collect() -> list[Walkable]:
    forms: dict[tuple[Any, ...], Any] = {}
    without = gradient_cases.SKIPS["float64"]
    for case in (*gradient_cases.CASES, *_own()):
        wrt = tuple(k for k in case.wrt if np.isfinite(case.feeds[k]).all())
        if wrt and not any(fnmatch.fnmatchcase(case.name, p) for p in without):
            forms.setdefault(_form(case), dataclasses.replace(case, wrt=wrt))
    count: Counter[str] = Counter()
    made = []
    for case in forms.values():
        count[case.op_type] += 1
        if count[case.op_type] > MOST:
            continue
        made.append(Walkable(case, "all"))
        if len(case.wrt) > 1:
            made.append(Walkable(dataclasses.replace(case, wrt=case.wrt[:1]), "first"))
    return made


CASES = _collect()
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
