"""The command line of the server: what is wrong is told in one line before anything is served."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from command_line import MODEL, failure


def test_without_kserve_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kserve", None)
    assert "pip install 'onnxplain[serve]'" in failure("serve", MODEL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "nonsense"], "there is no method 'nonsense'"),
        (["--method", "lrp:n_steps=3"], "does not take 'n_steps'"),
        (["--method", "lrp", "--method", "lrp"], "each of them once"),
        (["--method", "tree_shap"], "no trees"),
        (["--name", "a/b"], "no name for a model"),
        (["--port", "70000"], "a port, 0 to 65535"),
        (["--max-body", "much"], "--max-body much"),
        (["--timeout", "0"], "timeout"),
        (["--host", "no.such.host.invalid"], "give another --host"),
        (["--output-name", "z"], "no output 'z'"),
        (["--input", "z"], "'z'"),
    ],
)
def test_wrong_options(options: list[str], words: str) -> None:
    pytest.importorskip("kserve")
    assert words in failure("serve", MODEL, *options)


def test_a_port_that_is_taken() -> None:
    pytest.importorskip("kserve")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "give another --host or --port" in failure("serve", MODEL, "--method", "lrp", "--port", port)


def test_a_missing_model(tmp_path: Any) -> None:
    pytest.importorskip("kserve")
    assert "none.onnx" in failure("serve", str(tmp_path / "none.onnx"))
