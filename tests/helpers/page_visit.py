"""Visits a written site in a headless Chromium, by puppeteer, from Python's own web server."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chromium import browser_here

__all__ = ["Visit", "serving", "visit"]

SCRIPT = Path(__file__).parents[1] / "browser" / "visit.mjs"


@dataclass(frozen=True)
class Visit:
    """What a visit found.

    Attributes
    ----------
    answers
        One for each step.
    requests
        Addresses that were asked for.
    complaints
        What the browser wrote to its console as an error, or raised.
    """

    answers: list[Any]
    requests: list[str]
    complaints: list[str]


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, hits: list[str], headers: Mapping[str, str], *rest: Any, **options: Any) -> None:
        self.hits, self.added = hits, headers
        super().__init__(*rest, **options)

    def end_headers(self) -> None:
        for name, value in self.added.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        self.hits.append(self.path)


@contextmanager
def serving(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as ``python -m http.server`` does: where, and a list that what is asked for goes to."""
    hits: list[str] = []
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, hits, headers or {}, directory=str(folder))
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", hits
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def visit(
    modules: Path,
    folder: Path,
    steps: Sequence[dict[str, Any]],
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Visit:
    """Open a site, and take steps; ``visit.mjs`` says which there are.

    Parameters
    ----------
    modules
        ``node_modules`` with puppeteer-core and axe-core.
    folder
        The site.
    steps
        What to do.
    headers
        What the server adds to its answers.
    **options
        ``width``, ``height``, ``scheme`` ("light" or "dark"), ``path`` behind the address.
    """
    with serving(folder, headers) as (address, _):
        job = {
            "modules": str(modules), "browser": browser_here(), "address": address, "steps": list(steps),
            **options,
        }  # fmt: skip
        done = subprocess.run(
            ["node", str(SCRIPT)], input=json.dumps(job), capture_output=True, text=True, timeout=240
        )
    assert done.returncode == 0, done.stderr
    return Visit(**json.loads(done.stdout))
