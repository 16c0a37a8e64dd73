"""What an exported file gives back: the model's outputs, attributions, and what can be checked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts, interface
from onnxplain.graph.names import Names
from onnxplain.graph.positions import write_positions
from onnxplain.loops import Result

__all__ = [
    "INDEX",
    "drop_unused",
    "finish_outputs",
    "name_checks",
    "name_extras",
    "name_index",
    "values_of",
]

#: What the target's index is called, as long as there may be an input for it.
INDEX = "onnxplain/target_index"


def _by_token(
    op: Emitter, info: interface.InputInfo, by_name: Mapping[str, ir.Value], entry: str, part: ir.Value
) -> ir.Value:
    """Sum an embedding's numbers by the token that each is for."""
    if entry not in info.moved:
        rank = len(info.shape or ())
        return op.sum(part, range(rank, facts.rank(part) or rank))
    tokens = by_name[info.name]
    where = op.Reshape(write_positions(op, tokens, by_name[entry]), [-1])
    size = op.Size(tokens)
    one = op.const(np.array([1], np.int64))
    where = op.Where(op.Less(where, op.const(np.int64(0))), size, where)  # nobody's numbers go last
    base = op.ConstantOfShape(op.Add(op.Reshape(size, [1]), one), value=ir.tensor(np.zeros(1, np.float32)))
    added = op.ScatterElements(base, where, op.Reshape(part, [-1]), axis=0, reduction="add")
    kept = op.slice(added, 0, 0, op.Reshape(size, [1]))
    return cast("ir.Value", op.Reshape(kept, op.Shape(tokens), allowzero=1))


def finish_outputs(
    model: ir.Model,
    originals: Sequence[str],
    infos: Sequence[interface.InputInfo],
    attributions: Mapping[str, ir.Value],
    opset: int,
    checks: Sequence[ir.Value] = (),
    label: str | None = None,
) -> None:
    """Give back all outputs of the model, one attribution per input, and what can be checked of them.

    Attributions are called after the label, where there is one, and their input.
    """
    graph = model.graph
    by_name = values_of(model)
    names = Names(graph)
    op = Emitter(graph, opset, scope=names.scope("onnxplain/outputs"))
    outputs = [by_name[name] for name in originals]
    for info in infos:
        parts = [attributions[entry] for entry in info.entries]
        if info.entries == (info.name,):
            outputs.append(_as_output(op, parts[0], names, info, label))
            continue
        summed = [_by_token(op, info, by_name, e, p) for e, p in zip(info.entries, parts, strict=True)]
        total = summed[0] if len(summed) == 1 else op.Sum(*summed)
        total.name = names.free(_called("attribution", info.name, label))
        total.shape = ir.Shape(list(info.shape or ()))
        outputs.append(total)
    graph.outputs.clear()
    graph.outputs.extend([*outputs, *checks])
    common.RemoveUnusedNodesPass()(model)


def drop_unused(model: ir.Model, kept: Sequence[str]) -> None:
    """Forget inputs that nothing reads, but for some: a target, where none changes what is found."""
    graph = model.graph
    for value in [v for v in graph.inputs if v.name not in kept and not v.uses()]:
        graph.inputs.remove(value)


def _called(what: str, name: str, label: str | None) -> str:
    return f"{what}/{name}" if label is None else f"{what}/{label}/{name}"


def values_of(model: ir.Model) -> dict[str, ir.Value]:
    """Return the values of a graph by name."""
    graph = model.graph
    return {str(v.name): v for v in graph.inputs} | {str(v.name): v for node in graph for v in node.outputs}


def name_checks(
    model: ir.Model,
    output: str,
    infos: Sequence[interface.InputInfo],
    result: Result,
    label: str | None = None,
) -> list[ir.Value]:
    """Name what can be checked of the attributions."""
    names, made = Names(model.graph), []
    if result.delta is not None:
        result.delta.name = names.free(_called("delta", output, label))
        made.append(result.delta)
    for info in infos:
        if info.entries == (info.name,) and info.name in result.errors:
            error = result.errors[info.name]
            error.name = names.free(_called("standard_error", info.name, label))
            if info.shape is not None:  # of a value inside, it is as the loop has it
                error.shape = ir.Shape(list(info.shape))
            made.append(error)
    return made


def name_extras(model: ir.Model, extras: Mapping[str, ir.Value], label: str | None = None) -> list[ir.Value]:
    """Name what comes along with the attributions, whatever it is."""
    names = Names(model.graph)
    for called, value in extras.items():
        what, _, name = called.partition("/")
        value.name = names.free(_called(what, name, label))
    return list(extras.values())


def _as_output(
    op: Emitter, value: ir.Value, names: Names, info: interface.InputInfo, label: str | None
) -> ir.Value:
    """Name an attribution after its input."""
    name = _called("attribution", info.name, label)
    if str(value.name).rstrip("_") != name:
        if value.producer() is None:  # an input itself
            value = op.Identity(value, _fold=False)
        value.name = names.free(name)
        if info.shape is not None:
            value.shape = ir.Shape(list(info.shape))
    return value


def name_index(index: ir.Value) -> ir.Value:
    """Name the index of what is explained, until its place as an output is known."""
    index.name = INDEX
    index.shape = index.shape or ir.Shape(["batch"])
    return index
