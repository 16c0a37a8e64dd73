"""What onnxruntime says when a run fails, in one line that names the node and the inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnxruntime as ort

from onnxplain.errors import ModelRunError
from onnxplain.text import visible_line

__all__ = ["run_failed"]

_NODE = re.compile(r"while running (\S+) node\. Name:'(.*?)' Status Message: (.*)", re.DOTALL)
_PREFIX = re.compile(r"^Error in execution: *")
#: Where in onnxruntime's source it was noticed: a path with a line, and maybe the function's signature.
_PLACE = re.compile(r"^\S+\.(?:h|hpp|cc|cpp):\d+ (?:[^()]*\([^()]*\)(?: const)? |\w+ )?")
#: What should have held in that source.
_CONDITION = re.compile(r"^[^.]* was false\. (?=\S)")
_MEMORY = re.compile(r"failed to allocate memory|bad.?alloc|out of memory", re.IGNORECASE)


def run_failed(error: Exception, fed: Mapping[str, object], taken: Sequence[ort.NodeArg]) -> ModelRunError:
    """Return the error to raise for one that onnxruntime raised.

    Parameters
    ----------
    error
        What onnxruntime raised.
    fed
        What the session was given, by input.
    taken
        What the session says of its inputs.
    """
    text = _PREFIX.sub("", str(error))
    found = _NODE.search(text)
    op, name, reason = found.groups() if found else ("", "", text)
    reason = visible_line(_CONDITION.sub("", _PLACE.sub("", reason)).strip()).rstrip(".")
    where = f"{op} node '{visible_line(name.removesuffix('_nchwc'))}'" if op else "the model"
    given = ", ".join(f"'{n.name}' {_spelled(fed[n.name])}" for n in taken if n.name in fed)
    if _MEMORY.search(reason):
        way_out = "give fewer samples, or a smaller memory_budget or internal_batch_size"
    else:
        way_out = _disagreement(fed, taken) or "give inputs whose shapes and numbers fit the model"
    return ModelRunError(f"{where} cannot run on these inputs ({given}): {reason}; {way_out}")


def _spelled(value: object) -> str:
    shape = value.shape() if isinstance(value, ort.OrtValue) else getattr(value, "shape", ())
    return f"{tuple(shape)}"


def _disagreement(fed: Mapping[str, object], taken: Sequence[ort.NodeArg]) -> str | None:
    """Say which axis of one name has several lengths."""
    lengths: dict[str, dict[int, str]] = {}
    for arg in taken:
        shape = getattr(fed.get(arg.name), "shape", None)
        if isinstance(shape, tuple) and arg.shape is not None and len(shape) == len(arg.shape):
            for symbol, length in zip(arg.shape, shape, strict=True):
                if isinstance(symbol, str):
                    lengths.setdefault(symbol, {}).setdefault(length, arg.name)
    for symbol, seen in lengths.items():
        if len(seen) > 1:
            told = " and ".join(f"{length} in '{name}'" for length, name in seen.items())
            return f"the axis '{visible_line(symbol)}' is {told}: give both the same length"
    return None
