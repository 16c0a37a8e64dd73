"""A model repository on the disk: whole, or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxplain.errors import ExternalDataError, InvalidModelError, OptionError, OutputError
from onnxplain.files import replacing
from onnxplain.graph.load import load
from onnxplain.graph.load.external import FILES_KEY
from onnxplain.options import Count, check_option
from onnxplain.serve.asked import Tensor
from onnxplain.serve.names import check_name
from onnxplain.serve.repository.joining import why_apart
from onnxplain.serve.repository.service import check_uri, service, service_name
from onnxplain.serve.repository.triton import config

__all__ = ["Repository", "write_repository"]


@dataclass(frozen=True)
class Repository:
    """What was written.

    Attributes
    ----------
    folder
        Of the model: ``config.pbtxt``, and ``1/model.onnx``.
    max_batch
        Samples that Triton may join; 0: none.
    apart
        Why it may not; None where it may.
    service
        The YAML of the service; None where no URI was given.
    """

    folder: Path
    max_batch: int
    apart: str | None
    service: Path | None


def write_repository(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    max_batch: int = 16,
    uri: str | None = None,
    namespace: str | None = None,
) -> Repository:
    """Write a file into a model repository as Triton reads it.

    Parameters
    ----------
    model
        The .onnx file, such as :func:`onnxplain.export` writes.
    folder
        The repository; it is made if it is not there.
    name
        Of the model in it (default: the file's).
    max_batch
        Samples of several requests that Triton may join where that is proven; 1 to join none.
    uri
        Where a cluster will find the repository; then ``<name>.yaml``, an InferenceService of KServe, is
        written beside the model's folder.
    namespace
        Of that service.

    Returns
    -------
    Repository

    Raises
    ------
    OutputError
        If the repository has a model of that name, or cannot be written.
    OptionError
        If a name or the URI is none.
    InvalidModelError
        If the file is no model, or Triton cannot carry the type of an input or output.
    """
    source, place = Path(model), Path(folder)
    name = check_name(source.stem if name is None else name)
    max_batch = check_option("max_batch", max_batch, Count)
    if uri is not None:
        check_uri(uri)
        service_name(name)
    if namespace is not None:
        if uri is None:
            raise OptionError("a namespace is for a service; say where the cluster finds the repository")
        service_name(namespace)
    target = place / name
    if target.exists():
        raise OutputError(f"'{target}' is there already; give another name, or move it away")
    files = load(source).meta[FILES_KEY]
    inputs, outputs = _interface(source)
    apart = "" if max_batch == 1 else why_apart(source, inputs, outputs)
    size = max_batch if apart is None else 0
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(place, error) from error
    _write(target, source, files, config(name, inputs, outputs, size))
    written = None
    if uri is not None:
        written = place / f"{name}.yaml"
        with replacing(written) as file:
            file.write(service(name, uri, namespace).encode())
    return Repository(target, size, apart or None, written)


def _write(target: Path, source: Path, files: tuple[str, ...], text: str) -> None:
    """Write a model's folder beside its place, and move it there."""
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        version = beside / "1"
        version.mkdir(parents=True)
        (beside / "config.pbtxt").write_text(text, encoding="utf-8")
        for file in dict.fromkeys(files):
            inside = Path("model.onnx") if Path(file) == source else _relative(Path(file), source)
            (version / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, version / inside)
        beside.rename(target)
    except OSError as error:
        raise _failed(target, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _relative(file: Path, source: Path) -> Path:
    """Return where weights lie beside the model.

    Raises
    ------
    ExternalDataError
        If they lie elsewhere.
    """
    try:
        found = file.absolute().relative_to(source.parent.absolute())
    except ValueError:
        raise ExternalDataError(f"weights of '{source}' lie outside its folder: '{file}'") from None
    if found == Path("model.onnx"):
        raise ExternalDataError(f"weights of '{source}' lie in '{file}', which Triton takes for a model")
    return found


def _interface(source: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return what a file itself states of its inputs and outputs."""
    graph = onnx.load(str(source), load_external_data=False).graph
    held = {w.name for w in graph.initializer}
    inputs = tuple(_tensor(v, "input") for v in graph.input if v.name not in held)
    return inputs, tuple(_tensor(v, "output") for v in graph.output)


def _tensor(value: onnx.ValueInfoProto, what: str) -> Tensor:
    held = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not held.HasField("shape"):
        raise InvalidModelError(
            f"{what} '{value.name}' is no tensor of a stated number of axes, as Triton needs it; state its "
            "shape in the model"
        )
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(held.elem_type)
    except KeyError:
        dtype = None
    dims = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in held.shape.dim)
    return Tensor.of(value.name, dtype, dims, what)


def _failed(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write '{path}': {error.strerror or error}; choose another place")
