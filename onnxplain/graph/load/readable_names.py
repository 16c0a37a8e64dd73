"""Names that are no UTF-8, which onnxruntime runs and nothing else in Python reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

__all__ = ["readable"]


def readable(proto: onnx.ModelProto) -> onnx.ModelProto:
    r"""Write the bytes of names that are no UTF-8 (such as GBK) as ``\xc4\xe3``.

    Parameters
    ----------
    proto
        The model; left unchanged.

    Returns
    -------
    onnx.ModelProto
        The same object if all its text is UTF-8, else a changed copy.
    """
    if next(_odd(proto), None) is None:
        return proto
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for message, field, index, content in list(_odd(made)):
        text = content.decode("utf-8", "backslashreplace")
        if index is None:
            setattr(message, field, text)
        else:
            getattr(message, field)[index] = text
    return made


def _odd(message: Any) -> Iterator[tuple[Any, str, int | None, bytes]]:
    """Find text that Protocol Buffers hands out as bytes: message, field, place in a list, content."""
    texts, messages = _fields(message.DESCRIPTOR)
    for name, repeated in texts:
        held = getattr(message, name)
        if not repeated:
            if isinstance(held, bytes):
                yield message, name, None, held
        elif held:
            yield from ((message, name, k, one) for k, one in enumerate(held) if isinstance(one, bytes))
    for name, repeated in messages:
        if repeated:
            for one in getattr(message, name):
                yield from _odd(one)
        elif message.HasField(name):
            yield from _odd(getattr(message, name))


_KNOWN: dict[str, tuple[list[tuple[str, bool]], list[tuple[str, bool]]]] = {}


def _fields(descriptor: Any) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Return a message's fields of text, and of messages: name, and whether it is a list."""
    held = _KNOWN.get(descriptor.full_name)
    if held is None:
        kinds: list[list[tuple[str, bool]]] = [[], []]
        for field in descriptor.fields:
            repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == 3
            if field.type in (9, 11):  # string, message
                kinds[field.type == 11].append((field.name, bool(repeated)))
        held = _KNOWN[descriptor.full_name] = kinds[0], kinds[1]
    return held
