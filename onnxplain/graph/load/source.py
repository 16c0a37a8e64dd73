"""Reading a model from wherever it is, and refusing what is broken before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from onnxplain.errors import InvalidModelError, ModelNotFoundError
from onnxplain.files import MODEL_BYTES, check_source
from onnxplain.graph.load.external import FILES_KEY, byte_length, check_external, folders_of, read_external
from onnxplain.graph.load.open_maps import open_maps
from onnxplain.graph.load.readable_names import readable
from onnxplain.graph.load.wellformed import check_interface, check_nodes, check_sources

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
        A model of the caller's own, weights included: what happens to the files afterwards, or to the
        ``ModelProto``, changes nothing.  ``meta`` names the files (:data:`FILES_KEY`).

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
        _check(model, "the given model")
        read_external(model, None)
        return model
    if isinstance(source, onnx.ModelProto):
        own = onnx.ModelProto()
        own.CopyFrom(source)
        return _from_proto(own, None, "the given ModelProto")
    if isinstance(source, bytes):
        return _from_proto(_parse(source, "the given bytes"), None, "the given bytes")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        check_source(path, ".onnx file", ModelNotFoundError, MODEL_BYTES)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelNotFoundError(
                f"'{path}' cannot be read ({error.strerror}); check its permissions"
            ) from error
        model = _from_proto(_parse(content, f"'{path}'"), folders_of(path), f"'{path}'")
        model.meta[FILES_KEY] = (str(path), *model.meta.get(FILES_KEY, ()))
        return model
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


def _from_proto(proto: onnx.ModelProto, folders: Sequence[Path] | None, what: str) -> ir.Model:
    proto = readable(proto)
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
    _check_tensors(proto, folders, what)
    try:
        model = ir.from_proto(open_maps(proto))
    except Exception as error:  # onnx_ir raises many kinds for malformed protobufs
        raise InvalidModelError(f"{what} is malformed: {error}; export it again") from error
    if folders is not None:
        read_external(model, folders)
    _check(model, what)
    return model


def _check(model: ir.Model, what: str) -> None:
    check_interface(model.graph, what)
    check_nodes(model, what)
    check_sources(model.graph, what)


def _tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for a in node.attribute:
            if a.HasField("t"):
                yield a.t
            yield from a.tensors
            for sub in (*([a.g] if a.HasField("g") else []), *a.graphs):
                yield from sub.initializer
                yield from _tensors(sub.node)


def _check_tensors(proto: onnx.ModelProto, folders: Sequence[Path] | None, what: str) -> None:
    nodes = (n for part in (proto.graph, *proto.functions) for n in part.node)
    for tensor in (*proto.graph.initializer, *_tensors(nodes)):
        if any(d < 0 for d in tensor.dims):
            raise InvalidModelError(
                f"weight '{tensor.name}' of {what} has the shape {tuple(tensor.dims)}; export it again"
            )
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            check_external(tensor, folders, what)
        elif tensor.HasField("raw_data") and len(tensor.raw_data) != byte_length(tensor):
            raise InvalidModelError(
                f"weight '{tensor.name}' of {what} holds {len(tensor.raw_data)} bytes, but its shape "
                f"{tuple(tensor.dims)} needs {byte_length(tensor)}; export it again"
            )
