"""A data set explained, part by part, by this process or by workers; what is done stays done."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter, time
from typing import Any

from onnxplain.digests import digest
from onnxplain.errors import DataInputError, MethodError
from onnxplain.explainer import EXPLAINERS_OWN, Explainer
from onnxplain.graph.load import ModelSource
from onnxplain.methods import Method
from onnxplain.options import Count, check_option
from onnxplain.scale.data_set import DataSet, Reading
from onnxplain.scale.layout import Layout
from onnxplain.scale.manifest import SUMMARY, held_facts, settle
from onnxplain.scale.parts import about_part, check_form, parts_in
from onnxplain.scale.pieces import Piece
from onnxplain.scale.places import Place
from onnxplain.scale.question import Question
from onnxplain.scale.worker import Done, Job, Worker
from onnxplain.text import visible_line
from onnxplain.versions import VERSION, versions

__all__ = ["TRIED", "Summary", "explain_files", "rows_by_size"]

#: Numbers that a part holds, about, and rows at most, where nobody says how many rows it has.
_NUMBERS, _ROWS = 1 << 22, 4096
#: Rows that are tried before the run, one after another, until one can be explained.
TRIED = 8


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    out
        The folder.
    rows, parts
        How many the data set has.
    explained, failed
        Rows of this run, and how many of them have errors.
    kept
        Parts that were there already.
    seconds
        How long it took.
    cpu_seconds
        Processor time of reading, explaining and writing, of all workers together.
    method
        The method, as written in Python.
    notes
        What a person may want to know.
    """

    out: str
    rows: int
    parts: int
    explained: int
    failed: int
    kept: int
    seconds: float
    cpu_seconds: float
    method: str
    notes: tuple[str, ...] = ()


