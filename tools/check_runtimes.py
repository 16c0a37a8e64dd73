"""Run exported files in onnxruntimes of several ages, each in an environment of its own.

    python tools/check_runtimes.py '1.19.*' '1.20.*' newest --json benchmarks/results/runtimes.json

The files are written once, by the package as it is installed here (``tests/runtimes/write.py``), and run by
``tests/runtimes/run.py``.  A version that pip cannot install is named and left out, unless none can be.
``1.18.*/off`` runs without memory patterns.  Exit code 1 where a runtime says something else than the
newest, but for those after ``--known``, whose faults are known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests" / "runtimes"


def main() -> int:
    """Write the files, run them everywhere, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("versions", nargs="+")
    parser.add_argument("--known", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        files = Path(place) / "files"
        subprocess.run([sys.executable, TESTS / "write.py", files], check=True)
        found = {v: tried(v, files, Path(place)) for v in (*given.versions, *given.known)}
    if given.json is not None:
        told = [told for told in found.values() if told is not None]
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    asked = [found[v] for v in given.versions]
    if all(told is None for told in asked):
        print("no runtime could be installed; nothing was checked")
        return 0
    return int(any(told is not None and not all(f["right"] for f in told["files"]) for told in asked))


def tried(asked: str, files: Path, place: Path) -> dict[str, Any] | None:
    """Run all files in one version; None where it cannot be installed."""
    version, _, pattern = asked.partition("/")
    environment = place / version.replace("*", "x")
    python = environment / "bin" / "python"
    if not python.exists() and not installed(version, environment):
        return None
    out = place / "out.json"
    more = ["--no-memory-pattern"] if pattern == "off" else []
    done = subprocess.run([python, TESTS / "run.py", files, "--json", out, *more], check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"run.py failed in onnxruntime {version}")
    told: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return told


def installed(version: str, environment: Path) -> bool:
    """Make an environment with a version of onnxruntime, and a NumPy that it was built for."""
    wanted = "onnxruntime" if version == "newest" else f"onnxruntime=={version}"
    old = version != "newest" and tuple(int(n) for n in version.split(".")[:2]) < (1, 19)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", wanted]
    done = subprocess.run(
        [*pip, "numpy<2"] if old else pip, check=False, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-500:])
        print(f"{wanted} does not install here; left out")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
