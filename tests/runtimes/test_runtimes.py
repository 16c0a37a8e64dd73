"""The files that old runtimes run, in the one that is installed; and that a wrong one is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
CASES = ("walk_lrp", "map_grad_cam", "nested", "opset_13")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("files")
    subprocess.run([sys.executable, HERE / "write.py", made, *CASES], check=True, timeout=120)
    return made


def run(folder: Path, *more: str) -> tuple[int, dict[str, bool]]:
    out = folder / "out.json"
    done = subprocess.run(
        [sys.executable, HERE / "run.py", folder, "--json", out, *more],
        check=False, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(out.read_text())
    return done.returncode, {row["file"]: row["right"] for row in told["files"]}


@pytest.mark.parametrize("more", [(), ("--no-memory-pattern",)])
def test_all_are_right_here(more, folder) -> None:
    assert run(folder, *more) == (0, dict.fromkeys(sorted(CASES), True))


@pytest.mark.parametrize("wrong", ["numbers", "file"])
def test_a_wrong_one_is_found(wrong, folder, tmp_path) -> None:
    for path in folder.glob("walk_lrp.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if wrong == "numbers":
        with np.load(tmp_path / "walk_lrp.npz") as kept:
            arrays = dict(kept)
        arrays["1/out/attribution/image"] *= np.float32(1.0001)
        np.savez(tmp_path / "walk_lrp.npz", **arrays)
    else:
        (tmp_path / "walk_lrp.onnx").write_bytes(b"no model")
    assert run(tmp_path) == (1, {"walk_lrp": False})
