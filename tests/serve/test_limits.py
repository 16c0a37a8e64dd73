"""Limits of size, time and number: who oversteps them is told so, and others are served."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from http_client import Client, running, v2

pytest.importorskip("kserve")

from onnxplain.serve import Settings, served
from onnxplain.serve.asked import Answer, Asked, Tensor

X = np.zeros((1, 5), np.float32)
INFER = "/v2/models/small/infer"


def serves(client: Client) -> None:
    assert client.ask(INFER, v2({"x": X}))[0] == 200


def test_a_body_of_100_mb(client: Client) -> None:
    status, content, headers = client.ask(INFER, bytes(100 * 2**20))
    assert status == 413
    assert "larger than 1048576 bytes" in content["error"]
    assert headers["connection"] == "close"
    serves(client)


def test_a_large_body_in_chunks_of_unsaid_length(client: Client) -> None:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=30)
    connection.request("POST", INFER, iter([bytes(2**16)] * 32), encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, list(json.loads(response.read()))) == (413, ["error"])
    connection.close()
    serves(client)


def test_who_asks_first_is_refused_before_sending(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as raw:
        head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {10**9}\r\nExpect: 100-continue\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    serves(client)


def test_a_slow_body(client: Client) -> None:
    begin = time.monotonic()
    with socket.create_connection((client.host, client.port), timeout=10) as raw:
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode())
        for _ in range(3):
            raw.sendall(b" ")
            time.sleep(0.2)
        serves(client)
        assert raw.recv(100).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("sent", [b"", b"POST ", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_slow_head_is_hung_up_on(client: Client, sent: bytes) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as raw:
        raw.sendall(sent)
        serves(client)
        assert raw.recv(100) == b""
    serves(client)


def test_no_http(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"400" in raw.recv(100)
    serves(client)


def test_who_goes_away_while_sending(client: Client) -> None:
    for _ in range(20):
        with socket.create_connection((client.host, client.port), timeout=10) as raw:
            raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf".encode())
    serves(client)


class Slow:
    """Answers when it is let."""

    name, explains = "slow", False
    inputs = outputs = (Tensor("x", np.dtype(np.float32), (-1, 5)),)

    def __init__(self) -> None:
        self.free = threading.Event()
        self.begun = 0

    def prepare(self, asked: Asked) -> Asked:
        return asked

    def answer(self, asked: Asked) -> Answer:
        self.begun += 1
        if not self.free.wait(20):
            raise TimeoutError
        if asked.arrays["x"].any():
            raise ZeroDivisionError("secret")
        return Answer(asked.arrays, {"x": 0})


def test_a_full_line_and_late_answers() -> None:
    slow = Slow()
    settings = Settings(port=0, workers=1, queue=3, timeout=1.0)
    with running([slow], settings) as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.ask, "/v2/models/slow/infer", v2({"x": X})) for _ in range(8)]
        found = [a.result() for a in asked]
        statuses = sorted(status for status, _, _ in found)
        assert statuses == [503] * 5 + [504] * 3
        assert all(headers["retry-after"] for status, _, headers in found if status == 503)
        assert client.ask("/v2/health/live")[0] == 200
        slow.free.set()
        assert client.ask("/v2/models/slow/infer", v2({"x": X}))[0] == 200
        assert slow.begun == 2  # those whose time was over were not begun


def test_what_nobody_foresaw_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    slow.free.set()
    with running([slow], Settings(port=0)) as client:
        status, content, _ = client.ask("/v2/models/slow/infer", v2({"x": X + 1}))
        assert status == 500
        assert "secret" not in content["error"]
        assert "secret" in caplog.text
        assert client.ask("/v2/models/slow/infer", v2({"x": X}))[0] == 200


def test_large_requests_at_once_have_a_bound(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxplain.serve import guard

    monkeypatch.setattr(guard, "_BODIES", 1)
    settings = Settings(port=0, max_body=10_000, read_timeout=2.0)
    with running(served(path, ["saliency"]), settings) as client:
        with socket.create_connection((client.host, client.port), timeout=10) as raw:
            raw.sendall(
                f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n".encode() + b" " * 9900
            )
            time.sleep(0.3)
            status, content, _ = client.ask(INFER, v2({"x": np.zeros((40, 5), np.float32)}))
            assert (status, content["error"]) == (503, "too many large requests at once; try again later")
        serves(client)


def test_keys_of_a_request_do_not_pile_up(client: Client) -> None:
    """Requests of many shapes are answered one after another, and again from the first."""
    for n in (*range(1, 30), 1):
        status, content, _ = client.ask(INFER, v2({"x": np.zeros((n, 5), np.float32)}))
        assert (status, content["outputs"][0]["shape"]) == (200, [n, 3])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": -1}, "port"),
        ({"port": 70000}, "port"),
        ({"workers": 0}, "workers"),
        ({"timeout": 0.0}, "timeout"),
        ({"max_body": 0}, "max_body"),
        ({"queue": 1.5}, "queue"),
    ],
)
def test_settings(options: dict[str, Any], words: str) -> None:
    from onnxplain.errors import OptionError

    with pytest.raises(OptionError, match=words):
        Settings(**options)
