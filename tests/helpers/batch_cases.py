"""Checking what the batch analysis says of one model: run it, permute, cut and repeat rows, and compare."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

from onnxplain.backward.adjoint import needs_body
from onnxplain.graph.batch import Batch, analyse
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.normal import MIN_OPSET, raise_opset
from onnxplain.testing.reference import CORRECTED

#: Hypotheses that pair every axis of every input are tried on nodes with fewer inputs than this.
FEW = 4

Axes = dict[str, int]


@dataclass
class Case:
    """One node test case of the standard."""

    name: str
    op_type: str
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]

    @cached_property
    def raised(self) -> onnx.ModelProto:
        """The model in an opset of the normal form."""
        model, _ = raise_opset(ir.from_proto(self.model))
        return ir.to_proto(model)

    @cached_property
    def run(self) -> Runner:
        """Runs the model as it is, at any shape."""
        return Runner(self.model)

    def analyse(self, axes: Axes, feeds: dict[str, np.ndarray], *, free: bool):
        """Analyse, with all inputs of which no axis counts samples as constants."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.raised)
        for info in list(proto.graph.input):
            if info.name not in axes and feeds[info.name].dtype != object:
                proto.graph.input.remove(info)
                proto.graph.initializer.append(onnx.numpy_helper.from_array(feeds[info.name], info.name))
        shapes = {k: v.shape for k, v in feeds.items()}
        return analyse(ir.from_proto(proto), dict(axes), shapes, free=free)


class Runner:
    """Runs a model with inputs of any length: on onnxruntime if it can, else on the reference evaluator."""

    def __init__(self, model: onnx.ModelProto) -> None:
        proto = onnx.ModelProto()
        proto.CopyFrom(model)
        proto.ir_version = min(proto.ir_version, 10)
        for info in proto.graph.input:
            for k, dim in enumerate(info.type.tensor_type.shape.dim):
                dim.Clear()
                dim.dim_param = f"{info.name}_{k}"
        for graph in _graphs(proto.graph):
            for info in graph.output if graph is proto.graph else (*graph.input, *graph.output):
                if info.type.tensor_type.shape.dim or graph is proto.graph:
                    info.type.tensor_type.ClearField("shape")
        self.names = [o.name for o in proto.graph.output]
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            content = proto.SerializeToString()
            self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception:  # no kernel, or a newer opset
            self.session = ReferenceEvaluator(proto, new_ops=CORRECTED)

    def __call__(self, feeds: dict[str, np.ndarray]) -> dict[str, object]:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return dict(zip(self.names, self.session.run(None, feeds), strict=True))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def collect() -> list[Case]:
    """Return the standard's own node cases whose inputs are tensors; bodies of functions are left out."""
    cases = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [c for c in collect_testcases(None) if c.data_sets and c.model.graph.node]
    for case in found:
        inputs = case.data_sets[0][0]
        if "_expanded" in case.name or not all(isinstance(a, (np.ndarray, np.generic)) for a in inputs):
            continue
        version = next((o.version for o in case.model.opset_import if o.domain == ""), MIN_OPSET)
        if version < 7:
            continue
        feeds = {i.name: np.asarray(a) for i, a in zip(case.model.graph.input, inputs, strict=True)}
        cases.append(
            Case(case.name.removeprefix("test_"), case.model.graph.node[0].op_type, case.model, feeds)
        )
    return cases


def hypotheses(feeds: dict[str, np.ndarray]) -> Iterator[Axes]:
    """Yield where samples might lie: an axis of one input, and axes of the same length of several."""
    places = [(k, a) for k, v in feeds.items() for a in range(v.ndim) if v.shape[a]]
    seen = set()
    for name, axis in places:
        length = feeds[name].shape[axis]
        like = [(k, a) for k, a in places if feeds[k].shape[a] == length]
        tried: list[Axes] = [
            {name: axis},
            {k: a for k, a in like if a == axis},
            {**dict(reversed(like)), name: axis},
        ]
        if len(feeds) < FEW:
            tried += [{name: axis, k: a} for k, a in like if k != name]
            by_input = [[p for p in like if p[0] == k] for k in feeds]
            tried += [dict(c) for c in itertools.product(*(p for p in by_input if p))]
        for axes in tried:
            key = tuple(sorted(axes.items()))
            if key not in seen:
                seen.add(key)
                yield axes


