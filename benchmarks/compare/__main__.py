"""Methods, models and batches side by side with every peer that is installed.

    python -m benchmarks.compare                       what has a target, within five minutes
    python -m benchmarks.compare --full                everything, scales and memory too, as long as it takes
    python -m benchmarks.compare --work gradient lrp_epsilon_plus --model resnet50 --batch 1 --peer zennit

All that is raced explains the same scores of the same weights; what peers find is compared with ours before
a time is told.  The jobs of a race run in turn, round by round, in one process: read the ratios, which are
medians over rounds.  Lines are printed as they are measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from benchmarks.compare import alone, tables
from benchmarks.compare.cases import CASES, LeftOut, case
from benchmarks.compare.peers import PEERS
from benchmarks.compare.profiles import profile
from benchmarks.compare.races import every, race
from benchmarks.compare.scaling import SCALES, scaled_by
from benchmarks.compare.settings import Setting
from benchmarks.compare.targets import read_targets
from benchmarks.compare.works import WORKS
from benchmarks.timing import PAUSE, write_json

_USUAL = Path(__file__).resolve().parents[1] / "results" / "compare.json"
_MINUTES = 5.0
#: As a peer.
_NOBODY = "none"
#: In processes of their own, where nothing else is said.
_ALONE = ("resnet50", "mobilenetv2")


def main(arguments: Sequence[str] | None = None) -> None:
    """Race, print, and keep the results."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.cpu_time and asked.threads > 1:
        parser.error("--cpu-time adds up what all threads take, so that it tells no ratio; give --threads 1")
    if asked.peer is None:
        asked.peer = [name for name, peer in PEERS.items() if asked.full or not peer.slow]
    elif _NOBODY in asked.peer:
        if len(asked.peer) > 1:
            parser.error(f"--peer {_NOBODY} is nobody; leave the others out, or {_NOBODY}")
        asked.peer = []
    minutes = asked.minutes or (float("inf") if asked.full else _MINUTES)
    ends = time.perf_counter() + 60 * minutes
    settings = _chosen(asked)
    if not (asked.json or asked.work or asked.model or asked.batch or asked.scale or asked.alone):
        asked.json = _USUAL
    on_their_own = (asked.model or _ALONE) if asked.alone or asked.full else ()
    content: dict[str, Any] = {
        "machine": _machine(),
        "engines": _engines(asked.threads, asked.peer),
        "threads": asked.threads,
        "clock": "processor time" if asked.cpu_time else "wall clock",
        "races": [],
        "alone": [],
        "left_out": {},
    }
    print(f"{tables.head(content)}\n\n{tables.HEAD}", flush=True)

    failed: list[str] = []

    def leave_out(where: str, why: str) -> None:
        content["left_out"][where] = why
        print(f"left out: {where}: {why}", file=sys.stderr, flush=True)

    for number, setting in enumerate(settings):
        left = ends - time.perf_counter()
        if left <= 0:
            leave_out(setting.key, f"the {minutes:g} minutes are over")
            continue
        # getting ready takes its part of the time, and so does what comes later
        share = left / (len(settings) - number + 2 * len(on_their_own)) / 2
        row, why, broke = _tried(setting, asked, share, ends)
        failed += [setting.key] * broke
        if row is None:
            leave_out(setting.key, why)
            continue
        content["races"].append(row)
        print(*tables.lines(row, asked.threads), sep="\n", flush=True)
        if "profile" in row:
            print("", *tables.profile_lines(row), "", tables.HEAD, sep="\n", flush=True)
        for peer, why in row["left_out"].items():
            print(f"left out: {setting.key}, {peer}: {why}", file=sys.stderr, flush=True)
        write_json(asked.json, content)
    for model in on_their_own:
        left = min(ends - time.perf_counter(), 600)
        made, why = alone.measured(model, 1, asked.threads, left)
        content["alone"] += made
        if why:
            leave_out(f"memory of {model}", why)
    if content["alone"]:
        print("", *tables.alone_lines(content["alone"]), sep="\n", flush=True)
    print("", *tables.result_lines(content), sep="\n", flush=True)
    write_json(asked.json, content)
    if asked.markdown:
        asked.markdown.write_text(tables.page(content), encoding="utf-8")
    if failed:
        raise SystemExit(f"onnxplain itself failed: {', '.join(failed)}")


