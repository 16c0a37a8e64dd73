"""Reading a model from wherever it is, and refusing what is broken before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxplain.errors import ExternalDataError, InvalidModelError, ModelNotFoundError

__all__ = ["ModelSource", "load"]

ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model"


def load(source: ModelSource) -> ir.Model:
    """Read a model.

    Parameters
    ----------
    source
        Path of an ``.onnx`` file, its bytes, an ``onnx.ModelProto`` or an ``onnx_ir.Model``.  The source
        itself is never changed.

    Returns
    -------
    ir.Model
        A model of the caller's own; external weights are mapped from their files, not read.

    Raises
    ------
    ModelNotFoundError
        If the path does not exist.
    InvalidModelError
        If the content is not an ONNX model, is truncated, or is inconsistent.
    ExternalDataError
        If a weight file is missing, too short, or lies outside the model's folder.
    TypeError
        If ``source`` is of another type.
    """
    if isinstance(source, ir.Model):
        return source.clone()
    if isinstance(source, onnx.ModelProto):
        return _from_proto(source, None, "the given ModelProto")
    if isinstance(source, bytes):
        return _from_proto(_parse(source, "the given bytes"), None, "the given bytes")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            raise ModelNotFoundError(f"'{path}' is a folder; give the path of the .onnx file inside it")
        if not path.exists():
            raise ModelNotFoundError(f"there is no file '{path}'; check the path of the .onnx model")
        return _from_proto(_parse(path.read_bytes(), f"'{path}'"), path.resolve().parent, f"'{path}'")
    raise TypeError(
        f"a model is a path, bytes, an onnx.ModelProto or an onnx_ir.Model, not {type(source).__name__}"
    )


def _parse(content: bytes, what: str) -> onnx.ModelProto:
    if not content:
        raise InvalidModelError(f"{what} is empty; export or download the model again")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except (DecodeError, RuntimeError) as error:
        raise InvalidModelError(
            f"{what} is not an ONNX model, or is truncated ({error}); export or download it again"
        ) from error
    return proto


def _from_proto(proto: onnx.ModelProto, folder: Path | None, what: str) -> ir.Model:
    if not proto.graph.node or not proto.graph.output:
        raise InvalidModelError(
            f"{what} holds no ONNX graph with nodes and outputs; is it a training checkpoint or another format?"
        )
    if not any(o.domain in ("", "ai.onnx") for o in proto.opset_import):
        if any(n.domain in ("", "ai.onnx") for n in proto.graph.node):
            raise InvalidModelError(f"{what} does not say its opset version; run onnx.checker on it")
    _check_external(proto.graph, folder, what)
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # onnx_ir raises many kinds for malformed protobufs
        raise InvalidModelError(f"{what} is malformed: {error}; export it again") from error
    if folder is not None:
        ir.external_data.set_base_dir(model.graph, folder)
    _check_sources(model.graph, what)
    return model


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for a in node.attribute:
            if a.HasField("t"):
                found.append(a.t)
            if a.HasField("g"):
                found.extend(_tensors(a.g))
            for sub in a.graphs:
                found.extend(_tensors(sub))
    return found


def _check_external(graph: onnx.GraphProto, folder: Path | None, what: str) -> None:
    for tensor in _tensors(graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if folder is None:
            raise ExternalDataError(
                f"weight '{tensor.name}' of {what} lies in the file '{location}', which cannot be found from "
                "bytes; load the model by its path, or read the data in with onnx.load"
            )
        path = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not path.is_relative_to(folder):
            raise ExternalDataError(
                f"weight '{tensor.name}' of {what} points to '{location}', outside the model's folder; "
                "this is refused: put the weight file beside the model and save it again"
            )
        if not path.is_file():
            raise ExternalDataError(
                f"weight '{tensor.name}' of {what} lies in '{location}', which is missing; put that file beside the model"
            )
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
        if path.stat().st_size < end:
            raise ExternalDataError(
                f"'{location}' ends before weight '{tensor.name}' of {what} does; copy or download it again"
            )


def _check_sources(graph: ir.Graph, what: str) -> None:
    known = set(graph.inputs) | set(graph.initializers.values())
    for node in graph:
        for value in node.inputs:
            if value is not None and value.producer() is None and value not in known:
                raise InvalidModelError(
                    f"{what}: node '{node.name or node.op_type}' uses '{value.name}', which nothing makes; export it again"
                )
    for output in graph.outputs:
        if output.producer() is None and output not in known:
            raise InvalidModelError(f"{what}: nothing makes the output '{output.name}'; export it again")