def grown(feeds: dict[str, np.ndarray], axes: Axes) -> tuple[dict[str, np.ndarray], int]:
    """Give axes of length 1 three rows of the same numbers in another order; return their number too."""
    out = dict(feeds)
    for name, axis in axes.items():
        x = feeds[name]
        if x.shape[axis] == 1:
            flat = x.ravel()
            rows = [x, flat[::-1].reshape(x.shape), np.roll(flat, 1).reshape(x.shape)]
            out[name] = np.concatenate(rows, axis)
    name, axis = next(iter(axes.items()))
    return out, out[name].shape[axis]


def orders(n: int, *, free: bool) -> list[np.ndarray]:
    """Return rows in other company: another order; if any number will do one alone, fewer, all twice."""
    found = [np.roll(np.arange(n)[::-1], 1)] if n > 2 else [np.arange(n)[::-1]]
    if free:
        found += [np.array([n - 1]), np.arange(n - 1), np.tile(np.arange(n), 2)]
    return found


def check(case: Case, axes: Axes, feeds: dict[str, np.ndarray], n: int, *, free: bool) -> bool | None:
    """Compare what is proven with runs.

    Returns
    -------
    bool or None
        True if independence is proven and holds, False if it is not proven, None if the model does not run.

    Raises
    ------
    AssertionError
        If it is proven, and wrong.
    """
    found = case.analyse(axes, feeds, free=free)
    if not isinstance(found, Batch):
        return False
    try:
        whole = case.run(feeds)
    except Exception:  # the numbers in these rows, or these shapes, are not meant for this operator
        return None
    compare(found, case.run, whole, axes, feeds, n, free=free)
    return True


def analysed(proto: onnx.ModelProto, axes: Axes, feeds: dict[str, np.ndarray], **options):
    """Analyse a model in normal form; where independence is proven, compare with runs of the original."""
    normal = normalize(load(proto), expand=needs_body)
    shapes = {k: v.shape for k, v in feeds.items()}
    found = analyse(normal.model, axes, shapes, **options)
    if isinstance(found, Batch):
        run = Runner(proto)
        name, axis = next((k, a) for k, a in axes.items() if a is not None)
        placed = {k: a for k, a in axes.items() if a is not None}
        n = feeds[name].shape[axis]
        compare(found, run, run(feeds), placed, feeds, n, free=options.get("free", True))
    return found


def compare(
    found: Batch,
    run: Runner,
    whole: dict[str, object],
    axes: Axes,
    feeds: dict[str, np.ndarray],
    n: int,
    *,
    free: bool,
) -> None:
    """Run rows in other company, and compare with what they give in the whole batch."""
    for rows in orders(n, free=free):
        picked = {k: np.take(v, rows, axes[k]) if k in axes else v for k, v in feeds.items()}
        for name, got in run(picked).items():
            expected = _rows(whole[name], rows, found.axes[name])
            assert _same(expected, got), f"{axes}, rows {rows}, output {name} along {found.axes[name]}"


def _rows(value: object, rows: np.ndarray, axis: int | None) -> object:
    if axis is None:
        return value
    if isinstance(value, list) and not all(isinstance(v, dict) for v in value):
        return [np.take(v, rows, axis) for v in value]
    return np.take(np.asarray(value), rows, axis)


def _same(a: object, b: object) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "fc":
        return np.allclose(a, b, rtol=2e-4, atol=1e-5, equal_nan=True)
    return np.array_equal(a, b)
