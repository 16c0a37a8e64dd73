"""JSON of requests and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxplain.options import nearest
from onnxplain.serve.refusals import RefusedError

__all__ = ["dumps", "loads", "record"]


def loads(body: bytes) -> Any:
    """Read JSON; NaN and infinite numbers are none.

    Raises
    ------
    RefusedError
        If it is malformed.
    """
    import orjson

    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the body is no JSON: {error}") from None


def dumps(content: Any) -> bytes:
    """Write JSON; arrays as nested lists."""
    import orjson

    return bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def record(given: Any, known: Sequence[str], what: str) -> dict[str, Any]:
    """Return an object of JSON that has known fields alone, so that none is passed over that was meant.

    Raises
    ------
    RefusedError
        If it is no object, or has another field.
    """
    if not isinstance(given, dict):
        raise RefusedError(400, f"{what} must be an object with {', '.join(known) or 'no fields'}")
    for name in given:
        if name not in known:
            takes = (", ".join(known) or "none") + nearest(name, known)
            raise RefusedError(400, f"{what}: there is no field '{name}', but {takes}")
    return given
