"""The comparison with peers, as it is run: a small model, few rounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare.peers import PEERS
from benchmarks.compare.settings import BARE, FILE, FORWARD, OURS


def run(command: Any, folder: Path, *arguments: str) -> dict[str, Any]:
    command.main([*arguments, "--rounds", "2", "--json", str(folder / "found.json")])
    found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return found


def test_ours_alone(command: Any, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "page.md"
    found = run(
        command, tmp_path, "--work", "gradient", "overhead", "--model", "mlp", "--batch", "3",
        "--peer", "none", "--threads", "1", "--cpu-time", "--profile", "--markdown", str(page),
    )  # fmt: skip
    gradient, overhead = found["races"]
    assert list(gradient["jobs"]) == [FORWARD, OURS, FILE]
    assert (gradient["batch"], gradient["threads"], gradient["rounds"]) == (3, 1, 2)
    assert gradient["jobs"][FORWARD]["forwards"] == 1
    assert gradient["jobs"][FILE]["same"]
    assert gradient["jobs"][FILE]["difference"] < 1e-6
    for row in found["races"]:
        for job in row["jobs"].values():
            assert 0 < job["ms_min"] <= job["ms"]
    assert list(overhead["jobs"]) == [FORWARD, BARE, OURS]
    assert overhead["extra_ms"] == pytest.approx(overhead["jobs"][OURS]["ms"] - overhead["jobs"][BARE]["ms"])
    for operators in gradient["profile"].values():
        assert operators["Gemm"] > 0
    assert found["left_out"] == {}
    printed = capsys.readouterr().out
    for text in (printed, page.read_text(encoding="utf-8")):
        assert f"| gradient | mlp | 3 | {FILE} (" in text
        assert "| gradient on mlp, batch 3: operator |" in text
        assert "| deep_lift | resnet50 | 1 | ≤ 2.8 forwards |" in text
        assert "1 threads in every engine" in text
        assert "processor time" in text


def test_a_failure_of_ours_is_told_at_the_end(command: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setattr("benchmarks.compare.races.ours", broken)
    with pytest.raises(SystemExit, match="onnxplain itself failed: gradient/mlp/1, overhead/mlp/1"):
        run(command, tmp_path, "--work", "gradient", "overhead", "--model", "mlp", "--batch", "1")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["left_out"]["gradient/mlp/1"] == "failed: RuntimeError: no such kernel"


def test_time_that_is_over_is_told(command: Any, tmp_path: Path, capsys: Any) -> None:
    found = run(command, tmp_path, "--model", "mlp", "--batch", "1", "--minutes", "0.000001")
    assert found["races"] == []
    assert set(found["left_out"]) >= {"gradient/mlp/1", "overhead/mlp/1"}
    assert "gradient/mlp/1: the 1e-06 minutes are over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--work", "magic"], "'magic'"),
        (["--model", "resnet51"], "'resnet51'"),
        (["--peer", "nobody"], "'nobody'"),
        (["--peer", "none", "torch"], "is nobody"),
        (["--scale", "width"], "'width'"),
        (["--cpu-time", "--threads", "2"], "give --threads 1"),
        (["--batch", "0"], "0 is not a number from 1"),
        (
            ["--work", "kernel_shap", "--model", "vgg16"],
            "none of these works is raced on any of these models",
        ),
    ],
)
def test_what_is_not_there_is_refused(command: Any, capsys: Any, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(arguments)
    assert refused.value.code != 0
    assert words in f"{refused.value.code} {capsys.readouterr().err}"


@pytest.mark.torch
@pytest.mark.parametrize(
    "work",
    [
        "gradient", "guided", "lrp_epsilon", "lrp_epsilon_plus", "lrp_alpha2_beta1", "grad_cam", "occlusion",
        "smooth_grad", "rise", "integrated_gradients",
    ],
)  # fmt: skip
def test_peers_find_the_same(command: Any, tmp_path: Path, work: str) -> None:
    """On the trained digits, whose numbers are in no test of our own; who took part must agree."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'onnxplain[conformance]'")
    found = run(command, tmp_path, "--work", work, "--model", "mnist", "--batch", "1", "--threads", "1")
    if not found["races"]:
        pytest.skip(str(found["left_out"]))
    (row,) = found["races"]
    for peer, why in row["left_out"].items():
        assert peer in PEERS
        assert "failed" not in why
    others = {name: job for name, job in row["jobs"].items() if name not in (FORWARD, OURS)}
    if not others:
        pytest.skip(str(row["left_out"]))
    assert all(job["same"] for job in others.values()), others
