"""Half precision at a file's border: what a model takes and gives in float16 stays so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.exported_file import graphs_of
from onnxplain.graph.names import Names
from onnxplain.options import check_option

__all__ = ["Halves", "halves_of", "is_narrow", "keep_halves"]

_HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_HALF, _WIDE = ir.DataType.FLOAT16, ir.DataType.FLOAT


@dataclass(frozen=True)
class Halves:
    """What of a model is float16.

    Attributes
    ----------
    inputs
        Names.
    outputs
        Places among the model's outputs.
    any
        Whether anything is of half precision (bfloat16 too): an input, an output, a weight, a constant.
    """

    inputs: frozenset[str]
    outputs: frozenset[int]
    any: bool


def halves_of(loaded: ir.Model) -> Halves:
    """Tell what of a model, as it was read, is float16."""
    graph = loaded.graph
    inputs = frozenset(str(v.name) for v in graph.inputs if v.dtype == _HALF)
    outputs = frozenset(k for k, v in enumerate(graph.outputs) if v.dtype == _HALF)
    values = (*graph.inputs, *graph.outputs, *(v for g in graphs_of(loaded) for v in g.initializers.values()))
    constants = (a.value for node in graph.all_nodes() for a in node.attributes.values())
    dtypes = {v.dtype for v in values} | {t.dtype for t in constants if isinstance(t, ir.TensorProtocol)}
    return Halves(inputs, outputs, bool(dtypes & _HALVES))


def is_narrow(precision: Any, halves: Halves) -> bool:
    """Whether a file computes in float16 where that is accurate, by what it is asked for and made of.

    Raises
    ------
    MethodError
        If there is no such precision, or the model has none of float16.
    """
    wanted = check_option("precision", precision, Literal["float32", "float16", "model"] | None, MethodError)
    if wanted == "float16" and not halves.any:
        raise MethodError(
            "precision is 'float16', and the model holds nothing in half precision; convert the model first "
            "(onnxruntime.transformers.float16.convert_float_to_float16), or leave precision out"
        )
    return halves.any and wanted in ("float16", "model")


def keep_halves(model: ir.Model, halves: Halves, originals: Sequence[str]) -> None:
    """Let a file take and give in float16 what its model does; inside it stays float32.

    Parameters
    ----------
    model
        The file's graph, in float32; it is changed.
    halves
        What of the model is float16.
    originals
        Names of the model's outputs.
    """
    graph, names = model.graph, Names(*graphs_of(model))
    for place, value in enumerate(list(graph.inputs)):
        if value.name not in halves.inputs or value.dtype != _WIDE:
            continue  # or it takes images
        given = ir.Value(name=value.name, type=ir.TensorType(_HALF), shape=value.shape)
        made = _cast(given, _WIDE, names.free(f"{value.name}/float32"))
        value.name = None
        value.replace_all_uses_with(made.outputs[0], replace_graph_outputs=True)
        graph.inputs[place] = given
        graph.insert_before(next(iter(graph)), made)
    half = {originals[k] for k in halves.outputs}
    for place, value in enumerate(list(graph.outputs)):
        if value.name not in half or value.dtype != _WIDE:
            continue
        name, value.name = value.name, names.free(f"{value.name}/float32")
        made = _cast(value, _HALF, name)
        graph.append(made)
        graph.outputs[place] = made.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    node = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{name}/cast")
    made = node.outputs[0]
    made.name, made.type, made.shape = name, ir.TensorType(dtype), value.shape
    return node