def _tried(
    setting: Setting, asked: argparse.Namespace, seconds: float, ends: float
) -> tuple[dict[str, Any] | None, str, bool]:
    """Return a race's result, or why there is none, and whether that is a failure of ours."""
    try:
        clock = time.process_time if asked.cpu_time else time.perf_counter
        row = race(setting, asked.peer, asked.rounds, seconds, ends, clock)
        if asked.profile and WORKS[setting.work].one_walk:
            row["profile"] = profile(case(setting.model, setting.batch, setting.side), setting)
        return row, "", False
    except LeftOut as reason:
        return None, str(reason), False
    except Exception as error:  # other races go on, and the command fails at its end
        return None, f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", True


def _chosen(asked: argparse.Namespace) -> list[Setting]:
    """Return the races that are asked for: those with a target where nothing is."""
    named = asked.work or asked.model or asked.batch
    if named or asked.full:
        made = every(asked.work or WORKS, asked.model or CASES, asked.batch)
    elif asked.scale or asked.alone:
        made = []
    else:
        made = [t.setting for t in read_targets()]
        made.sort(key=lambda s: ([*CASES].index(s.model), s.batch))
    made = [Setting(s.work, s.model, s.batch, asked.threads) for s in made]
    for scale in asked.scale or (SCALES if asked.full and not named else ()):
        made += scaled_by(scale, asked.threads)
    if not made and not asked.alone:
        raise SystemExit("none of these works is raced on any of these models")
    return list(dict.fromkeys(made))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=(__doc__ or "").splitlines()[0]
    )
    made.add_argument("--work", nargs="+", choices=[*WORKS], help="default: what has a target")
    made.add_argument("--model", nargs="+", choices=[*CASES])
    made.add_argument("--batch", nargs="+", type=_count)
    made.add_argument(
        "--peer", nargs="*", choices=[*PEERS, _NOBODY],
        help="default: all, without --full but torch.compile, which takes minutes to get ready; "
        f"{_NOBODY}: ours alone",
    )  # fmt: skip
    made.add_argument("--scale", nargs="+", choices=SCALES, help="how work grows with these")
    made.add_argument("--alone", action="store_true", help="peak memory and load time")
    made.add_argument("--profile", action="store_true", help="where the time of walks back goes, by operator")
    made.add_argument("--full", action="store_true", help="everything, as long as it takes")
    made.add_argument("--threads", type=_count, default=2)
    made.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time, where other work runs; of one thread",
    )
    made.add_argument("--rounds", type=_count, default=11, help="of a race, at most")
    made.add_argument("--minutes", type=float, help=f"default: {_MINUTES:g}, with --full no limit")
    made.add_argument("--json", type=Path, help=f"default: {_USUAL.name} in results, where nothing is chosen")
    made.add_argument("--markdown", type=Path, help="also write a page")
    return made


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


def _machine() -> str:
    """Tell the kind of processor, and how many cores there are."""
    name = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        told = (line.partition(":") for line in info.read_text(encoding="utf-8").splitlines())
        name = next((value.strip() for key, _, value in told if key.strip() == "model name"), name)
    return f"{name}, {os.cpu_count()} cores"


def _engines(threads: int, peers: Sequence[str]) -> str:
    """Tell versions, threads, and what threads do between jobs."""
    found = {"onnxruntime": ort.__version__}
    for peer in peers:
        found.update(PEERS[peer].versions())
    named = ", ".join(f"{name} {version}" for name, version in found.items())
    return (
        f"{named}; {threads} threads in every engine; onnxruntime's stop to spin when a run ends "
        "(session.force_spinning_stop) in all sessions but those that DIANNA opens itself, OpenMP's of "
        f"PyTorch within the {1e3 * PAUSE:.0f} ms of rest between jobs"
    )


if __name__ == "__main__":
    main()
