"""Data sets of Ray Data, whatever they were read from: each row explained, columns in and columns out."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter, process_time
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from onnxplain.digests import digest
from onnxplain.errors import DataInputError, MethodError, OnnxplainError
from onnxplain.explainer import EXPLAINERS_OWN, Explainer
from onnxplain.graph.load import ModelSource
from onnxplain.methods import Method
from onnxplain.options import Count, check_option
from onnxplain.scale.data_set import Reading
from onnxplain.scale.forms.arrow import array_columns, values
from onnxplain.scale.forms.columns import ColumnBlock
from onnxplain.scale.forms.image_files import ImageBlock, ImageFiles
from onnxplain.scale.isolating import explained
from onnxplain.scale.layout import Layout
from onnxplain.scale.manifest import SUMMARY, held_facts, settle
from onnxplain.scale.on_ray import Pool, confirmed, pickled, ray_data, revived, silent
from onnxplain.scale.parts import arrow_table, encode, part_names, read_column
from onnxplain.scale.pieces import Block
from onnxplain.scale.places import Place
from onnxplain.scale.question import Question
from onnxplain.scale.running import TRIED, Summary, rows_by_size
from onnxplain.scale.worker import Done
from onnxplain.versions import VERSION, versions

__all__ = ["explain_dataset"]


@dataclass(frozen=True)
class _Rows:
    """How batches are read, and what becomes of them.

    Attributes
    ----------
    reading
        What columns are for.
    image_column
        The column of images; None for tables.
    question, layout, strict, about
        As jobs have them.
    columns
        In the order of the first rows, which all others are brought to; () for the batch's own.
    out, key
        Where parts go, and the column that rows are known by; None where batches are handed on.
    """

    reading: Reading
    image_column: str | None
    question: Question
    strict: bool
    layout: Layout | None = None
    columns: tuple[str, ...] = ()
    out: Place | None = None
    key: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def block(self, batch: Any, explainer: Explainer) -> Block:
        """Return the rows of an Arrow table."""
        table = (batch.select(list(self.columns)) if self.columns else batch).combine_chunks()
        held = {name: _whole(table.column(name)) for name in table.column_names}
        missing = next((n for n in (*self.reading.ids, self.image_column) if n and n not in held), None)
        if missing is not None:
            raise DataInputError(f"the data set has no column '{missing}'; it has {', '.join(held)}")
        ids = {name: held[name] for name in self.reading.ids}
        if self.image_column is None:
            reader: Any = self.reading.form("parquet", explainer)
            reader.roles.wanted(list(held), "the data set", array_columns(table.schema))
            columns = {name: values(column) for name, column in held.items()}
            return ColumnBlock(columns, reader.roles, "data set", None, {}, ids)
        images: Any = replace(self.reading, ids=()).form("images", explainer)
        assert isinstance(images, ImageFiles)
        cells = values(held[self.image_column])
        names = [f"image {row} of a batch" for row in range(len(cells))]
        return ImageBlock(images.info, images.options, names, lambda row: _opened(cells[row]), ids)


def _whole(column: Any) -> Any:
    """Return a column in one piece."""
    return column.chunk(0) if getattr(column, "num_chunks", 0) == 1 else column.combine_chunks()


def _opened(cell: Any) -> BinaryIO:
    """Return a file of an image: as it was encoded, or pixels (H, W), (H, W, C)."""
    if isinstance(cell, bytes):
        return io.BytesIO(cell)
    pixels = np.asarray(cell)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        shown = f"{pixels.dtype} {pixels.shape}"
        raise DataInputError(f"an image is uint8 (H, W, C), or the bytes of a file, not {shown}")
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(
        file, "PNG", compress_level=0
    )
    file.seek(0)
    return file


class BatchWorker:
    """A worker as Ray Data has them: hands columns on, or writes them.

    Parameters
    ----------
    held
        A reference to the explainer as it travels, what is asked of it, and the keys that are done.
    """

    def __init__(self, held: Any) -> None:
        state, self._job, self._done = ray_data().get(held)
        self._explainer = revived(state)

    def __call__(self, batch: Any) -> Any:
        """Explain a batch; return its columns, or what became of the part that was written."""
        start, job = process_time(), self._job
        if job.out is None:
            return self._found(batch)[1]
        try:
            keys = batch.column(job.key).to_pylist()
            left = [k for k, key in enumerate(keys) if str(key) not in self._done]
            if not left:
                return Done(0, 0, 0, 0.0, os.getpid(), skipped=len(keys)).as_row()
            rows, _ = self._found(batch.take(left))
            name = hashlib.sha256(repr([keys[k] for k in left]).encode()).hexdigest()[:32]
            job.out.write(f"part-{name}.parquet", encode(rows, "parquet", job.about))
        except OnnxplainError as error:
            return Done(0, 0, 0, 0.0, os.getpid(), (), str(error), type(error).__name__).as_row()
        seconds = process_time() - start
        return Done(
            0, len(left), rows.failed, seconds, os.getpid(), tuple(rows.notes), skipped=len(keys) - len(left)
        ).as_row()

    def _found(self, batch: Any) -> tuple[Any, Any]:
        job = self._job
        block = job.block(batch, self._explainer)
        rows = explained(
            self._explainer, job.question, block, batch.num_rows, job.layout, keys={}, strict=job.strict
        )
        return rows, arrow_table(rows, job.about)


def explain_dataset(
    ds: Any,
    model: Explainer | ModelSource,
    method: str | Method = "integrated_gradients",
    *,
    target: Any = "predicted",
    ids: Sequence[str] = (),
    target_column: str | None = None,
    feature_names: Sequence[str] | None = None,
    image_column: str | None = None,
    images: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    key: str | None = None,
    batch_size: int | None = None,
    strict: bool = False,
    workers: int = 1,
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
    **options: Any,
) -> Any:
    """Explain all rows of a data set of Ray Data, with an explainer for each worker.

    Parameters
    ----------
    ds
        A ``ray.data.Dataset``.  Its columns are the model's, as those of a table, or inputs by name where
        rows hold arrays.  Its first rows are read at once, to see what comes out.
    model, method, target, target_column, feature_names, strict, num_cpus, num_gpus, **options
        As :func:`explain_files` takes them.
    ids
        Columns that are handed on, and are not for the model.
    image_column
        The column of images, where that is what the model takes: uint8 (H, W, C), or the bytes of files.
        Other columns than this one and ``ids`` are left.
    images
        What is done to them; see :func:`explain_files`.
    out
        A folder, or its URL, that workers write parts to, which all of them must reach; the same call goes
        on where another one ended.  None: the columns are handed on.
    key
        With ``out``: the column, one of ``ids``, whose value no two rows share.
    batch_size
        Rows that are explained together; None for as many as hold four million numbers, and at most 4,096.
    workers
        How many.

    Returns
    -------
    ray.data.Dataset or Summary
        Without ``out`` the data set of what was found, which is made when it is read: ``ids``,
        ``prediction``, ``target``, ``score``, ``attribution/...``, ``error``.  With it, what was done.

    Raises
    ------
    DataInputError, TargetError, MethodError, OptionError
        If an argument does not fit, or the first rows cannot be explained.
    OutputError
        If the folder is made from something else, or cannot be written to.
    OptionalDependencyError
        If Ray Data is not installed.
    """
    start, own = perf_counter(), {k: options.pop(k) for k in EXPLAINERS_OWN if k in options}
    if isinstance(model, Explainer) and own.keys() - {"device", "threads"}:
        raise MethodError(f"{', '.join(own)}: the explainer is made already; give it to that")
    if (out is None) != (key is None) or (key is not None and key not in ids):
        raise DataInputError("out= goes with key=, the column among ids by which rows are known again")
    check_option("batch_size", batch_size, Count | None)
    pool = Pool(workers, num_cpus, num_gpus, own.get("device", "auto"), own.get("threads"))
    ray = ray_data()
    if not isinstance(ds, ray.data.Dataset):
        raise DataInputError(f"a {type(ds).__name__} is no ray.data.Dataset; files go to explain_files")
    pool.find_room(ray, started=False)
    reading = Reading(None, ids, target_column, feature_names, images)
    question = Question.of(method, target, options, reading.feature_names)
    known = question.known
    explainer = model if isinstance(model, Explainer) else Explainer(model, **{**own, "device": "cpu"})
    job = _Rows(reading, image_column, question, strict)
    with silent(ray):
        first = next(iter(ds.limit(TRIED).iter_batches(batch_size=TRIED, batch_format="pyarrow")), None)
    if first is None or not first.num_rows:
        raise DataInputError("the data set has no rows; give at least one")
    question, shown = question.tried(explainer, job.block(first, explainer), first.num_rows)
    layout = Layout.of(shown, reading.ids)
    about = {"model": explainer.model_hash, "method": shown.written_method}
    job = replace(job, question=question, layout=layout, about=about, columns=tuple(first.column_names))
    how = {"batch_size": batch_size or rows_by_size(layout), "batch_format": "pyarrow"}
    state = pickled(explainer, *pool.options())
    if out is None:
        return pool.mapped(ray, ds, BatchWorker, (ray.put((state, job, frozenset())),), **how)
    place = Place.made(out)
    asked = digest([known, asdict(reading), image_column, key])
    facts = {
        "version": VERSION, "model": explainer.model_hash, "method": shown.written_method, "told": asked,
        "source": f"a data set of rows known by {key}", "form": "parquet", "rows_a_part": 0,
        "columns": layout.described(),
    }  # fmt: skip
    made_from = settle(place, held_facts(place), json.loads(json.dumps(facts)), {"versions": versions()})
    job = replace(job, out=place, key=key, about={**about, "made_from": made_from})
    done = _keys(place, str(key))
    found = pool.mapped(ray, ds, BatchWorker, (ray.put((state, job, done)),), **how)
    rows, failed, seen, spent, notes = 0, 0, 0, 0.0, dict.fromkeys((*explainer.notes, *shown.notes))
    for one in confirmed(ray, found):
        one.confirmed()
        rows, failed, seen = rows + one.rows, failed + one.failed, seen + one.skipped
        spent += one.seconds
        notes |= dict.fromkeys(one.notes)
    if seen != len(done):
        raise DataInputError(
            f"{len(done)} rows were explained before, and the data set has {seen} of their keys: it is "
            f"another one now, or two rows share a {key}; start again, into another folder"
        )
    total = len(_keys(place, str(key)))
    names = part_names(place, "parquet")
    summary = Summary(
        str(out), total, len(names), rows, failed, len(done), perf_counter() - start, spent,
        shown.written_method, tuple(notes),
    )  # fmt: skip
    place.write(SUMMARY, json.dumps({**asdict(summary), "made_from": made_from}, indent=1).encode())
    return summary


def _keys(place: Place, key: str) -> frozenset[str]:
    """Return the keys of all rows that are written.

    Raises
    ------
    DataInputError
        If a key is there twice.
    """
    found: set[str] = set()
    for name in part_names(place, "parquet"):
        for one in read_column(place, name, key):
            if str(one) in found:
                raise DataInputError(
                    f"two rows have {key} {one!r:.60}, and a run goes on by it; give a column of keys that "
                    "no two rows share, and another folder"
                )
            found.add(str(one))
    return frozenset(found)