def explain_files(
    source: str | os.PathLike[str],
    model: Explainer | ModelSource,
    out: str | os.PathLike[str],
    method: str | Method = "integrated_gradients",
    *,
    target: Any = "predicted",
    kind: str | None = None,
    ids: Sequence[str] = (),
    target_column: str | None = None,
    feature_names: Sequence[str] | None = None,
    images: Mapping[str, Any] | None = None,
    input: str | None = None,  # noqa: A002 (as the command line calls it)
    form: str = "parquet",
    rows_a_part: int | None = None,
    strict: bool = False,
    retry: bool = False,
    workers: int | None = None,
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
    progress: bool = False,
    **options: Any,
) -> Summary:
    """Explain all rows of a data set, whatever its size, and write a folder of parts.

    Each part appears whole or not at all; the same call goes on where another one ended, and what is made
    from anything else is refused.  A row that cannot be explained gets an error in its place.

    Parameters
    ----------
    source
        A file, a folder with all below it, or a URL that fsspec knows: tables (``.csv``, ``.tsv``,
        ``.parquet``), images, or arrays (``.npy``, rows first).
    model
        An explainer, or what it takes.
    out
        A folder (made if it is missing), or its URL.
    method
        A method or its name, its parameters among the options; ``"auto"`` is settled by the first row.
    target
        As :meth:`Explainer.__call__` takes it, the same for all rows.
    kind
        ``"csv"``, ``"parquet"``, ``"images"`` or ``"npy"``, where the folder holds several.
    ids
        Columns of a table that are handed on, and are not for the model.
    target_column
        The column of a table that holds the class to explain in each row.
    feature_names
        Names of the columns of the model's only input, in its order.
    images
        What is done to images: ``size``, ``layout``, ``mean``, ``std``, ``scale``, ``preset``, as
        :func:`onnxplain.image_files.load_image` takes them.
    input
        Which input images or arrays are for.
    form
        ``"parquet"`` (needs pyarrow), or ``"npz"``.
    rows_a_part
        Rows that are explained and written together, which bounds the memory; None for as many as hold four
        million numbers, and at most 4,096.
    strict
        End the run at the first row that cannot be explained; what is written stays.
    retry
        Make those parts again that hold rows with errors.
    workers
        How many Ray workers, with an explainer each (needs ``onnxplain[ray]``); None for this process alone.
    num_cpus, num_gpus
        What Ray sets aside for a worker: threads, and a share of a GPU (0.25 for four workers on one).
    progress
        Show a bar.
    **options
        What :meth:`Explainer.__call__` takes besides, the method's own parameters, and what
        :class:`Explainer` takes; ``device`` is that of the workers where there are some.

    Returns
    -------
    Summary

    Raises
    ------
    DataInputError, TargetError, MethodError, OptionError
        If an argument does not fit, or the first rows cannot be explained; before anything is written.
    OutputError
        If the folder is made from something else, or cannot be written to.
    OptionalDependencyError
        If a package is missing.
    OnnxplainError
        With ``strict``, what stands against a row.
    """
    start, begun = perf_counter(), time()
    own = {k: options.pop(k) for k in EXPLAINERS_OWN if k in options}
    made = isinstance(model, Explainer)
    late = [k for k in own if made and (workers is None or k not in ("device", "threads"))]
    if late:
        raise MethodError(f"{', '.join(late)}: the explainer is made already; give it to that")
    if target_column is not None and not (isinstance(target, str) and target == "predicted"):
        raise DataInputError("target and target_column are both given; keep one of them")
    rows_a_part = check_option("rows_a_part", rows_a_part, Count | None)
    check_form(form)
    reading = Reading(kind, ids, target_column, feature_names, images, input)
    question = Question.of(method, target, options, reading.feature_names)
    pool = None
    if workers is not None:
        from onnxplain.scale.on_ray import Pool

        pool = Pool(workers, num_cpus, num_gpus, own.get("device", "auto"), own.get("threads"))
        own = {**own, "device": "cpu"}
    data = DataSet.of(source, kind)
    place = Place.made(out)
    if data.place.holds(place) and data.place.only is None:
        raise DataInputError(
            f"out='{out}' lies in '{source}', and would be read as data; give another folder"
        )
    held = held_facts(place)
    explainer = model if isinstance(model, Explainer) else Explainer(model, **own)
    reader = reading.form(data.kind, explainer)
    first = data.first(reader, TRIED)
    asked = digest([question.known, asdict(replace(reading, kind=data.kind))])
    question, shown = question.tried(explainer, reader.read(data.place, first), first.count)
    layout = Layout.of(shown, ids)
    size = rows_a_part or (held or {}).get("rows_a_part") or rows_by_size(layout)
    facts = {
        "version": VERSION, "model": explainer.model_hash, "method": shown.written_method, "told": asked,
        "source": data.digest(), "form": form, "rows_a_part": size, "columns": layout.described(),
    }  # fmt: skip
    pieces = list(data.cut(reader, size))
    rows = sum(p.count for p in pieces)
    about = {
        "source": visible_line(str(source)), "kind": data.kind, "rows": rows,
        "parts": len(pieces), "ids": list(ids), "output": shown.output[0], "versions": versions(),
    }  # fmt: skip
    made_from = settle(place, held, json.loads(json.dumps(facts)), about)
    told = {"made_from": made_from, "model": explainer.model_hash, "method": shown.written_method}
    job = Job(question, layout, data.place, reader, place, form, told, strict)
    kept = parts_in(place, form)
    if retry:
        kept = {n: name for n, name in kept.items() if not about_part(place, name)["failed"]}
    todo = [(number, piece) for number, piece in enumerate(pieces) if number not in kept]
    if pool is None:
        worker = Worker(explainer, job)
        answers = (worker(number, piece) for number, piece in todo)
    else:
        answers = pool.answers(explainer, job, todo)
    notes = dict.fromkeys((*explainer.notes, *shown.notes))
    done, failed, spent = 0, 0, 0.0
    with contextlib.closing(_shown(answers, pieces, kept, progress)) as confirmed:
        for one in confirmed:
            done, failed, spent = done + one.rows, failed + one.failed, spent + one.seconds
            notes |= dict.fromkeys(one.notes)
    _sweep(place, begun)
    summary = Summary(
        str(out), rows, len(pieces), done, failed, len(pieces) - len(todo), perf_counter() - start,
        spent, shown.written_method, tuple(notes),
    )  # fmt: skip
    place.write(SUMMARY, json.dumps({**asdict(summary), "made_from": made_from}, indent=1).encode())
    return summary


def rows_by_size(layout: Layout) -> int:
    """Return how many rows are explained together, where nobody says it."""
    return max(1, min(_ROWS, _NUMBERS // layout.numbers))


def _shown(
    answers: Generator[Done, None, None], pieces: Sequence[Piece], kept: Mapping[int, str], progress: bool
) -> Generator[Done, None, None]:
    """Yield parts as they are confirmed, behind a bar."""
    from tqdm import tqdm

    total, there = sum(p.count for p in pieces), sum(p.count for n, p in enumerate(pieces) if n in kept)
    bar = tqdm(total=total, initial=there, desc="explaining", unit="row", disable=not progress)
    with contextlib.closing(answers), bar:
        for one in answers:
            yield one.confirmed()
            bar.update(one.rows)


def _sweep(place: Place, begun: float) -> None:
    """Remove what runs that were killed left half written, but not what another run is writing now."""
    if place.remote:
        return
    for entry in os.scandir(place.root):
        if entry.name.startswith(".") and entry.name.endswith(".part") and entry.is_file():
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime < begun:
                    Path(entry.path).unlink()
