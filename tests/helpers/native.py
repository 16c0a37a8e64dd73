"""C++ programs of tests, compiled where there is a compiler, and what the sanitizers say of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

__all__ = ["ROOT", "compiled", "needs_compiler", "run_sanitized"]

ROOT = Path(__file__).parents[2]

needs_compiler = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("c++") is None, reason="there is no C++ compiler of Unix's kind"
)


def compiled(program: Path, *words: object) -> None:
    """Compile a program against csrc, or skip where the compiler lacks the sanitizer that is asked for."""
    command = ["c++", "-std=c++20", "-pthread", f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc' / 'include'}"]
    done = subprocess.run(
        [*command, *map(str, words), "-o", str(program)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if "sanitize" in str(words) and ("cannot find" in done.stderr or "unsupported" in done.stderr):
        pytest.skip("this compiler has no such sanitizer")
    assert done.returncode == 0, done.stderr


def run_sanitized(sanitizer: str, program: Path, sources: Iterable[Path], said: str = "clean\n") -> None:
    """Compile a program with a sanitizer, quickly rather than well; it must end, saying ``said``."""
    flags = ("-O0", "-g1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    compiled(program, *flags, *sources)
    several = {**os.environ, "ONNXPLAIN_NUM_THREADS": "3"}
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=300, env=several)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == said
