"""The highest scores, explained one after the other in one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts
from onnxplain.graph.names import Names

__all__ = ["write_top_k"]

_INT64 = ir.TensorType(ir.DataType.INT64)


def write_top_k(
    model: ir.Model,
    k: int,
    target: tuple[str, str],
    output: str,
    axis: int,
    originals: list[str],
    axes: Mapping[str, int],
    main: tuple[str, int],
    opset: int,
) -> ir.Model:
    """Return a graph that explains the k highest scores of each sample, in a loop over these.

    Parameters
    ----------
    model
        Its target may be -1 for what is predicted, and an output tells the index.  It is used up.
    k
        How many.
    target
        Names of the target's input, and of the output with its index, which will be called like the input.
    output, axis
        The explained output, (N, C), and its axis of samples.
    originals
        Names of the model's own outputs, which stay as they are.
    axes
        By other output: the axis of samples; behind it there will be one of length k.
    main
        An input, and its axis of samples.
    opset
        Of the graph.
    """
    body = model.graph
    names = Names(body)
    ends = {str(v.name): v for v in body.outputs}
    graph = ir.Graph([], [], nodes=[], opset_imports=dict(body.opset_imports), name=body.name)
    outside = Emitter(graph, opset, names.scope("onnxplain/top"))
    inside = Emitter(body, opset, names.scope("onnxplain/each"))
    number = ir.Value(name=names.free("place"), type=_INT64, shape=ir.Shape([]))
    going = ir.Value(name=names.free("more"), type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([]))
    carried = [ir.Value(name=names.free(f"before/{n}"), type=ends[n].type) for n in originals]
    best = ir.Value(name=names.free(f"before/{target[0]}"), type=_INT64, shape=ir.Shape(["batch"]))
    given = next(v for v in body.inputs if v.name == target[0])
    inside.before = next(iter(body))
    for value in [v for v in body.inputs if v is not given]:
        outer = ir.Value(name=value.name, type=value.type, shape=value.shape)
        graph.inputs.append(outer)
        value.replace_all_uses_with(outer, replace_graph_outputs=True)
    lead = next(v for v in graph.inputs if v.name == main[0])
    lead = inside.Shape(lead, start=main[1], end=main[1] + 1)
    scores = carried[originals.index(output)]
    chosen = _chosen(inside, names, number, scores, best, lead, k, axis)
    chosen.shape = given.shape
    given.replace_all_uses_with(chosen)
    inside.before = None
    first = inside.Equal(number, np.int64(0))
    index = ends[target[1]]
    kept = _either(inside, names, first, index, best)
    go_on = inside.Identity(going, _fold=False)
    scans = [n for n in ends if n not in originals]
    after = [ends[n] for n in originals]
    parts = [inside.Identity(ends[n], _fold=False) for n in scans]
    body.inputs.clear()
    body.inputs.extend([number, going, *carried, best])
    body.outputs.clear()
    body.outputs.extend([go_on, *after, kept, *parts])
    body.name = "place"
    empty = [outside.initializer(np.zeros((0,) * (facts.rank(v) or 1), _numpy(v))) for v in after]
    begin = [*empty, outside.initializer(np.zeros(0, np.int64))]
    count = len(begin) + len(scans)
    loop = ir.node(
        "Loop",
        [outside.const(np.int64(k)), outside.const(np.array(True)), *begin],
        {"body": ir.AttrGraph("body", body)},
        num_outputs=count,
    )
    loop.name = outside.fresh("Loop")
    graph.append(loop)
    made: list[ir.Value] = []
    for name, value, source in zip(originals, loop.outputs, after, strict=False):
        value.type, value.shape = source.type, source.shape
        made.append(value)
        source.name, value.name = names.free(f"{name}/each"), name
    loop.outputs[len(originals)].name = outside.fresh("unused")
    for name, value in zip(scans, loop.outputs[len(begin) :], strict=True):
        source = ends[name]
        value.name, value.type = outside.fresh("scan"), source.type
        at, rank = axes.get(name, 0), facts.rank(source) or 1
        moved: Any = outside.move_axis(value, rank + 1, 0, at + 1)
        dims = list(source.shape or ())
        source.name, moved.type = names.free(f"{name}/each"), source.type
        moved.name = target[0] if name == target[1] else name
        if dims:
            moved.shape = ir.Shape([*dims[: at + 1], k, *dims[at + 1 :]])
        made.append(moved)
    graph.outputs.extend(made)
    return ir.Model(graph, ir_version=model.ir_version)


def _numpy(value: ir.Value) -> Any:
    dtype = value.dtype or ir.DataType.FLOAT
    return np.dtype(str) if dtype == ir.DataType.STRING else dtype.numpy()


def _chosen(
    op: Emitter,
    names: Names,
    number: ir.Value,
    scores: ir.Value,
    best: ir.Value,
    samples: ir.Value,
    k: int,
    axis: int,
) -> ir.Value:
    """Return -1 for the first place, and which score has a later place, by what the first one found."""
    branches = []
    for what in ("then", "else"):
        graph = ir.Graph([], [], nodes=[], opset_imports=dict(op.graph.opset_imports), name=f"{what}/place")
        own = Emitter(graph, op.opset, names.scope(f"onnxplain/{what}_place"))
        if what == "then":
            made = own.ConstantOfShape(samples, value=ir.tensor(np.array([-1], np.int64)))
        else:
            rows = own.Transpose(scores, perm=[1, 0]) if axis else scores
            column = own.Unsqueeze(best, [1])
            top = own.Expand(own.CastLike(own.const(np.float32(np.inf)), rows), own.Shape(column))
            raised = own.ScatterElements(rows, column, top, axis=1)  # what was first stays first
            found = cast("tuple[ir.Value, ...]", own.emit("TopK", [raised, [k]], {"axis": 1, "_outputs": 2}))
            made = own.Gather(found[1], number, axis=1)
        made.type = _INT64
        graph.outputs.append(made)
        branches.append(ir.AttrGraph(f"{what}_branch", graph))
    return _if(op, op.Equal(number, np.int64(0)), branches)


def _either(op: Emitter, names: Names, first: ir.Value, mine: ir.Value, before: ir.Value) -> ir.Value:
    """Return what the first place found, at all of them."""
    branches = []
    for what, value in (("then", mine), ("else", before)):
        out = ir.Value(name=names.free(f"kept/{what}"), type=_INT64)
        node = ir.Node("", "Identity", [value], outputs=[out], name=f"{out.name}/node")
        branches.append(ir.AttrGraph(f"{what}_branch", ir.Graph([], [out], nodes=[node], name=str(out.name))))
    return _if(op, first, branches)


def _if(op: Emitter, condition: ir.Value, branches: list[ir.Attr]) -> ir.Value:
    node = ir.node("If", [condition], {a.name: a for a in branches})
    node.name = op.fresh("If")
    if op.before is None:
        op.graph.append(node)
    else:
        op.graph.insert_before(op.before, node)
    made = node.outputs[0]
    made.name, made.type = node.name, _INT64
    return made
