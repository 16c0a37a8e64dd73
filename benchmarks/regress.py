"""Two commits side by side in one run: the same works, in turn, as ratios.  For use by hand.

    python -m benchmarks.regress OLD NEW [--work gradient] [--model resnet50 mobilenetv2] [--batch 1]

Both are checked out into a temporary folder.  Where a commit's C++ is that of the working tree, and that was
built, its libraries are taken; else they are built by CMake.  Works and models are those of the working tree;
``.`` stands for its package as it is.  Two processes, one for each commit, run a job each in turn; answers
are compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare.agreement import compared
from benchmarks.compare.cases import CASES
from benchmarks.compare.races import every
from benchmarks.compare.settings import Setting
from benchmarks.compare.works import WORKS
from benchmarks.timing import write_json

ROOT = Path(__file__).resolve().parents[1]
_NATIVE = ("csrc", "CMakeLists.txt")
_KERNELS = "onnxplain/kernels"
_HERE = "."


class Side:
    """One commit's process for one race.

    Parameters
    ----------
    package
        The folder that holds its onnxplain.
    setting
        The race.
    folder
        Where answers are written.
    """

    def __init__(self, package: Path, setting: Setting, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        found = os.pathsep.join([str(package), str(ROOT)])
        with (folder / "errors").open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.compare.worker", json.dumps(asdict(setting)), str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=package,
                env={**os.environ, "PYTHONPATH": found},
            )  # fmt: skip
        self.said: dict[str, Any] = json.loads(self._line())
        if self.said["package"] != str((package / "onnxplain").resolve()):
            raise SystemExit(f"the process found the onnxplain in {self.said['package']}, not {package}")

    def turn(self, job: str) -> float:
        """Run a job's turn, and return the seconds of one run."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        return float(self._line())

    def answer(self, job: str) -> Any:
        """Return what a job found, or None."""
        path = self.folder / f"{job}.npy"
        return np.load(path) if path.is_file() else None

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            told = (self.folder / "errors").read_text(encoding="utf-8").strip() or "it said nothing"
            raise SystemExit(
                f"{self.folder.name}: this commit does not run the work: {told.splitlines()[-1]}"
            )
        return line


