"""The Open Inference Protocol, V2, with its binary tensor data: requests read, answers written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxplain._types import Arrays
from onnxplain.serve.asked import Answer, Asked, Served, Tensor
from onnxplain.serve.datatypes import datatype
from onnxplain.serve.refusals import RefusedError
from onnxplain.serve.targets import target_in, target_of
from onnxplain.serve.tensors import from_bytes, from_data, shape_of, to_bytes, to_data
from onnxplain.serve.text import dumps, loads, record

__all__ = ["HEADER", "Wanted", "read", "write"]

#: Says how long the JSON is in front of binary data.
HEADER = "inference-header-content-length"

_BINARY, _ALL_BINARY, _SIZE = "binary_data", "binary_data_output", "binary_data_size"


@dataclass(frozen=True)
class Wanted:
    """How a client wants its answer.

    Attributes
    ----------
    id
        What it calls its request.
    outputs
        Names of outputs, each with whether it is to be binary; empty for all.
    binary
        Whether outputs are binary where nothing else is said.
    """

    id: str | None = None
    outputs: Mapping[str, bool] = field(default_factory=dict)
    binary: bool = False


def read(body: bytes, header: str | None, served: Served) -> tuple[Asked, Wanted]:
    """Read a request.

    Parameters
    ----------
    body
        JSON, and raw bytes behind it.
    header
        The header :data:`HEADER`; None where all is JSON.
    served
        What it is for.

    Raises
    ------
    RefusedError
        If it is malformed.
    """
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdigit()) or int(header) > len(body):
            raise RefusedError(400, f"{HEADER} is {header!r:.40}, and the body has {len(body)} bytes")
        length = int(header)
    text = loads(body[:length])
    fields = record(text, ("id", "model_name", "parameters", "inputs", "outputs"), "the request")
    if fields.get("model_name", served.name) != served.name:  # clients of kserve write it again
        raise RefusedError(400, f"the request names another model than its address, '{served.name}'")
    given = record(fields.get("parameters") or {}, (_ALL_BINARY, *_own(served)), "parameters")
    wanted = Wanted(
        _text(fields.get("id"), "id"),
        _outputs(fields.get("outputs")),
        _flag(given.get(_ALL_BINARY), _ALL_BINARY),
    )
    arrays = _inputs(fields.get("inputs"), memoryview(body)[length:], served)
    target = target_in(given.get("target"), "parameter 'target'")
    named = next((t.name for t in served.inputs if t.optional), None)
    if named in arrays:
        if target is not None:
            raise RefusedError(400, f"give the target once: as input '{named}', or as a parameter")
        target = target_of(arrays.pop(named), f"input '{named}'")
    return Asked(arrays, target, _text(given.get("method"), "parameter 'method'")), wanted


def write(answer: Answer, wanted: Wanted, served: Served) -> tuple[bytes, int | None]:
    """Write an answer.

    Returns
    -------
    body : bytes
        JSON, and raw bytes behind it.
    length : int or None
        Of the JSON; None where nothing is behind it.

    Raises
    ------
    RefusedError
        If there is no such output, or JSON cannot tell one of them.
    """
    unknown = [name for name in wanted.outputs if name not in answer.outputs]
    if unknown:
        raise RefusedError(400, f"there is no output '{unknown[0]}'; there are {', '.join(answer.outputs)}")
    names = dict(wanted.outputs) or dict.fromkeys(answer.outputs, wanted.binary)
    told: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, binary in names.items():
        array = answer.outputs[name]
        one: dict[str, Any] = {
            "name": name,
            "datatype": datatype(array.dtype, f"output '{name}'"),
            "shape": list(array.shape),
        }
        if binary:
            raw.append(to_bytes(array))
            one["parameters"] = {_SIZE: len(raw[-1])}
        else:
            one["data"] = to_data(array, name)
        told.append(one)
    made: dict[str, Any] = {"model_name": served.name, "outputs": told}
    if wanted.id is not None:
        made["id"] = wanted.id
    if answer.told:
        made["parameters"] = dict(answer.told)
    text = dumps(made)
    return b"".join([text, *raw]), len(text) if raw else None


def _own(served: Served) -> tuple[str, ...]:
    return ("target", "method") if served.explains else ()


def _inputs(given: Any, raw: memoryview, served: Served) -> Arrays:
    known = {t.name: t for t in served.inputs}
    if not isinstance(given, list) or not given:
        raise RefusedError(400, f"inputs must be a list of tensors: {', '.join(known)}")
    found: Arrays = {}
    place = 0
    for one in given:
        fields = record(one, ("name", "shape", "datatype", "parameters", "data"), "an input")
        name = fields.get("name")
        tensor = known.get(name) if isinstance(name, str) else None
        if tensor is None:
            raise RefusedError(400, f"there is no input {name!r:.60}; there are {', '.join(known)}")
        what = f"input '{name}'"
        if tensor.name in found:
            raise RefusedError(400, f"{what} is given twice")
        _same_type(fields.get("datatype"), tensor, what)
        shape = shape_of(fields.get("shape"), what)
        extra = record(fields.get("parameters") or {}, (_SIZE,), f"parameters of {what}")
        size = extra.get(_SIZE)
        if (size is None) == ("data" not in fields):
            raise RefusedError(400, f"{what} needs either data, or {_SIZE} among its parameters")
        if size is None:
            found[tensor.name] = from_data(fields["data"], shape, tensor, what)
            continue
        if type(size) is not int or not 0 <= size <= len(raw) - place:
            raise RefusedError(
                400, f"{what}: {_SIZE} is {size!r:.40}, and {len(raw) - place} bytes are left behind the JSON"
            )
        found[tensor.name] = from_bytes(raw[place : place + size], shape, tensor, what)
        place += size
    if place != len(raw):
        raise RefusedError(400, f"behind the JSON lie {len(raw)} bytes, and the inputs take {place}")
    missing = [t.name for t in served.inputs if not t.optional and t.name not in found]
    if missing:
        raise RefusedError(400, f"input '{missing[0]}' is missing")
    return found


def _same_type(given: Any, tensor: Tensor, what: str) -> None:
    if given != tensor.datatype:
        raise RefusedError(400, f"{what} has datatype {tensor.datatype}, not {given!r:.40}")


def _outputs(given: Any) -> dict[str, bool]:
    if given is None:
        return {}
    if not isinstance(given, list):
        raise RefusedError(400, "outputs must be a list")
    found: dict[str, bool] = {}
    for one in given:
        fields = record(one, ("name", "parameters"), "an output")
        name = _text(fields.get("name"), "an output's name")
        if name is None or name in found:
            raise RefusedError(400, "each of the outputs needs a name of its own")
        extra = record(fields.get("parameters") or {}, (_BINARY,), f"parameters of output '{name}'")
        found[name] = _flag(extra.get(_BINARY), _BINARY)
    return found


def _text(given: Any, what: str) -> str | None:
    if given is not None and not isinstance(given, str):
        raise RefusedError(400, f"{what} must be a text, not {given!r:.40}")
    return given


def _flag(given: Any, what: str) -> bool:
    if given is not None and not isinstance(given, bool):
        raise RefusedError(400, f"{what} must be true or false, not {given!r:.40}")
    return bool(given)
