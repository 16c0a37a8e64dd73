"""Float16 and back: all loops over it make the bits of the functions of one number, which are right."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from native import ROOT, compiled, needs_compiler

HERE = Path(__file__).parent
#: As the library is compiled, with a function for each kind of processor; and with the sanitizers.
WAYS = {
    "optimised": ("-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    "sanitized": ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}


@needs_compiler
@pytest.mark.parametrize("way", WAYS)
def test_processors_convert_to_the_same_bits(way, tmp_path) -> None:
    """Every half; and of float32 all ties, their neighbours, what is denormal, too large or no number."""
    program = tmp_path / "halves"
    compiled(program, *WAYS[way], HERE / "halves.cpp", ROOT / "csrc" / "kernels" / "half.cpp")
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("any the same\n")  # behind what this processor has
