"""Writing a model: one file, or one with its weights beside it where protobuf ends; whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from onnxplain.errors import InvalidModelError
from onnxplain.exported_file.ir_version import needed_ir
from onnxplain.exported_file.scopes import graphs_of
from onnxplain.files import MODEL_BYTES, check_destination, replacing
from onnxplain.graph.normalize import check

__all__ = ["Written", "weights_size", "write_file"]

#: Bytes of weights that one file may hold; the rest of 2 GiB is for the graph.
_WHOLE = MODEL_BYTES - (1 << 26)
#: Weights from here on lie beside the model, where any do; each starts at a page.
_LARGE, _PAGE = 1024, 4096


@dataclass(frozen=True)
class Written:
    """A model on disk.

    Attributes
    ----------
    proto
        What the ``.onnx`` file holds.
    size
        Bytes, of the file and of its weights beside it.
    data
        The file of weights; None where the model holds them.
    """

    proto: onnx.ModelProto
    size: int
    data: Path | None


def weights_size(model: ir.Model) -> int:
    """Return the bytes of a model's weights, wherever they lie."""
    tensors = [v.const_value for g in graphs_of(model) for v in g.initializers.values()]
    held = [a.value for n in model.graph.all_nodes() for a in n.attributes.values()]
    tensors += [t for t in held if isinstance(t, ir.TensorProtocol)]
    return sum(t.nbytes for t in tensors if t is not None and t.dtype != ir.DataType.STRING)


def write_file(model: ir.Model, path: Path) -> Written:
    """Write a model.

    Parameters
    ----------
    model
        The model, with its weights in memory.
    path
        Of the ``.onnx`` file.  Its weights go to ``<path>.data`` where they are too large for one file, or to
        ``<path>.1.data`` if there is such a file already: what stands at ``path`` keeps its weights until the
        new model takes its place in one step.  Weights that nothing refers to any more are removed.

    Raises
    ------
    InvalidModelError
        If the model is broken.
    OutputError
        If a file cannot be written.
    """
    place = check_destination(path)
    model.ir_version = needed_ir(model)
    check(model)
    before = _own_data(place)
    held = [v for g in graphs_of(model) for v in g.initializers.values() if v.const_value is not None]
    if sum(v.const_value.nbytes for v in held if v.const_value is not None) <= _WHOLE:
        proto = _proto(model)
        try:
            onnx.checker.check_model(proto)
            content = proto.SerializeToString()
        except (ValueError, onnx.checker.ValidationError) as error:
            raise InvalidModelError(f"the explained model cannot be written: {error}") from error
        with replacing(path) as file:
            file.write(content)
        _forget(before)
        return Written(proto, len(content), None)
    names = (f"{place.name}{'' if k == 0 else f'.{k}'}.data" for k in count())
    data = next(p for p in map(place.with_name, names) if not os.path.lexists(p))
    with replacing(data) as file:
        external = _write_weights(held, data.name, file)
    try:
        with _swapped(external):
            proto = _proto(model)
        with replacing(path) as file:
            file.write(proto.SerializeToString())
    except BaseException:
        with contextlib.suppress(OSError):
            data.unlink()
        raise
    _forget(before)
    return Written(proto, proto.ByteSize() + data.stat().st_size, data)


def _proto(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    assert isinstance(proto, onnx.ModelProto)
    return proto


def _write_weights(
    held: Sequence[ir.Value], name: str, file: BinaryIO
) -> list[tuple[ir.Value, ir.ExternalTensor]]:
    """Write large weights, and return what takes their place."""
    made: list[tuple[ir.Value, ir.ExternalTensor]] = []
    for value in held:
        tensor = value.const_value
        assert tensor is not None
        if tensor.nbytes < _LARGE or tensor.dtype == ir.DataType.STRING:
            continue
        file.write(b"\0" * (-file.tell() % _PAGE))
        start = file.tell()
        file.write(tensor.tobytes())
        made.append(
            (
                value,
                ir.ExternalTensor(
                    name, start, tensor.nbytes, tensor.dtype,
                    shape=ir.Shape([int(d) for d in tensor.shape.numpy()]), name=str(value.name),
                ),
            )
        )  # fmt: skip
    return made


@contextlib.contextmanager
def _swapped(external: Sequence[tuple[ir.Value, ir.ExternalTensor]]) -> Iterator[None]:
    """Within the block, weights are where they were written."""
    own = [(value, value.const_value) for value, _ in external]
    for value, outside in external:
        value.const_value = outside
    try:
        yield
    finally:
        for value, tensor in own:
            value.const_value = tensor


def _own_data(place: Path) -> list[Path]:
    """Return the files of weights that belong to the exported model that stands at a path."""
    if not place.is_file() or place.stat().st_size > MODEL_BYTES:
        return []
    try:
        proto = onnx.load(place, load_external_data=False)
    except Exception:  # whatever it is, it is no model that was written here
        return []
    if proto.producer_name != "onnxplain":
        return []
    names = {
        entry.value
        for graph in _proto_graphs(proto.graph)
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    ours = re.compile(re.escape(place.name) + r"(\.\d+)?\.data")
    return [place.with_name(name) for name in names if ours.fullmatch(name)]


def _proto_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for a in node.attribute:
            if a.HasField("g"):
                yield from _proto_graphs(a.g)


def _forget(files: Sequence[Path]) -> None:
    """Remove weights that nothing refers to any more."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
