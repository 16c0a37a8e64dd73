"""Runs ONNX files in a headless Chromium, in onnxruntime-web's WebAssembly build, served from 127.0.0.1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from runtimes import plain

__all__ = ["browser_here", "page_says", "run_in_browser"]

PAGE = Path(__file__).parents[1] / "browser" / "page.html"
_TYPES = {
    ".html": "text/html",
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
}
_NAMES = ("chromium", "chromium-browser", "google-chrome")

_NO_GPU = ("--disable-gpu",)
_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")


def browser_here() -> str | None:
    """Return the path of a Chromium, None if there is none; ``ONNXPLAIN_CHROMIUM`` names one."""
    return os.environ.get("ONNXPLAIN_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


def run_in_browser(
    web: Path,
    jobs: Sequence[tuple[Path, Sequence[dict[str, np.ndarray]]]],
    runs: int = 1,
    timeout: float = 120,
    provider: str = "wasm",
) -> list[dict[str, Any]]:
    """Run models, each once (or ``runs`` times) for each of its feeds.

    Parameters
    ----------
    web
        The folder ``onnxruntime-web/dist``.
    jobs
        Models, and their feeds.
    runs
        How often; the fastest time counts.
    timeout
        Seconds for all of it.
    provider
        ``"wasm"``, or ``"webgpu"`` (on a processor, by SwiftShader).

    Returns
    -------
    list of dict
        ``results`` (outputs by name, for each feed), ``load_ms``, ``run_ms``; or ``error``.
    """
    served: dict[str, Path | bytes] = {"/": PAGE}
    served |= {f"/web/{f.name}": f for f in web.iterdir() if f.suffix in (".mjs", ".wasm")}
    listed = []
    for k, (model, feeds) in enumerate(jobs):
        served[f"/model{k}.onnx"] = model
        listed.append({"model": f"/model{k}.onnx", "runs": runs, "feeds": [plain(f) for f in feeds]})
    served["/jobs.json"] = json.dumps({"provider": provider, "jobs": listed}).encode()
    answers = _answers(served, timeout, _WEBGPU if provider == "webgpu" else _NO_GPU)
    for answer in answers:
        for one in answer.get("results", ()):
            for name, value in one.items():
                one[name] = np.array([np.nan if v is None else v for v in value["data"]]).reshape(
                    value["dims"]
                )
    return answers


def page_says(page: str, files: Mapping[str, Path], timeout: float = 120) -> str:
    """Open a page beside files (by their paths), and return the first text that it puts into its body."""
    script = """<script>
    new MutationObserver(() => {
      if (!document.body.querySelector("script"))
        fetch("/results", { method: "POST", body: JSON.stringify([document.body.textContent]) });
    }).observe(document.body, { childList: true });
    </script>"""
    (text,) = _answers({"/": f"{page}{script}".encode(), **files}, timeout)
    return str(text)


def _answers(served: dict[str, Path | bytes], timeout: float, flags: Sequence[str] = _NO_GPU) -> list[Any]:
    """Open ``/`` in the browser, and wait for what it sends back."""
    answers: list[Any] = []
    done = threading.Event()
    with (
        _serving(served, answers, done) as port,
        _chromium(f"http://127.0.0.1:{port}/", flags) as process,
    ):
        while not done.wait(0.2):
            timeout -= 0.2
            if timeout < 0 or process.poll() is not None:
                raise RuntimeError(f"the browser gave no answer (exit status {process.poll()})")
    return answers


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, served: Any, answers: list[Any], done: threading.Event, *rest: Any) -> None:
        self.served, self.answers, self.done = served, answers, done
        super().__init__(*rest)

    def do_GET(self) -> None:
        found = self.served.get(self.path)
        if found is None:
            self.send_error(404)
            return
        content = found if isinstance(found, bytes) else found.read_bytes()
        self.send_response(200)
        kind = "application/json" if isinstance(found, bytes) else _TYPES.get(found.suffix)
        kind = _TYPES[".html"] if self.path == "/" else kind
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.extend(json.loads(body))
        self.send_response(204)
        self.end_headers()
        self.done.set()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def _serving(served: Any, answers: list[Any], done: threading.Event) -> Any:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, served, answers, done))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _chromium(url: str, flags: Sequence[str]) -> Any:
    browser = browser_here()
    assert browser is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser, "--headless", "--no-sandbox", *flags, "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
            f"--user-data-dir={profile}", url,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
