"""DeepLIFT at operators without a gradient, by the ONNX standard's own node test cases, in float64.

What an operator makes of its inputs (as numbers, where it is truth values or integers) is added to the inputs
themselves, so that a walk comes through in any case.  Then either the contributions sum to the difference, or
the operator is refused by name: what is refused, and what is left out of the sum, is listed with its reason.
"""

from __future__ import annotations

import fnmatch
import sys
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from differences import RULES, explained
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from onnxplain.backward.registry import Category, lookup
from onnxplain.errors import UnsupportedRuleError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STOPS = (Category.ZERO, Category.NONDIFFERENTIABLE)
#: Operators with a gradient that say something of truth values or integers, too.
MORE = ("Where", "Cast", "Clip", "Max", "Min", "Mod", "Shrink", "Mul", "Add", "Sub")
#: Their integers are varied, as numbers that are cast; those of others (sizes, axes) are not.
OF_INTEGERS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "BitShift", "BitwiseAnd",
               "BitwiseNot", "BitwiseOr", "BitwiseXor", *MORE)  # fmt: skip
#: Version of the standard in which the rest of the model is written.
OLDEST = 13
#: Cases of one operator and kinds of inputs that are tried.
MOST = 2
LARGEST = 500
LISTS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("rule_skips.toml").read_text())


@dataclass(frozen=True, eq=False)
class Case:
    """A model of one operator, with its varied inputs as floats, beside another point for them."""

    name: str
    model: onnx.ModelProto
    point: dict[str, np.ndarray]
    start: dict[str, np.ndarray]

    def listed(self, table: str) -> bool:
        return any(fnmatch.fnmatchcase(self.name, p) for p in LISTS[table])


def _other(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Return a reference: other numbers of the same kind, in part the same."""
    if array.dtype == bool:
        made = rng.random(array.shape) < 0.5
    elif array.dtype.kind in "iu":
        made = rng.permutation(array.ravel()).reshape(array.shape)
    else:
        made = rng.permutation(array.ravel()).reshape(array.shape) + 0.3 * rng.standard_normal(array.shape)
    return np.where(rng.random(array.shape) < 0.2, array, made)


def _build(name: str, node: onnx.NodeProto, version: int, inputs: list, outputs: list) -> Case | None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    apart = onnx.NodeProto()
    apart.CopyFrom(node)
    apart.input[:] = [i and f"in/{i}" for i in node.input]
    apart.output[:] = [f"out/{o}" for o in node.output]
    names = [i for i in apart.input if i]
    nodes, infos, constants, terms = [], [], [], []
    point, start = {}, {}
    for key, array in zip(names, inputs, strict=True):
        array = np.asarray(array)
        varied = array.dtype in (np.float32, np.float64, np.bool_) or (
            array.dtype.kind in "iu" and node.op_type in OF_INTEGERS
        )
        if not varied or (node.op_type == "Clip" and key != names[0]):
            constants.append(numpy_helper.from_array(array, key))
            continue
        asked = f"{key}_varied"
        infos.append(helper.make_tensor_value_info(asked, onnx.TensorProto.DOUBLE, array.shape))
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes.append(helper.make_node("Cast", [asked], [key], to=kind))
        nodes.append(helper.make_node("ReduceSum", [asked], [f"{key}_sum"], keepdims=0))
        terms.append(f"{key}_sum")
        point[asked] = array.astype(np.float64)
        start[asked] = _other(rng, array).astype(np.float64)
    if not point:
        return None
    nodes.append(apart)
    for key, array in zip(apart.output, outputs, strict=True):
        array = np.asarray(array)
        if array.dtype.kind not in "biuf":
            return None
        constants.append(numpy_helper.from_array(rng.standard_normal(array.shape), f"{key}_seed"))
        nodes.append(helper.make_node("Cast", [key], [f"{key}_number"], to=onnx.TensorProto.DOUBLE))
        nodes.append(helper.make_node("Mul", [f"{key}_number", f"{key}_seed"], [f"{key}_seeded"]))
        nodes.append(helper.make_node("ReduceSum", [f"{key}_seeded"], [f"{key}_sum"], keepdims=0))
        terms.append(f"{key}_sum")
    nodes.append(helper.make_node("Sum", terms, ["all"]))
    nodes.append(helper.make_node("Reshape", ["all", "one"], ["y"]))
    constants.append(numpy_helper.from_array(np.array([1]), "one"))
    result = helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, [1])
    graph = helper.make_graph(nodes, name, infos, [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=9)
    return Case(name, model, point, start)


def _is_usable(array: np.ndarray) -> bool:
    """Tell a small array of finite numbers, or truth values."""
    kind = getattr(array, "dtype", np.dtype(object)).kind
    return kind in "biuf" and array.size <= LARGEST and bool(np.isfinite(array).all())


def _collect() -> list[Case]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [c for c in collect_testcases(None) if c.data_sets and len(c.model.graph.node) == 1]
    cases: list[Case] = []
    count: dict[tuple[str, str], int] = {}
    for case in found:
        node = case.model.graph.node[0]
        version = next((o.version for o in case.model.opset_import if o.domain == ""), None)
        if version is None or version < OLDEST or node.domain:
            continue
        row = lookup(ir.from_proto(case.model).graph[0])
        if row is None or not (row.category in STOPS or node.op_type in MORE):
            continue
        inputs, outputs = case.data_sets[0]
        kinds = "".join(getattr(a, "dtype", np.dtype(object)).kind for a in inputs)
        if not all(_is_usable(a) for a in (*inputs, *outputs)):
            continue
        made = _build(case.name.removeprefix("test_"), node, version, list(inputs), list(outputs))
        key = (node.op_type, kinds)
        count[key] = count.get(key, 0) + 1
        if made is not None and count[key] <= MOST:
            cases.append(made)
    return cases


CASES = _collect()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_what_jumps_is_in_the_sum_or_refused(case: Case, rule: str) -> None:
    if case.listed("jumps.refused"):
        with pytest.raises(UnsupportedRuleError, match=r" node '.* integrated_gradients"):
            explained(case.model, rule, case.point, case.start)
        return
    found, difference = explained(case.model, rule, case.point, case.start)
    assert all(np.isfinite(v).all() for v in found.values())
    total = sum(v.sum() for v in found.values())
    size = sum(np.abs(v).sum() for v in found.values())
    closes = abs(total - difference.sum()) <= 1e-9 * (size + 1e-3)
    assert closes != case.listed("jumps.lost"), (total, difference)


@pytest.mark.parametrize("table", ["jumps.refused", "jumps.lost"])
def test_every_entry_names_a_case(table: str) -> None:
    names = [c.name for c in CASES]
    assert not [p for p in LISTS[table] if not fnmatch.filter(names, p)]
