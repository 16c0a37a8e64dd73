"""One who explains pieces, wherever it runs: reads, explains, writes the part, and says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from time import process_time
from typing import Any

import numpy as np

from onnxplain import errors
from onnxplain.errors import OnnxplainError
from onnxplain.explainer import Explainer
from onnxplain.scale.isolating import explained
from onnxplain.scale.layout import Layout
from onnxplain.scale.parts import encode, part_name
from onnxplain.scale.pieces import Form, Piece
from onnxplain.scale.places import Place
from onnxplain.scale.question import Question

__all__ = ["Done", "Job", "Worker"]


@dataclass(frozen=True)
class Job:
    """What all pieces have in common; it can be pickled.

    Attributes
    ----------
    question, layout
        What is asked, and which columns come out.
    source, reader
        Where rows are, and how they are read.
    out, form
        Where parts go, and in what form.
    about
        What parts say of themselves.
    strict
        Whether a bad row ends the run.
    """

    question: Question
    layout: Layout
    source: Place
    reader: Form
    out: Place
    form: str
    about: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True)
class Done:
    """A part that is written, or what stood against it.

    Attributes
    ----------
    number
        Of the part.
    rows, failed
        How many it has, and how many of them have errors.
    seconds
        Of processor time.
    worker
        Number of the process.
    notes
        What a person may want to know.
    error, kind
        What ended it, and the name of that error; empty where the part is written.
    skipped
        Rows that were written before.
    """

    number: int
    rows: int
    failed: int
    seconds: float
    worker: int
    notes: tuple[str, ...] = ()
    error: str = ""
    kind: str = ""
    skipped: int = 0

    def as_row(self) -> dict[str, Any]:
        """Return it as a batch of one row, which Ray Data takes."""
        notes = np.empty(1, object)
        notes[0] = list(self.notes)
        return {**{f.name: [getattr(self, f.name)] for f in fields(self)}, "notes": notes}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Done:
        """Undo :meth:`as_row`."""
        return cls(**{**row, "notes": tuple(row["notes"])})

    def confirmed(self) -> Done:
        """Return it, if the part is written.

        Raises
        ------
        OnnxplainError
            What ended it.
        """
        if self.kind:
            raise getattr(errors, self.kind, OnnxplainError)(self.error)
        return self


@dataclass(frozen=True, eq=False)
class Worker:
    """Explains pieces.

    Attributes
    ----------
    explainer
        Of the model.
    job
        What to do.
    """

    explainer: Explainer
    job: Job

    def __call__(self, number: int, piece: Piece) -> Done:
        """Explain a piece; when this returns, and says no error, its part is where it belongs."""
        start, job = process_time(), self.job
        try:
            block = job.reader.read(job.source, piece)
            rows = explained(
                self.explainer,
                job.question,
                block,
                piece.count,
                job.layout,
                keys=piece.keys(),
                strict=job.strict,
            )
            job.out.write(part_name(number, job.form), encode(rows, job.form, job.about))
        except OnnxplainError as error:
            seconds = process_time() - start
            return Done(number, 0, 0, seconds, os.getpid(), (), str(error), type(error).__name__)
        return Done(number, piece.count, rows.failed, process_time() - start, os.getpid(), tuple(rows.notes))
