"""Every modified rule against the ONNX standard's own node test cases, in float64.

One case of each form of an operator (its attributes, its varied inputs) goes through DeepLIFT's two rules,
through relevance propagation and through the rectifier rules.  An operator that is registered is tested; what
a rule refuses, keeps or cannot be exact for is listed with its reason in ``rule_skips.toml``, and an entry
that is no longer true fails.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib.util
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxplain.backward.composites.presets import preset
from onnxplain.backward.difference.reference_input import add_reference, reference_of
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, between
from onnxplain.backward.ledger import kept_by_node
from onnxplain.backward.preparation import prepare
from onnxplain.backward.registry import Category, lookup, registered
from onnxplain.backward.rules.guided import RECTIFIERS
from onnxplain.errors import NotExplainableError, UnsupportedRuleError
from onnxplain.graph.passes.prepare import MARKS
from onnxplain.runtime.programs import lower
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain._types import Arrays
    from onnxplain.backward.composites.composite import Composite
    from onnxplain.testing import GradientProblem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _neighbour(name: str) -> Any:
    """Import a module of tests that stands beside this one."""
    if f"tests.backward.{name}" in sys.modules:
        return sys.modules[f"tests.backward.{name}"]
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


gradients = _neighbour("test_generated_gradients")

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

#: Registered operators that no case can show, and why.
UNSEEN = {
    "CastLike": "its normal form is Cast",
    "Dropout": "its normal form is Identity, unless its mask is used",
    "RMSNormalization": "the reference evaluator has none of float64",
}

#: References are multiples of the input here, since the operators do not take all numbers.
POSITIVE = ("Acos", "Acosh", "Asin", "Atanh", "BatchNormalization", "Div", "Log", "LpNormalization", "Pow",
            "Reciprocal", "ReduceLogSum", "Sqrt")  # fmt: skip

#: They are infinite at 0, or no number.
NO_ZERO = ("Acosh", "Div", "Log", "Pow", "Reciprocal", "ReduceLogSum")

#: What ReLU-beta-smooth changes.
SMOOTHED = (
    *("Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "PRelu", "Relu", "Selu"),
    *("ThresholdedRelu", "Where"),
)

#: Functions of the standard with a Swish inside.
HOLD_SWISH = ("CausalConvWithState", "SwiGLU")

#: The reference evaluator takes the logarithm of a softmax, which is 0 for large numbers.
SHRUNK = {"LogSoftmax": 1e-3}

SKIPS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("rule_skips.toml").read_text())


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
        cases.append(gradients.Case(f"test_own_{name}", name, model, feeds, tuple(feeds)))
    return cases


def _collect() -> list[Walkable]:
    forms: dict[tuple[Any, ...], Any] = {}
    without = gradients.SKIPS["float64"]
    for case in (*gradients.CASES, *_own()):
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


class Walk:
    """A walk back by a composite from all outputs of a case, each with a seed of its own.

    Parameters
    ----------
    case
        What to walk through.
    composite
        By which rules.
    bent
        Whether the outputs go through a function that is not linear first, so that rules that walk with two
        multipliers do.
    """

    def __init__(self, case: Walkable, composite: Composite, *, bent: bool = False) -> None:
        source = case.problem.forward
        model = prepare(source.model.clone(), composite.preparation, case.wrt, in_place=True)
        graph = model.graph
        op = Emitter(graph, source.opset, scope="walk")
        by_name = {str(v.name): v for v in (*graph.inputs, *graph.outputs)}
        wrt = [by_name[name] for name in case.wrt]
        ends = [by_name[name] for name in case.outputs]
        if bent:
            ends = [op.annotate(op.Atan(v), v) for v in ends]
        there = ends
        if composite.reference:
            starts = {v: _input(graph, f"reference/{v.name}", v) for v in wrt}
            replaced = add_reference(op, starts)
            ends = [replaced.get(v, v) for v in ends]
            there = [reference_of(op, v) for v in ends]
        seeds = {v: _input(graph, f"seed/{k}", v) for k, v in enumerate(ends)}
        self.table = composite.resolve(graph, ends, wrt)
        op.ledger = []
        found = backward(op, seeds, wrt, self.table)
        kept = kept_by_node(op)
        results = [found[v] for v in wrt]
        self.wrt, self.count, self.nodes = case.wrt, len(ends), [name for name, _ in kept]
        made = [*ends, *there, *results, *(v for _, v in kept)]
        graph.outputs.clear()
        for k, value in enumerate(made):
            graph.outputs.append(op.Identity(value, _fold=False))
            graph.outputs[k].name = f"made/{k}"
        lower(model, "cpu")
        self._run = Evaluator(model)

    def __call__(
        self, point: Arrays, seeds: Sequence[np.ndarray], reference: Arrays | None = None
    ) -> tuple[list[np.ndarray], list[np.ndarray], Arrays, dict[str, float]]:
        """Return the outputs at the input and at the reference, the results, and what each node kept."""
        feeds = {**point, **{f"seed/{k}": s for k, s in enumerate(seeds)}}
        feeds.update({f"reference/{k}": v for k, v in (reference or {}).items()})
        made = [np.asarray(v) for v in self._run(feeds).values()]
        n, m = self.count, len(self.wrt)
        results = dict(zip(self.wrt, made[2 * n : 2 * n + m], strict=True))
        for name, result in results.items():
            assert result.shape == point[name].shape
            assert np.isfinite(result).all(), f"what {name} gets is not finite"
        kept = dict(zip(self.nodes, map(float, made[2 * n + m :]), strict=True))
        return made[:n], made[n : 2 * n], results, kept


def _input(graph: ir.Graph, name: str, like: ir.Value) -> ir.Value:
    made = ir.Value(name=name, type=like.type, shape=like.shape)
    graph.inputs.append(made)
    return made


def walk(case: Walkable, composite: Composite, table: str, *, bent: bool = False) -> Walk | None:
    """Write a walk; None where it is refused, as the table must say."""
    refused = case.listed(f"{table}.refused")
    try:
        made = Walk(case, composite, bent=bent)
    except NotExplainableError:
        if case.problem.adjoint is None:
            pytest.skip("no gradient flows, as the gradients' tests confirm")
        raise
    except UnsupportedRuleError as error:
        _says_what_to_do(str(error))
        if refused:
            return None
        raise
    assert not refused, "not refused, but listed"
    return made


def _says_what_to_do(message: str) -> None:
    """An error names the node, the rule or the composite, and a way out."""
    assert " node '" in message
    assert "rule '" in message or "composite '" in message
    assert (
        "use integrated_gradients" in message or "give it the rule" in message or "use a gradient" in message
    )


def seeds_of(case: Walkable) -> list[np.ndarray]:
    made, rng = case.forward(case.point), case.rng()
    return [rng.standard_normal(np.shape(made[name])) for name in case.outputs]


BENT = {"deep_lift_rescale": False, "deep_lift_reveal_cancel": True}


@pytest.mark.parametrize("rule", BENT)
@every_case
def test_contributions_sum_to_the_difference(case: Walkable, rule: str) -> None:
    made = walk(case, preset(rule), "deep_lift", bent=BENT[rule])
    if made is None:
        return
    seeds, exact = seeds_of(case), []
    for kind in ("moved",) if case.case.op_type in NO_ZERO else ("moved", "zero"):
        reference = case.reference(kind)
        here, there, found, _ = made(case.point, seeds, reference)
        plain = [f[name] for f in map(case.forward, (case.point, reference)) for name in case.outputs]
        for mine, expected in zip((*here, *there), plain, strict=True):
            np.testing.assert_allclose(
                mine, np.arctan(expected) if BENT[rule] else expected, rtol=1e-6, atol=1e-6
            )
        total = sum(np.sum(m * (case.point[k] - reference[k])) for k, m in found.items())
        terms = [s * (y - y0) for s, y, y0 in zip(seeds, here, there, strict=True)]
        scale = max(sum(np.abs(t).sum() for t in terms), 1e-6)
        tolerance = 1e-8 if kind == "moved" else 1e-6  # a deviation of 0, and an epsilon of 1e-9
        exact.append(abs(total - sum(t.sum() for t in terms)) <= tolerance * scale)
    assert all(exact) != case.listed("deep_lift.inexact"), exact


COMPOSITES = ("epsilon", "zplus", "epsilon_alpha2_beta1", "zero_epsilon_gamma")


@pytest.mark.parametrize("composite", COMPOSITES)
@every_case
def test_relevance_is_handed_on_or_kept(case: Walkable, composite: str) -> None:
    made = walk(case, preset(composite), "relevance")
    if made is None:
        return
    seeds = seeds_of(case)
    _, _, found, kept = made(case.point, seeds)
    parts = [*found.values(), *map(np.asarray, kept.values())]
    scale = sum(np.abs(p).sum() for p in (*parts, *seeds))
    missing = sum(p.sum() for p in parts) - sum(s.sum() for s in seeds)
    assert abs(missing) <= 1e-8 * scale


@every_case
def test_relevance_is_conserved_where_nothing_is_added(case: Walkable) -> None:
    """By LRP-0, from those entries of the output that what is explained has a part in."""
    made = walk(case, preset("zero", bias="keep"), "relevance")
    if made is None:
        return
    rng = case.rng()
    moved = {k: v * (1 + 1e-4 * rng.uniform(-1, 1, v.shape)) for k, v in case.point.items()}
    here, there = case.forward(case.point), case.forward(moved)
    seeds = []
    for name, seed in zip(case.outputs, seeds_of(case), strict=True):
        y = here[name]
        depends = (y != there[name]) & (np.abs(y) > 1e-3 * np.abs(y).max(initial=0.0))
        seeds.append(np.where(depends, np.abs(seed), 0.0))
    _, _, found, _ = made(case.point, seeds)
    start, arrived = sum(s.sum() for s in seeds), sum(r.sum() for r in found.values())
    conserved = abs(arrived - start) <= 1e-6 * start
    assert conserved != case.listed("relevance.kept"), f"{arrived} of {start} arrived"


@every_case
def test_only_rectifiers_differ_from_the_gradient(case: Walkable) -> None:
    made = walk(case, preset("gradient"), "rectifiers")
    assert made is not None
    seeds = seeds_of(case)
    plain = made(case.point, seeds)[2]
    for composite in ("guided_backprop", "deconvnet", "beta_smooth"):
        made = Walk(case, preset(composite))
        changed = any(rule not in ("gradient", "inside") for _, _, rule in made.table)
        found = made(case.point, seeds)[2]
        if not changed:
            for name, result in found.items():
                np.testing.assert_allclose(result, plain[name], rtol=1e-9, atol=1e-12, err_msg=composite)
            continue
        cut = ("HardSigmoid",) if "expanded" in case.name else ()  # written as a ReLU with a ceiling
        rectifiers = SMOOTHED if composite == "beta_smooth" else (*RECTIFIERS, *HOLD_SWISH, *cut)
        assert case.case.op_type in rectifiers, composite
        if composite == "guided_backprop" and case.case.op_type not in HOLD_SWISH:
            positive = [np.abs(s) for s in seeds]  # goes by the derivative; a slope that varies gets nothing
            expected = Walk(case, preset("gradient"))(case.point, positive)[2]
            first = case.wrt[0]
            found = made(case.point, positive)[2]
            np.testing.assert_allclose(found[first], expected[first], rtol=1e-9, atol=1e-12)


def test_every_operator_with_a_gradient_has_a_case() -> None:
    seen = set()
    for case in CASES:
        rows = [lookup(n) for n in case.problem.forward.model.graph.all_nodes()]
        seen |= {(r.domain, r.op_type) for r in rows if r is not None}
    stops = (Category.ZERO, Category.NONDIFFERENTIABLE)
    unseen = [
        r.op_type
        for r in registered()
        if r.category not in stops and (r.domain, r.op_type) not in seen and r.op_type not in MARKS
    ]
    assert sorted(unseen) == sorted(UNSEEN)


@pytest.mark.parametrize("table", [t for t in SKIPS if not t.startswith("jumps.")])  # of generated steps
def test_every_entry_names_a_case(table: str) -> None:
    unused = [p for p in SKIPS[table] if not fnmatch.filter([c.name for c in CASES], p)]
    assert not unused
