"""From whatever the user gives to a model that can be explained: one way for all that read models."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.engine import between
from onnxplain.graph.content import content_hash
from onnxplain.graph.interface import InputInfo
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import Normalized, normalize
from onnxplain.graph.passes.normal import MIN_OPSET
from onnxplain.graph.patterns.heads import before_softmax, expose_scores

__all__ = ["depends", "read", "understood"]


def read(model: ModelSource, *, identify: bool = False) -> Normalized:
    """Load a model and bring it into normal form, with scores among its outputs.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    identify
        Compute the hash of its content, before that is changed.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If it cannot be read.
    """
    loaded = load(model)
    content = content_hash(loaded) if identify else ""
    return replace(understood(loaded), content=content)


def understood(loaded: ir.Model, opset: int = MIN_OPSET) -> Normalized:
    """Bring a loaded model, which may be changed, into normal form, with scores among its outputs.

    Parameters
    ----------
    loaded
        The model.
    opset
        What an older model is raised to, 18 or newer.
    """
    normal = normalize(loaded, expand=needs_body, opset=opset)
    note = expose_scores(normal.model.graph)
    return normal if note is None else replace(normal, notes=(*normal.notes, note))


def depends(normal: Normalized, output: str, info: InputInfo) -> bool:
    """Tell whether an output depends differentiably on an input."""
    graph = normal.model.graph
    values = {v.name: v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    entries = [values[e] for e in info.entries if e in values]
    scored = values.get(output)
    if scored is None or not entries:
        return False
    scored = before_softmax(scored) or scored
    return scored in entries or bool(between(graph, [scored], entries)[0])
