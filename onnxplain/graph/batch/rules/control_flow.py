"""If, Loop, Scan: their bodies are walked through, a loop's until nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from onnxplain.graph.batch.node import Node, joined
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import Dims, Found, List, Lost, Mixes, Value

__all__: list[str] = []

_INT64, _BOOL = 7, 9


def _body(node: Node, name: str) -> ir.Graph:
    return node.source.attributes[name].as_graph()


@rule("If", always=True)
def branches(node: Node) -> Result:
    """Both branches, unless the condition is known; it must not depend on samples."""
    node.shared(0, why="depends on the samples, and all of them take the branch that it decides")
    condition = node.x.array()
    if node.x.sized:
        raise Mixes("its condition depends on the batch size")
    if condition is not None:
        return node.body(_body(node, "then_branch" if condition.any() else "else_branch"), [])
    yes = node.body(_body(node, "then_branch"), [])
    no = node.body(_body(node, "else_branch"), [])
    return [_either(a, b) for a, b in zip(yes, no, strict=True)]


def _either(a: Found, b: Found) -> Found:
    if isinstance(a, Lost) or isinstance(b, Lost):
        return a if isinstance(a, Lost) else b
    return joined(_varying(a), _varying(b))


def _varying(found: Found) -> Found:
    """Forget what a value holds; it may differ from step to step."""
    if isinstance(found, Value):
        if found.sized:
            raise Mixes("it computes with the batch size")
        return replace(found, contents=None, constant=None, number=False, columns=frozenset())
    return found


@rule("Loop", reads=(0,), always=True)
def loop(node: Node) -> Result:
    """Walk through the body until what is known of the carried values no longer changes."""
    node.shared(0, 1, why="depends on the samples, and all of them take as many steps as it says")
    body = _body(node, "body")
    count = len(node.source.inputs) - 2
    carried = [_start(node, k + 2) for k in range(count)]
    trips = _trips(node)
    for _ in range(2 * count + 2):
        made = node.body(body, [_scalar(_INT64), _scalar(_BOOL), *carried])
        _decided(made[0])
        after = [_step(a, b) for a, b in zip(carried, made[1 : count + 1], strict=True)]
        if after == carried:
            break
        carried = after
    else:
        raise Mixes("what its steps carry on keeps changing")
    return [*carried, *(_stacked(m, 0, trips) for m in made[count + 1 :])]


def _start(node: Node, k: int) -> Found:
    found = node.inputs[k]
    assert found is not None
    return _varying(found)


def _step(before: Found, after: Found) -> Found:
    return after if isinstance(after, Lost) else joined(before, _varying(after))


def _trips(node: Node) -> int | None:
    """Return how often a Loop runs if that is certain."""
    if node.has(0) and node.input(0).sized:
        raise Mixes("it takes as many steps as there are samples")
    return None


def _scalar(dtype: int) -> Value:
    return Value((), dtype)


def _decided(condition: Found) -> None:
    """Refuse a loop whose end depends on samples."""
    if isinstance(condition, Lost):
        raise Mixes(f"how many steps it takes depends on all samples ({condition.node}: {condition.reason})")
    if isinstance(condition, Value) and (condition.at is not None or condition.taint is not None):
        raise Mixes("how many steps it takes depends on the samples")


def _stacked(found: Found, axis: int, length: int | None) -> Found:
    """Describe what steps leave, put side by side along a new axis."""
    if not isinstance(found, Value):
        return found
    found = _varying(found)
    assert isinstance(found, Value)
    shape: Dims | None = None
    if found.shape is not None:
        axis += len(found.shape) + 1 if axis < 0 else 0
        shape = (*found.shape[:axis], length, *found.shape[axis:])
    elif found.at is not None:
        raise Mixes("the rank of what it leaves is not known before running")
    at = None if found.at is None else found.at.moved(found.at.axis + (axis <= found.at.axis))
    return Value(shape, found.dtype, at, found.alike)


@rule("Scan", always=True)
def scan(node: Node) -> Result:
    """Walk through the body like that of a loop; samples must not lie along the axis that it steps along."""
    body = _body(node, "body")
    scanned = node.integer("num_scan_inputs", 1)
    count = len(node.source.inputs) - scanned
    axes = node.ints("scan_input_axes") or (0,) * scanned
    pieces: list[Found] = []
    length: int | None = None
    for k, axis in enumerate(axes):
        value = node.input(count + k)
        place = axis % value.rank
        node.apart(count + k, [place], "steps along")
        assert value.shape is not None
        length = value.shape[place]
        shape = (*value.shape[:place], *value.shape[place + 1 :])
        at = None if value.at is None else value.at.moved(value.at.axis - (place < value.at.axis))
        pieces.append(Value(shape, value.dtype, at, value.alike))
    carried = [_start(node, k) for k in range(count)]
    for _ in range(2 * count + 2):
        made = node.body(body, [*carried, *pieces])
        after = [_step(a, b) for a, b in zip(carried, made[:count], strict=True)]
        if after == carried:
            break
        carried = after
    else:
        raise Mixes("what its steps carry on keeps changing")
    left = made[count:]
    where: Sequence[int] = node.ints("scan_output_axes") or (0,) * len(left)
    return [*carried, *(_stacked(m, a, length) for m, a in zip(left, where, strict=True))]


@rule("SequenceMap", always=True)
def mapped(node: Node) -> Result:
    """Walk through the body for one element."""
    inputs = [f.element if isinstance(f, List) else f for f in node.inputs]
    return [
        m if isinstance(m, Lost) else List(v if isinstance(v := _varying(m), Value) else None)
        for m in node.body(_body(node, "body"), inputs)
    ]
