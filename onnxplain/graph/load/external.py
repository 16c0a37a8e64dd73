"""Weights in files beside a model: found, checked, and read once.

An explainer answers for the model that it read.  Weights are therefore taken into memory while the model is
read: whoever overwrites, cuts or deletes the file afterwards changes nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnxplain.errors import ExternalDataError
from onnxplain.files import check_source

__all__ = ["FILES_KEY", "byte_length", "check_external", "folders_of", "read_external"]

#: Key of a model's ``meta``: the files that it was read from.
FILES_KEY = "onnxplain.files"


def byte_length(tensor: onnx.TensorProto) -> int | None:
    """Return how many bytes a tensor's shape and dtype need; None for text and for what is no dtype."""
    try:
        bits = int(ir.DataType(tensor.data_type).bitwidth)
    except (TypeError, ValueError):
        return None
    return -(-math.prod(map(int, tensor.dims)) * bits // 8)


def folders_of(path: Path) -> tuple[Path, ...]:
    """Return where a model's weights may lie: beside it, and, for a symbolic link, beside what it leads to.

    Caches of model hubs keep links to a model and to its weights in one folder, and both files in another.
    """
    return tuple(dict.fromkeys((path.absolute().parent, path.resolve().parent)))


def check_external(tensor: onnx.TensorProto, folders: Sequence[Path] | None, what: str) -> None:
    """Make sure that a tensor's file is there, where it may be, and long enough.

    Parameters
    ----------
    tensor
        A tensor that says where its content lies.
    folders
        Where it may lie; None if the model has no folder.
    what
        The model, as messages name it.

    Raises
    ------
    ExternalDataError
        If the content cannot be had, or lies elsewhere.
    """
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    weight = f"weight '{tensor.name}' of {what}"
    if folders is None:
        raise ExternalDataError(
            f"{weight} lies in the file '{location}', which cannot be found from bytes; load the model by "
            "its path, or read the data in with onnx.load"
        )
    path = _place(location, folders, weight)
    if not path.exists():
        raise ExternalDataError(
            f"{weight} lies in '{location}', which is missing; put that file beside the model"
        )
    check_source(path, f"file of {weight}", ExternalDataError)
    needed = byte_length(tensor)
    if needed is None:
        raise ExternalDataError(f"{weight} has no dtype that a file of weights can hold; export it again")
    place = {"offset": 0, "length": needed}
    for key in place:
        text = entries.get(key, "")
        if text and not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise ExternalDataError(f"{weight} has the {key} '{text}' in '{location}'; export it again")
        place[key] = int(text or place[key])
    if place["length"] != needed:
        raise ExternalDataError(
            f"{weight} has the length {place['length']} in '{location}', but its shape "
            f"{tuple(tensor.dims)} needs {needed} bytes; export it again"
        )
    if path.stat().st_size < place["offset"] + place["length"]:
        raise ExternalDataError(f"'{location}' ends before {weight} does; copy or download it again")


def read_external(model: ir.Model, folders: Sequence[Path] | None) -> None:
    """Take all of a model's external tensors into memory.

    Parameters
    ----------
    model
        The model; its tensors are replaced.
    folders
        As for :func:`check_external`; None if each tensor knows its own.

    Raises
    ------
    ExternalDataError
        If a file is missing or too short, or changes while it is read.
    """
    stamps: dict[Path, tuple[int, ...]] = {}

    def read(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
        weight = f"weight '{tensor.name}'"
        path = Path(tensor.path) if folders is None else _place(str(tensor.location), folders, weight)
        if path not in stamps:
            check_source(path, f"file of {weight}", ExternalDataError)
            stamps[path] = _stamp(path)
        return _in_memory(tensor, path)

    for graph in _graphs(model):
        if isinstance(graph, ir.Graph):
            for value in graph.initializers.values():
                if isinstance(value.const_value, ir.ExternalTensor):
                    value.const_value = read(value.const_value)
        for node in graph:
            for name, a in list(node.attributes.items()):
                if a.type == ir.AttributeType.TENSOR and isinstance(a.value, ir.ExternalTensor):
                    node.attributes[name] = ir.AttrTensor(name, read(a.value))
                elif a.type == ir.AttributeType.TENSORS:
                    held = [read(t) if isinstance(t, ir.ExternalTensor) else t for t in a.as_tensors()]
                    node.attributes[name] = ir.AttrTensors(name, held)
    for path, stamp in stamps.items():
        if _stamp(path) != stamp:
            raise ExternalDataError(f"'{path}' changed while it was read; load the model again")
    if stamps:
        model.meta[FILES_KEY] = (*model.meta.get(FILES_KEY, ()), *map(str, stamps))


def _graphs(model: ir.Model) -> Iterator[ir.Graph | ir.Function]:
    yield model.graph
    yield from model.graph.subgraphs()
    for function in model.functions.values():
        yield function
        yield from function.subgraphs()


def _place(location: str, folders: Sequence[Path], weight: str) -> Path:
    """Find a weight file; neither its path nor a link may lead out of the folders."""
    inside = bool(location) and "\0" not in location and not Path(location).is_absolute()
    roots = [folder.resolve() for folder in folders]
    for folder in folders:
        path = (folder / location) if inside else folder
        flat = Path(os.path.normpath(path))
        resolved = path.resolve()
        if inside and flat.is_relative_to(folder) and any(resolved.is_relative_to(r) for r in roots):
            if resolved.exists() or folder == folders[-1]:
                return resolved
        else:
            break
    raise ExternalDataError(
        f"{weight} points to '{location}', outside the model's folder; this is refused: put the weight "
        "file beside the model and save it again"
    )


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        raise ExternalDataError(
            f"'{path}' cannot be read ({error.strerror}); load the model again"
        ) from error
    return found.st_size, found.st_mtime_ns, found.st_ino


def _in_memory(tensor: ir.ExternalTensor, path: Path) -> ir.TensorProtocol:
    content = np.empty(tensor.nbytes, np.uint8)
    try:
        with path.open("rb") as file:
            file.seek(tensor.offset or 0)
            count = file.readinto(content.data) if content.size else 0
    except OSError as error:
        raise ExternalDataError(
            f"'{path}', with weight '{tensor.name}', cannot be read ({error.strerror}); check its permissions"
        ) from error
    if count != content.size:
        raise ExternalDataError(
            f"'{path}' ends before weight '{tensor.name}' does; copy or download it again"
        )
    shape = [int(d) for d in tensor.shape.numpy()]
    if tensor.dtype.bitwidth < 8:  # several in a byte
        proto = onnx.TensorProto(data_type=int(tensor.dtype), dims=shape, name=tensor.name or "")
        proto.raw_data = content.tobytes()
        return ir.serde.deserialize_tensor(proto)
    array = content.view(tensor.dtype.numpy().newbyteorder("<")).reshape(shape)
    return ir.Tensor(array, dtype=tensor.dtype, shape=ir.Shape(shape), name=tensor.name)
