"""What stands in front of the server: limits of size, time and memory, before anything is read into it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onnxplain.serve.refusals import RefusedError
from onnxplain.serve.settings import Settings

__all__ = ["Guard"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]

#: Bodies of the largest size that are held at once.
_BODIES = 16


class Guard:
    """An ASGI application in front of another: reads bodies whole, within limits, and refuses the rest.

    Parameters
    ----------
    app
        The application behind it.
    settings
        Limits.
    """

    def __init__(self, app: _App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._held = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        held = bytearray()
        try:
            body = await self._body(scope, receive, held)
            if body is not None:
                await self._app(scope, _once(body, receive), send)
        except RefusedError as refusal:
            await _refuse(refusal, send)
        finally:
            self._held -= len(held)

    async def _body(
        self, scope: MutableMapping[str, Any], receive: _Receive, held: bytearray
    ) -> bytes | None:
        """Read a body; None where the client has gone.

        Raises
        ------
        RefusedError
            If it is too large, comes too slowly, or is packed.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        packed = headers.get("content-encoding", "identity")
        if packed.lower() != "identity":
            raise RefusedError(415, f"content-encoding {packed!r:.40} is not read; send the body as it is")
        said = headers.get("content-length", "")
        end = asyncio.get_running_loop().time() + self._settings.read_timeout
        if said.isdigit() and int(said) > self._settings.max_body:
            if "expect" not in headers:
                await self._drain(receive, end)
            raise self._too_large()
        more = True
        while more:
            message = await self._next(receive, end)
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            if len(held) + len(part) > self._settings.max_body:
                await self._drain(receive, end)
                raise self._too_large()
            if self._held + len(part) > _BODIES * self._settings.max_body:
                raise RefusedError(503, "too many large requests at once; try again later")
            held += part
            self._held += len(part)
            more = message.get("more_body", False)
        return bytes(held)

    async def _next(self, receive: _Receive, end: float) -> _Message:
        left = end - asyncio.get_running_loop().time()
        try:
            return await asyncio.wait_for(receive(), max(left, 0))
        except (TimeoutError, asyncio.TimeoutError):
            seconds = self._settings.read_timeout
            raise RefusedError(408, f"the request did not arrive within {seconds:g} seconds") from None

    async def _drain(self, receive: _Receive, end: float) -> None:
        """Let a client that sends first and listens then come to the end; nothing of it is kept."""
        try:
            while True:
                message = await self._next(receive, end)
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
        except RefusedError:
            return

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413, f"the body is larger than {self._settings.max_body} bytes; send fewer samples"
        )


def _once(body: bytes, receive: _Receive) -> _Receive:
    """Return what hands out a body, and then what else comes (that the client has gone)."""
    parts = [body]

    async def again() -> _Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await receive()

    return again


async def _refuse(refusal: RefusedError, send: _Send) -> None:
    content = json.dumps({"error": refusal.message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # what is left of the body is nobody's
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
