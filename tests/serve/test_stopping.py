"""A server that is stopped or killed: what it acknowledged was whole, and the rest is known to be lost."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from http_client import Client

import onnxplain as ox

pytest.importorskip("kserve")

LOST = (OSError, http.client.HTTPException)


def start(path: str, *options: str) -> tuple[subprocess.Popen[str], Client]:
    command = [sys.executable, "-m", "onnxplain.commands.cli", "serve", path, *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving "), line
    return process, Client(line.split()[1])


def bombard(client: Client, x: np.ndarray, strike: Any) -> list[tuple[int, Any, int]]:
    """Ask from many threads, strike after some answers, and go on until nobody is there; return what came."""
    found: list[tuple[int, Any, int]] = []
    enough = threading.Event()

    def ask(k: int) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                status, content, _ = client.ask(
                    "/v1/models/small:predict", {"instances": x[k : k + 1].tolist()}
                )
            except LOST:
                return
            found.append((status, content, k))
            if len(found) > 24:
                enough.set()
        raise TimeoutError

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, k) for k in range(8)]
        assert enough.wait(60)
        strike()
        for each in asked:
            each.result()
    return found


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_is_whole_and_right(path: str, models: Any, sent: signal.Signals) -> None:
    x = models.random(8, 5)
    options = ("-m", "smooth_grad:n_samples=200000")
    process, client = start(path, "--port", "0", *options)
    long = {"instances": x[:1].tolist()}
    try:
        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(client.ask, "/v1/models/small:explain", long)

            def strike() -> None:
                while b'waiting{model_name="small-explain"} 1.0' not in client.ask("/metrics")[1]:
                    assert not begun.done()
                process.send_signal(sent)

            found = bombard(client, x, strike)
            error = begun.exception(30)
            code = process.wait(20)
    finally:
        process.kill()
        output, _ = process.communicate()
    wanted = ox.Explainer(path).predict(x)["y"]
    for status, content, k in found:
        assert status == 200
        np.testing.assert_allclose(content["predictions"], wanted[k : k + 1], rtol=1e-5, atol=1e-6)
    if sent == signal.SIGTERM:  # what was begun is answered first
        assert (code, error, begun.result()[0]) == (0, None, 200)
        assert output.splitlines()[-1].startswith("stopped")
        return
    assert code == -signal.SIGKILL
    assert isinstance(error, LOST)
    # it holds nothing: another one at the same place goes on
    process, client = start(path, "--port", str(client.port), *options)
    try:
        status, content, _ = client.ask("/v1/models/small:explain", long)
        assert status == 200
        assert len(content["explanations"]) == 1
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.communicate()
