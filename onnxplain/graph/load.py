"""Reading a model from wherever it is, and refusing what is broken before anything runs."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxplain.errors import ExternalDataError, InvalidModelError, ModelNotFoundError
from onnxplain.graph.maps import open_maps
from onnxplain.graph.stubs import SMALL_BYTES

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
        model = source.clone()
        _check_sources(model.graph, "the given model")
        return model
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
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelNotFoundError(
                f"'{path}' cannot be read ({error.strerror}); check its permissions"
            ) from error
        return _from_proto(_parse(content, f"'{path}'"), path.resolve().parent, f"'{path}'")
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
            f"{what} holds no ONNX graph with nodes and outputs; is it a training checkpoint or another "
            "format?"
        )
    standard = ("", "ai.onnx")
    if not any(o.domain in standard for o in proto.opset_import):
        used = any(n.domain in standard for n in proto.graph.node)
        if used:
            raise InvalidModelError(f"{what} does not say its opset version; run onnx.checker on it")
    _check_tensors(proto.graph, folder, what)
    try:
        model = ir.from_proto(open_maps(proto))
    except Exception as error:  # onnx_ir raises many kinds for malformed protobufs
        raise InvalidModelError(f"{what} is malformed: {error}; export it again") from error
    if folder is not None:
        ir.external_data.set_base_dir(model.graph, folder)
        for graph in (model.graph, *model.graph.subgraphs()):
            _read_small(graph)
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


def _check_tensors(graph: onnx.GraphProto, folder: Path | None, what: str) -> None:
    for tensor in _tensors(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(tensor, folder, what)
        elif tensor.HasField("raw_data") and len(tensor.raw_data) != _bytes(tensor):
            raise InvalidModelError(
                f"weight '{tensor.name}' of {what} holds {len(tensor.raw_data)} bytes, but its shape "
                f"{tuple(tensor.dims)} needs {_bytes(tensor)}; export it again"
            )


def _bytes(tensor: onnx.TensorProto) -> int:
    """Return how many bytes a tensor's shape and dtype need."""
    try:
        bits = int(ir.DataType(tensor.data_type).bitwidth)
    except (TypeError, ValueError):  # text, or a dtype that the library does not know
        return len(tensor.raw_data)
    return -(-math.prod(map(int, tensor.dims)) * bits // 8)


def _check_external(tensor: onnx.TensorProto, folder: Path | None, what: str) -> None:
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    weight = f"weight '{tensor.name}' of {what}"
    if folder is None:
        raise ExternalDataError(
            f"{weight} lies in the file '{location}', which cannot be found from bytes; load the model by "
            "its path, or read the data in with onnx.load"
        )
    path = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not path.is_relative_to(folder):
        raise ExternalDataError(
            f"{weight} points to '{location}', outside the model's folder; this is refused: put the weight "
            "file beside the model and save it again"
        )
    if not path.is_file():
        raise ExternalDataError(
            f"{weight} lies in '{location}', which is missing; put that file beside the model"
        )
    place = {"offset": 0, "length": _bytes(tensor)}
    for key in place:
        text = entries.get(key, "")
        if text and not text.isdecimal():
            raise ExternalDataError(f"{weight} has the {key} '{text}' in '{location}'; export it again")
        place[key] = int(text or place[key])
    if place["length"] != _bytes(tensor):
        raise ExternalDataError(
            f"{weight} has the length {place['length']} in '{location}', but its shape "
            f"{tuple(tensor.dims)} needs {_bytes(tensor)} bytes; export it again"
        )
    if path.stat().st_size < place["offset"] + place["length"]:
        raise ExternalDataError(f"'{location}' ends before {weight} does; copy or download it again")


def _read_small(graph: ir.Graph) -> None:
    """Take small external tensors into memory, where ONNX's C++ tools find them."""
    for value in graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = _small(value.const_value)
    for node in graph:
        for name, a in list(node.attributes.items()):
            if a.type == ir.AttributeType.TENSOR and isinstance(a.value, ir.ExternalTensor):
                node.attributes[name] = ir.AttrTensor(name, _in_memory(a.value))


def _small(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return _in_memory(tensor) if tensor.nbytes <= SMALL_BYTES else tensor


def _in_memory(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return ir.tensor(np.array(tensor.numpy()), dtype=tensor.dtype, name=tensor.name)


def _check_sources(graph: ir.Graph, what: str) -> None:
    known = set(graph.inputs) | set(graph.initializers.values())
    for node in graph:
        for value in node.inputs:
            if value is not None and value.producer() is None and value not in known:
                raise InvalidModelError(
                    f"{what}: node '{node.name or node.op_type}' uses '{value.name}', which nothing makes; "
                    "export it again"
                )
    for output in graph.outputs:
        if output.producer() is None and output not in known:
            raise InvalidModelError(f"{what}: nothing makes the output '{output.name}'; export it again")
    try:
        graph.sort()
    except ValueError as error:
        raise InvalidModelError(
            f"{what}: its nodes wait for each other in a circle; export it again"
        ) from error
