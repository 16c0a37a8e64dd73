"""A server that listens until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain.errors import OptionError
from onnxplain.explainer import Explainer
from onnxplain.methods import Method
from onnxplain.serve.app import Application
from onnxplain.serve.asked import Served
from onnxplain.serve.connection import prompt_protocol
from onnxplain.serve.explaining import Explaining, Way
from onnxplain.serve.kserving import import_kserve
from onnxplain.serve.names import check_name
from onnxplain.serve.predicting import Predicting
from onnxplain.serve.settings import Settings
from onnxplain.serve.warming import warm_up

__all__ = ["Server", "served"]

#: Connections at once; more get 503.
_CONNECTIONS = 1000


def served(
    model: str | Path,
    methods: Sequence[str | Method | tuple[str, Mapping[str, Any]]] = ("integrated_gradients",),
    *,
    name: str | None = None,
    explainer: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Predicting, Explaining]:
    """Read a model, and make what is served of it: itself, and its companion ``<name>-explain``.

    Parameters
    ----------
    model
        Path of the .onnx file.
    methods
        Methods, their names, or pairs of a name and parameters (``baselines`` and ``feature_mask`` too); the
        first for requests that name none.
    name
        Under which it is served (default: the file's).
    explainer
        Options of :class:`~onnxplain.Explainer`: ``device``, ``memory_budget``, ``threads``.
    **options
        ``output``, ``wrt`` and ``through_softmax``, as calls of an explainer take them.

    Returns
    -------
    The model and its companion, both run once on zeros where their shapes say how many.

    Raises
    ------
    OnnxplainError
        If the model cannot be read, or a method cannot explain it.
    """
    name = check_name(Path(model).stem if name is None else name)
    ways = [Way.of(m) for m in methods]
    read = Explainer(model, **(explainer or {}))
    pair = Predicting(name, read), Explaining(f"{name}-explain", read, ways, **options)
    warm_up(pair[1], [way.label for way in ways])
    return pair


class Server:
    """Listens, and serves.

    Parameters
    ----------
    served
        What is served.
    settings
        Where it listens, and its limits.

    Attributes
    ----------
    url
        Where it is reached.

    Raises
    ------
    OptionalDependencyError
        If kserve is not installed.
    OptionError
        If the address is no address, or taken.
    """

    def __init__(self, served: Sequence[Served], settings: Settings | None = None) -> None:
        import_kserve()
        import uvicorn

        settings = Settings() if settings is None else settings
        self._socket = _listen(settings.host, settings.port)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._application = Application(served, settings)
        config = uvicorn.Config(
            self._application.asgi,
            http=prompt_protocol(settings.read_timeout),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=max(round(settings.grace), 1),
        )
        self._server = _stopping_server(uvicorn)(config)

    @property
    def open_to_others(self) -> bool:
        """Whether other machines may reach it."""
        return not ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback

    def run(self) -> None:
        """Serve until :meth:`stop`, or a signal to end; what was begun is answered first."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._application.close()
            self._socket.close()

    def stop(self) -> None:
        """Stop: take no new requests, and answer those that are there."""
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise OptionError(f"'{host}' is no address of this machine ({error}); give another --host") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as error:
        found.close()
        raise OptionError(
            f"cannot listen at {host}, port {port}: {error.strerror}; give another --host or --port"
        ) from None
    return found


def _stopping_server(uvicorn: Any) -> Callable[[Any], Any]:
    """Return uvicorn's server, that ends by itself when it is asked to, instead of dying by the signal."""

    class Stopping(uvicorn.Server):  # type: ignore[misc]  # it has no types
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

    return Stopping
