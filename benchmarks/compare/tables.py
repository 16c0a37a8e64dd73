"""Results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.compare.targets import elsewhere, losses, read_targets, verdict
from benchmarks.compare.works import WORKS

__all__ = ["HEAD", "alone_lines", "head", "lines", "page", "profile_lines", "result_lines"]

HEAD = (
    "| work | model | batch | who | median, ms | fastest, ms | x forward | x onnxplain | agrees |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def head(content: dict[str, Any]) -> str:
    """Tell what was measured on, by what, and how."""
    return f"{content['machine']}; {content['engines']}; {content['clock']}"


def lines(row: dict[str, Any], threads: int) -> Iterator[str]:
    """Yield a race's lines, which tell its threads where these are others than is usual."""
    what = row["work"]
    for key, usual in (("size", None), ("side", 224), ("threads", threads)):
        if row[key] != usual:
            what += f", {key} {row[key]}"
    for name, job in row["jobs"].items():
        said = f"{name} ({job['says']})" if job["says"] else name
        agrees = ""
        if "same" in job:
            agrees = f"r {job['correlation']:.4f}"
            if WORKS[row["work"]].alike in ("equal", "points"):
                agrees = f"{job['difference']:.0e}, {agrees}"
            if not job["same"]:
                agrees += " **another answer**"
        yield (
            f"| {what} | {row['model']} | {row['batch']} | {said} | {job['ms']:.3g} | {job['ms_min']:.3g} | "
            f"{job['forwards']:.2f} | {job['times_ours']:.2f} | {agrees} |"
        )
    if "extra_ms" in row:
        yield f"| {what} | {row['model']} | {row['batch']} | the call's own | {row['extra_ms']:.3f} | | | | |"


def result_lines(content: dict[str, Any]) -> Iterator[str]:
    """Yield the targets beside results, and what is lost."""
    rows = content["races"]
    usual = None, 224, content["threads"]
    by_race = {
        (r["work"], r["model"], r["batch"]): r for r in rows if (r["size"], r["side"], r["threads"]) == usual
    }
    yield "| target | model | batch | aim | before | now |"
    yield "|---|---|---|---|---|---|"
    for target in read_targets():
        s = target.setting
        told = verdict(target, by_race.get((s.work, s.model, s.batch)))
        now = told.says if told.reached or told.value is None else f"**{told.says}**"
        yield f"| {s.work} | {s.model} | {s.batch} | {target.says} | {target.was} | {now} |"
    for other in elsewhere():
        yield f"| {other['says']} | | | {other['target']} | | {other['by']} |"
    lost = losses(rows)
    yield ""
    yield "No peer that finds the same is faster." if not lost else "Lost:"
    for loss in lost:
        yield f"* {loss}"


def page(content: dict[str, Any]) -> str:
    """Return all that was measured as one page of Markdown."""
    parts: list[Iterable[str]] = [
        [head(content), ""],
        [HEAD],
        *(lines(row, content["threads"]) for row in content["races"]),
        [""],
        result_lines(content),
    ]
    if content["alone"]:
        parts += [[""], alone_lines(content["alone"])]
    for row in content["races"]:
        if "profile" in row:
            parts += [[""], profile_lines(row)]
    left_out = [f"* {where}: {why}" for where, why in content["left_out"].items()]
    left_out += [
        f"* {row['work']} on {row['model']}, batch {row['batch']}: {peer} {why}"
        for row in content["races"]
        for peer, why in row["left_out"].items()
    ]
    if left_out:
        parts += [["", "Left out:", ""], left_out]
    return "\n".join(line for part in parts for line in part) + "\n"


def alone_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what processes of their own took."""
    yield "| model | batch | who | peak memory, MiB | import, s | load, s | first answer, s |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['model']} | {row['batch']} | {row['who']} | {row['mib']:.0f} | {row['import']:.2f} | "
            f"{row['load']:.2f} | {row['first']:.2f} |"
        )


def profile_lines(row: dict[str, Any]) -> Iterator[str]:
    """Yield a table: an operator's milliseconds in the file, and in the forward pass."""
    found, name = row["profile"], f"{row['work']} on {row['model']}, batch {row['batch']}"
    forward = sum(found["forward"].values())
    yield f"| {name}: operator | file, ms | share | forward, ms | beyond, in forwards |"
    yield "|---|---|---|---|---|"
    whole = sum(found["file"].values())
    for operator in [*found["file"], *(k for k in found["forward"] if k not in found["file"])]:
        ms, before = (found[of].get(operator, 0.0) for of in ("file", "forward"))
        yield f"| {operator} | {ms:.3f} | {ms / whole:.0%} | {before:.3f} | {(ms - before) / forward:+.2f} |"
    yield f"| all | {whole:.3f} | 100% | {forward:.3f} | {(whole - forward) / forward:+.2f} |"
