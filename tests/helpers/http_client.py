"""A small client of HTTP, and a server in a thread, for the tests of the server."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class Client:
    """Asks one server; each request on a connection of its own."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self.host, self.port = found.hostname, found.port

    def ask(
        self, path: str, content: Any = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Return status, content (read from JSON where it says that it is) and headers."""
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
            response = connection.getresponse()
            raw = response.read()
            plain = response.headers.get_content_type() == "application/json"
            return response.status, json.loads(raw) if plain else raw, response.headers
        finally:
            connection.close()


def v2(inputs: dict[str, Any], datatype: str = "FP32", **fields: Any) -> dict[str, Any]:
    """Return a V2 request of arrays."""
    tensors = [
        {"name": k, "shape": list(v.shape), "datatype": datatype, "data": v.ravel().tolist()}
        for k, v in inputs.items()
    ]
    return {"inputs": tensors, **fields}


@contextlib.contextmanager
def running(served: Any, settings: Any) -> Iterator[Client]:
    """Run a server in a thread."""
    from onnxplain.serve import Server

    server = Server(served, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Client(server.url)
    finally:
        server.stop()
        thread.join(30)
    assert not thread.is_alive()