def race(packages: dict[str, Path], setting: Setting, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Run one race between two commits; return a row for each job that both have."""
    with contextlib.ExitStack() as ends:
        sides = [ends.enter_context(Side(p, setting, folder / name)) for name, p in packages.items()]
        for side in sides:
            if "left_out" in side.said:
                why = side.said["left_out"]
                print(f"left out: {setting.key}, {side.folder.name}: {why}", file=sys.stderr, flush=True)
                return []
        return raced(*sides, setting, rounds)


def raced(old: Side, new: Side, setting: Setting, rounds: int) -> list[dict[str, Any]]:
    """Let two sides run in turn; return a row for each job that both have."""
    jobs = [job for job in old.said["jobs"] if job in new.said["jobs"]]
    seconds: dict[str, list[tuple[float, float]]] = {job: [] for job in jobs}
    for number in range(rounds):
        for job in jobs:
            if number % 2:  # whoever comes second finds other caches
                after, before = new.turn(job), old.turn(job)
            else:
                before, after = old.turn(job), new.turn(job)
            seconds[job].append((before, after))
    rows = []
    for job, pairs in seconds.items():
        before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [b / a for a, b in pairs]
        told = None
        if old.answer(job) is not None:
            told = compared(new.answer(job), old.answer(job), WORKS[setting.work].alike)
        rows.append({
            **asdict(setting), "job": job, "old_ms": 1e3 * before, "new_ms": 1e3 * after,
            "ratio": statistics.median(ratios), "ratios": sorted(ratios),
            "difference": None if told is None else told.difference, "same": told is None or told.same,
        })  # fmt: skip
    return rows


def checked_out(commit: str, folder: Path) -> Path:
    """Return a folder that holds a commit's package with its libraries.

    Raises
    ------
    SystemExit
        If there is no such commit, or it does not build.
    """
    if commit == _HERE:
        return ROOT
    _run(["git", "worktree", "add", "--detach", "--quiet", str(folder), commit], ROOT)
    kernels, here = folder / _KERNELS, ROOT / _KERNELS
    same = not subprocess.run(
        ["git", "diff", "--quiet", commit, "--", *_NATIVE], cwd=ROOT, check=False
    ).returncode
    built = [*here.glob("_core*"), *here.glob("onnxplain_ops.*")]
    built = [path for path in built if path.suffix in (".so", ".pyd", ".dll", ".dylib")]
    if not (same and built):
        build = folder / "build"
        print(f"{commit}: its C++ is built", file=sys.stderr, flush=True)
        try:
            import pybind11
        except ImportError:
            raise SystemExit(
                f"{commit} has other C++ than what is built here: pip install pybind11"
            ) from None
        _run([
            "cmake", "-S", str(folder), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release",
            "-DONNXPLAIN_CUDA=OFF",
            f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ], folder)  # fmt: skip
        _run(["cmake", "--build", str(build), "--parallel"], folder)
        built = [
            p for p in build.rglob("*") if p.name.startswith(("_core", "onnxplain_ops")) and p.suffix == ".so"
        ]
    for path in built:
        shutil.copy(path, kernels)
    return folder


def only_package(root: Path, folder: Path) -> Path:
    """Return a folder with a link to the package of a tree, and nothing else that Python could find there."""
    folder.mkdir()
    (folder / "onnxplain").symlink_to(root / "onnxplain", target_is_directory=True)
    return folder


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(f"{command[0]} is not installed") from None
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise SystemExit(f"{' '.join(command[:3])} failed: {told[-1]}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Race two commits, and print ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.regress", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("old", help="a commit, or . for the working tree")
    parser.add_argument("new", help="a commit, or . for the working tree")
    parser.add_argument(
        "--work", nargs="+", choices=[*WORKS], default=["gradient", "lrp_epsilon_plus", "deep_lift"]
    )
    parser.add_argument("--model", nargs="+", choices=[*CASES], default=["mnist", "mobilenetv2", "resnet50"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    settings = [
        Setting(s.work, s.model, s.batch, asked.threads) for s in every(asked.work, asked.model, asked.batch)
    ]
    if not settings:
        raise SystemExit("none of these works is raced on any of these models")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        places = {f"old {asked.old}": Path(folder, "a"), f"new {asked.new}": Path(folder, "b")}
        try:
            packages = {
                name.replace("/", "_"): only_package(
                    checked_out(commit, place), Path(folder, f"{place.name}-only")
                )
                for (name, place), commit in zip(places.items(), (asked.old, asked.new), strict=True)
            }
            print("| work | model | batch | who | old, ms | new, ms | new / old | quarters | difference |")
            print("|---|---|---|---|---|---|---|---|---|", flush=True)
            for number, setting in enumerate(settings):
                for row in race(packages, setting, asked.rounds, Path(folder, f"answers{number}")):
                    rows.append(row)
                    print(_line(row), flush=True)
        finally:
            for place in places.values():
                if place.exists():
                    _run(["git", "worktree", "remove", "--force", str(place)], ROOT)
    write_json(asked.json, rows)


def _line(row: dict[str, Any]) -> str:
    low, high = np.quantile(row["ratios"], (0.25, 0.75))
    off = "" if row["difference"] is None else f"{row['difference']:.0e}"
    if not row["same"]:
        off += " **another answer**"
    return (
        f"| {row['work']} | {row['model']} | {row['batch']} | {row['job']} | {row['old_ms']:.3g} | "
        f"{row['new_ms']:.3g} | {row['ratio']:.3f} | {low:.3f} to {high:.3f} | {off} |"
    )


if __name__ == "__main__":
    main()
