"""Connections that must say what they want."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["prompt_protocol"]


def prompt_protocol(seconds: float) -> type[Any]:
    """Return uvicorn's HTTP protocol, that hangs up on who does not end the head of a request in time.

    Uvicorn itself waits for ever for a first request, and for the rest of one that has begun.

    Parameters
    ----------
    seconds
        From the connection, or from the first byte of a later request, to the end of its headers.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Prompt(HttpToolsProtocol):  # type: ignore[misc]  # it has no types
        _alarm: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_headers_complete(self) -> None:
            self._rest()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._rest()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._rest()
            self._alarm = self.loop.call_later(seconds, self._hang_up)

        def _rest(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

        def _hang_up(self) -> None:
            if self.transport is not None and not self.transport.is_closing():
                self.transport.close()

    return Prompt
