"""What is said of operators is so, in the standard's own node cases; every operator with a gradient is in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

import onnxplain.backward.ops  # noqa: F401  (fills the registry)
from onnxplain.backward.registry import Category, registered
from onnxplain.graph.traits import Is, Traits, declared, is_a, movers, operators, traits
from onnxplain.graph.traits.table import declare

STOPS = (Category.ZERO, Category.NONDIFFERENTIABLE)
#: Attributes that make something else of an operator.
EXCEPT = {"ScatterElements": ("reduction",), "ScatterND": ("reduction",)}
#: What is said of them is for some attributes, which graph/signs.py looks at.
PROVIDED = {"Clip", "LRN", "ThresholdedRelu"}


@dataclass(frozen=True)
class Case:
    """A case of one node, what it is given and what it makes."""

    name: str
    model: onnx.ModelProto
    node: ir.Node
    inputs: tuple[np.ndarray | None, ...]
    outputs: tuple[np.ndarray, ...]

    @property
    def row(self) -> Traits:
        return traits(self.node)

    @property
    def data(self) -> list[np.ndarray]:
        return [a for k, a in enumerate(self.inputs) if a is not None and self.row.holds(k)]

    def again(self, change) -> np.ndarray:
        """Run with other data."""
        feeds = {
            v.name: change(a) if self.row.holds(k) and a.dtype.kind == "f" else a
            for k, (v, a) in enumerate(zip(self.node.inputs, self.inputs, strict=True))
            if v is not None and a is not None
        }
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(ReferenceEvaluator(self.model).run(None, feeds)[0])


def _is_training(node: onnx.NodeProto) -> bool:
    return node.op_type == "Dropout" and len(node.input) > 2


@cache
def _cases() -> dict[str, list[Case]]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    cases: dict[str, list[Case]] = {}
    for one in found:
        if not one.data_sets or len(one.model.graph.node) != 1:
            continue
        (inputs, outputs), proto = one.data_sets[0], one.model.graph.node[0]
        arrays = all(isinstance(a, (np.ndarray, np.generic)) for a in (*inputs, *outputs))
        names = [i.name for i in one.model.graph.input]
        if not arrays or len(names) != len(inputs) or not outputs or _is_training(proto):
            continue
        if any(a.name in EXCEPT.get(proto.op_type, ()) and a.s != b"none" for a in proto.attribute):
            continue
        feeds = dict(zip(names, map(np.asarray, inputs), strict=True))
        given = tuple(feeds.get(name) for name in proto.input)
        node = ir.from_proto(one.model).graph[0]
        cases.setdefault(proto.op_type, []).append(
            Case(one.name, one.model, node, given, tuple(map(np.asarray, outputs)))
        )
    return cases


def of(flags: Is, *, lacks: Is | None = None) -> list[str]:
    return sorted(operators(flags, lacks=lacks or Is(0)) & set(_cases()))


def plain(op_type: str) -> Iterator[Case]:
    """The cases whose first output holds numbers that NumPy computes with."""
    yield from (c for c in _cases()[op_type] if c.outputs[0].dtype.kind in "biuf")


def test_every_operator_with_a_gradient_is_in_the_table() -> None:
    missing = [r.op_type for r in registered() if not r.domain and r.category not in STOPS]
    assert sorted(set(missing) - {op_type for _, op_type in declared()}) == []


def test_the_table_names_operators_of_the_standard() -> None:
    known = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    assert {op_type for _, op_type in declared()} <= known


def test_the_registry_agrees_on_what_moves_values() -> None:
    structural = {r.op_type for r in registered() if not r.domain and r.category is Category.STRUCTURAL}
    moving = operators(Is.MOVES) & {r.op_type for r in registered() if not r.domain}
    assert moving - {"Dropout"} == structural  # its gradient in training is none of a mover


@pytest.mark.parametrize("category", [Category.ELEMENTWISE, Category.SUM])
def test_the_registry_agrees_on_what_is_elementwise(category) -> None:
    of_category = {r.op_type for r in registered() if not r.domain and r.category is category}
    assert of_category <= operators(Is.ELEMENTWISE)


def test_the_registry_agrees_on_the_places_of_factors() -> None:
    for row in (r for r in registered() if not r.domain and r.category is Category.LINEAR):
        one = declared()["", row.op_type]
        if one.has(Is.LAYER) and one.data is not None:
            assert row.wrt == (*one.data, one.weight), row.op_type
        elif one.data is not None:
            assert row.wrt == one.data, row.op_type


@pytest.mark.parametrize("op_type", of(Is.MOVES))
def test_movers_make_no_values(op_type) -> None:
    for case in plain(op_type):
        made = case.outputs[0]
        if case.row.has(Is.CASTS):
            assert made.shape == case.inputs[0].shape, case.name
            continue
        known = np.unique(np.concatenate([a.ravel().astype(made.dtype) for a in case.data]))
        absent = made[~np.isin(made, known) & ~np.isnan(made.astype(float))]
        filled = case.row.has(Is.FILLS) and not absent.any()
        assert absent.size == 0 or filled, case.name


@pytest.mark.parametrize("op_type", sorted(set(movers()) & set(_cases())))
def test_movers_keep_what_they_are_said_to_keep(op_type) -> None:
    for case in plain(op_type):
        x = case.inputs[0]
        made = np.concatenate([o.ravel() for o in case.outputs]) if op_type == "Split" else case.outputs[0]
        if case.row.has(Is.CASTS):
            continue
        if not case.row.has(Is.DROPS):
            assert set(x.ravel().tolist()) <= set(made.ravel().tolist()), case.name
        if not case.row.flags & (Is.DROPS | Is.REPEATS):
            assert sorted(x.ravel().tolist()) == sorted(made.ravel().tolist()), case.name
        if not case.row.flags & (Is.DROPS | Is.REPEATS | Is.REORDERS):
            np.testing.assert_array_equal(x.ravel(), made.ravel(), err_msg=case.name)


@pytest.mark.parametrize("op_type", of(Is.EXTREME))
def test_extremes_are_among_the_data(op_type) -> None:
    for case in plain(op_type):
        made = case.outputs[0]
        if made.size and all(a.size for a in case.data):
            assert np.isin(made, np.concatenate([a.ravel() for a in case.data])).all(), case.name


@pytest.mark.parametrize("op_type", sorted({*of(Is.LIKE_FIRST), *of(Is.BROADCASTS)}))
def test_shapes(op_type) -> None:
    for case in _cases()[op_type]:
        first = case.row.has(Is.LIKE_FIRST)
        shapes = [a.shape for a in case.inputs[: 1 if first else None] if a is not None]
        assert case.outputs[0].shape == np.broadcast_shapes(*shapes), case.name


@pytest.mark.parametrize("op_type", of(Is.TRUTH))
def test_truth_values(op_type) -> None:
    assert all(case.outputs[0].dtype == bool for case in _cases()[op_type])


@pytest.mark.parametrize("op_type", of(Is.INT64))
def test_whole_numbers(op_type) -> None:
    assert all(case.outputs[0].dtype == np.int64 for case in _cases()[op_type])


def floats(op_type: str) -> list[Case]:
    return [c for c in _cases()[op_type] if c.outputs[0].dtype in (np.float32, np.float64)]


@pytest.mark.parametrize("op_type", of(Is.HOMOGENEOUS))
def test_homogeneous_operators_take_a_factor_out(op_type) -> None:
    for case in floats(op_type):
        if all(a.dtype.kind == "f" for a in case.data):
            one, two = case.again(lambda a: a), case.again(lambda a: 2 * a)
            np.testing.assert_allclose(two, 2 * one, rtol=1e-4, atol=1e-5, err_msg=case.name)


@pytest.mark.parametrize("op_type", of(Is.UNIT))
def test_units_lie_between_0_and_1(op_type) -> None:
    assert all(((c.outputs[0] >= 0) & (c.outputs[0] <= 1 + 1e-6)).all() for c in floats(op_type))


@pytest.mark.parametrize("op_type", sorted(set(of(Is.NON_NEGATIVE)) - PROVIDED))
def test_non_negative_operators_make_no_negative_numbers(op_type) -> None:
    assert not any((case.outputs[0] < 0).any() for case in floats(op_type))


@pytest.mark.parametrize(
    "op_type", sorted({*of(Is.NON_NEGATIVE_IF_ALL), *of(Is.NON_NEGATIVE_IF_ANY)} - PROVIDED)
)
def test_non_negative_data_stay_non_negative(op_type) -> None:
    for case in floats(op_type):
        assert not (all(a.size for a in case.data) and (case.again(np.abs) < 0).any()), case.name


def test_flags_of_one_kind_of_operator_go_together() -> None:
    """What only makes sense of movers is said of movers, and so on."""
    how = Is.REORDERS | Is.REPEATS | Is.DROPS | Is.FILLS | Is.PICKS | Is.CASTS
    assert operators(some=how) <= operators(Is.MOVES)
    assert operators(Is.LAYER) <= operators(Is.BILINEAR)
    assert operators(Is.WINDOW) <= operators(Is.SPATIAL)
    assert operators(Is.ELEMENTWISE) == operators(Is.ELEMENTWISE, some=Is.LIKE_FIRST | Is.BROADCASTS)
    assert not operators(Is.LIKE_FIRST | Is.BROADCASTS)


def test_weights_and_biases_are_inputs_of_their_names() -> None:
    names = {"w", "b", "c", "scale", "bias", "slope", "window", "inputs"}
    for (_, op_type), row in declared().items():
        schema = onnx.defs.get_schema(op_type)
        for place in (row.weight, row.bias):
            if place is not None and not operators(Is.ELEMENTWISE) & {op_type} and op_type != "MatMul":
                name = schema.inputs[min(place, len(schema.inputs) - 1)].name.lower()
                assert name in names, f"{op_type}: {name}"


def test_an_unknown_operator_is_nothing() -> None:
    node = ir.node("Relu", [ir.Value(name="x")], domain="my.own")
    assert not is_a(node, Is.ELEMENTWISE)
    assert is_a(ir.node("Relu", [ir.Value(name="x")], domain="ai.onnx"), Is.ELEMENTWISE)
    assert not is_a(None, Is.ELEMENTWISE)


def test_an_operator_is_declared_once() -> None:
    with pytest.raises(ValueError, match="Relu is declared twice"):
        declare("Relu", Is.ELEMENTWISE)
