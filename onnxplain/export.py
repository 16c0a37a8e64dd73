"""One standalone ``.onnx`` that predicts and explains."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.program import Question, build
from onnxplain.errors import InvalidModelError, MethodError, TargetError
from onnxplain.graph import facts, interface
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import normalize
from onnxplain.methods import Method, OnePass, method as make_method
from onnxplain.runtime.programs import lower

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What an exported file takes and gives.

    Attributes
    ----------
    path
        The file.
    inputs
        Names: those of the model, then ``target`` (unless the output is a single score).
    outputs
        Names: those of the model, then ``attribution/<input>`` for each input explained.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def export(
    model: ModelSource,
    path: str | os.PathLike[str],
    *,
    method: str | Method = "lrp",
    output: str | None = None,
    wrt: str | Sequence[str] | None = None,
    through_softmax: bool = False,
    device: str = "cpu",
    **parameters: Any,
) -> Exported:
    """Write a model together with one of its explanations, in standard ONNX operators.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    path
        Where to write.
    method
        A one-pass method: ``"saliency"``, ``"input_x_gradient"``, ``"guided_backprop"``,
        ``"deconvolution"``, ``"lrp"``, with its parameters as further keywords.
    output
        Which output to explain (default: the first of floats).
    wrt
        Which inputs to explain (default: the floats, or else tokens, as one number per token).
    through_softmax
        Explain a closing Softmax too.
    device
        Whose form of convolution gradients to write: ``"cpu"`` or ``"cuda"``; both run everywhere.

    Returns
    -------
    Exported
        The file's inputs and outputs.  ``target`` is int64, (N,) class indices; (N, k) index tuples for
        outputs with more axes.

    Raises
    ------
    MethodError
        If the method needs more than one pass (a path, noise): run these with the Explainer.
    InvalidModelError
        If the model is broken, or too large for one file.
    """
    chosen = make_method(method, **parameters)
    if not isinstance(chosen, OnePass):
        raise MethodError(
            f"method '{chosen.name}' needs many passes and cannot be one graph; export saliency, input_x_gradient, "
            "guided_backprop, deconvolution or lrp"
        )
    normal = normalize(load(model), expand=needs_body)
    graph = normal.model.graph
    floats = [str(v.name) for v in graph.outputs if v.dtype is not None and facts.is_float(v)]
    if not floats:
        raise TargetError("no output of the model is made of floats, so there is no score to explain")
    name = output or floats[0]
    names = [wrt] if isinstance(wrt, str) else None if wrt is None else list(wrt)
    infos = [i for i in interface.inputs_of(graph) if (i.explained if names is None else i.name in names)]
    entries = tuple(e for i in infos for e in i.entries)
    question = Question(
        name,
        entries or tuple(names or ()),
        chosen.rules(),
        _target_axes(normal.model, name),
        cut=False,
        through_softmax=through_softmax,
        combine=chosen.combination(),
    )
    made = build(normal, question).model
    _finish_outputs(made, [str(v.name) for v in graph.outputs], infos, normal.opset)
    lower(made, device)
    made.producer_name = "onnxplain"
    made.metadata_props["onnxplain.method"] = repr(chosen)
    proto = ir.to_proto(made)
    assert isinstance(proto, onnx.ModelProto)
    destination = Path(path)
    try:
        onnx.checker.check_model(proto)
        content = proto.SerializeToString()
    except (ValueError, onnx.checker.ValidationError) as error:
        raise InvalidModelError(
            f"the explained model cannot be written as one file ({error}); files end at 2 GiB"
        ) from error
    destination.write_bytes(content)
    return Exported(
        destination,
        tuple(i.name for i in proto.graph.input),
        tuple(o.name for o in proto.graph.output),
    )


def _target_axes(model: ir.Model, output: str) -> int:
    value = next((v for v in model.graph.outputs if v.name == output), None)
    if value is None:
        names = ", ".join(str(v.name) for v in model.graph.outputs)
        raise TargetError(f"the model has no output '{output}'; it has {names}")
    dims = facts.dims(value)
    if dims is None:
        raise TargetError(f"the rank of output '{output}' is unknown; run onnx.shape_inference on the model first")
    return 0 if all(d == 1 for d in dims[1:]) else len(dims) - 1


def _finish_outputs(
    model: ir.Model, originals: Sequence[str], infos: Sequence[interface.InputInfo], opset: int
) -> None:
    """Give back all outputs of the model, and one attribution per input."""
    graph = model.graph
    by_name = {v.name: v for node in graph for v in node.outputs} | {v.name: v for v in graph.inputs}
    op = Emitter(graph, opset, scope="onnxplain/outputs")
    outputs = [by_name[name] for name in originals if name in by_name]
    for info in infos:
        parts = [by_name[f"attribution/{entry}"] for entry in info.entries]
        if info.entries == (info.name,):
            outputs.append(parts[0])
            continue
        rank = len(info.shape or ())
        summed = [op.sum(p, range(rank, facts.rank(p) or rank)) for p in parts]
        total = summed[0] if len(summed) == 1 else op.Sum(*summed)
        total.name = f"attribution/{info.name}"
        total.shape = ir.Shape(list(info.shape or ()))
        outputs.append(total)
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    common.RemoveUnusedNodesPass()(model)


