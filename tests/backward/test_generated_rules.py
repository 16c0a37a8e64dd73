"""Every modified rule against the ONNX standard's own node test cases, in float64.

One case of each form of an operator (its attributes, its varied inputs) goes through DeepLIFT's two rules,
through relevance propagation and through the rectifier rules.  An operator that is registered is tested; what
a rule refuses, keeps or cannot be exact for is listed with its reason in ``rule_skips.toml``, and an entry
that is no longer true fails.
"""

from __future__ import annotations

import fnmatch

import numpy as np
import pytest
from rule_cases import CASES, SKIPS, Walkable, every_case
from rule_walks import Walk, seeds_of, walk

from onnxplain.backward.composites.presets import preset
from onnxplain.backward.registry import Category, lookup, registered
from onnxplain.backward.rules.guided import RECTIFIERS
from onnxplain.graph.passes.prepare import MARKS

#: Registered operators that no case can show, and why.
UNSEEN = {
    "CastLike": "its normal form is Cast",
    "Dropout": "its normal form is Identity, unless its mask is used",
    "RMSNormalization": "the reference evaluator has none of float64",
}

#: They are infinite at 0, or no number.
NO_ZERO = ("Acosh", "Div", "Log", "Pow", "Reciprocal", "ReduceLogSum")

#: What ReLU-beta-smooth changes.
SMOOTHED = (
    *("Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "PRelu", "Relu", "Selu"),
    *("ThresholdedRelu", "Where"),
)

#: Functions of the standard with a Swish inside.
HOLD_SWISH = ("CausalConvWithState", "SwiGLU")

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
