"""What the README shows is run as it stands, on small models and data of the names that it uses."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import run
from readme_files import arrays, write_files

from onnxplain.errors import OptionalDependencyError

README = Path(__file__).parents[1] / "README.md"
#: Stands before a block that is not run, and says why.
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
#: Packages that Python of the README asks for, and that are no dependencies.
OPTIONAL = {"shap", "xarray"}
#: Commands that need packages which are no dependencies: they say so where these are not there.
NEEDS = {"batch": ("pyarrow", "ray")}


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, in which language, and whether it is run."""

    line: int
    language: str
    text: str
    run: bool


def blocks() -> list[Block]:
    lines = README.read_text(encoding="utf-8").splitlines()
    fences = [k for k, line in enumerate(lines) if line.startswith("```")]
    return [
        Block(
            start + 1,
            lines[start][3:],
            "\n".join(lines[start + 1 : end]),
            not NOT_RUN.fullmatch(lines[start - 1]),
        )
        for start, end in zip(fences[::2], fences[1::2], strict=True)
    ]


def commands() -> list[tuple[int, list[str]]]:
    found = []
    for block in blocks():
        if block.run and not block.language:
            whole = re.sub(r"\\\n\s*", "", block.text)
            found += [(block.line, shlex.split(line, comments=True)) for line in whole.splitlines() if line]
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch, models) -> Path:
    """A folder with the files of the README, which is the current one."""
    write_files(tmp_path, models)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python(folder, models) -> None:
    import matplotlib.pyplot as plt

    names, left = arrays(models), []
    for block in (b for b in blocks() if b.run and b.language == "python"):
        for statement in ast.parse(block.text).body:
            code = compile(ast.Module([statement], []), f"README.md, block of line {block.line}", "exec")
            try:
                exec(code, names)
            except OptionalDependencyError as error:
                left.append(str(error))
        plt.close("all")
    missing = {name for name in OPTIONAL if importlib.util.find_spec(name) is None}
    assert all(any(name in words for name in missing) for words in left), left
    assert {"why.npz", "explained.onnx", "kept"} <= {p.name for p in folder.iterdir()}


def test_commands(folder) -> None:
    found = commands()
    assert len(found) >= 14
    for line, (program, *rest) in found:
        assert program == "onnxplain", f"line {line}: mark the block, or let it run"
        before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
        if not all(importlib.util.find_spec(name) for name in NEEDS.get(rest[0], ())):
            assert "pip install 'onnxplain[" in run(*rest, code=2).stderr
            continue
        run(*rest)
        for k, word in enumerate(rest):
            if word == "-o":
                assert (folder / rest[k + 1]).stat().st_mtime_ns != before.get(folder / rest[k + 1]), rest


def test_blocks_that_are_not_run_say_why() -> None:
    left = [b for b in blocks() if not b.run]
    assert all(b.language in ("", "js") for b in left)  # all Python is run
    assert {b.language for b in blocks() if b.run} == {"", "python"}
    assert len(left) == len(NOT_RUN.findall(README.read_text(encoding="utf-8")))
