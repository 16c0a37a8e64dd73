"""What a method works on: features in rows, and a model that answers about them and others."""

from __future__ import annotations

from dataclasses import field, replace
from functools import cached_property
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Ask, Combine, Probe, Scores, Walk
from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset
from onnxplain.errors import DataInputError, NotFiniteError
from onnxplain.features.boxes import Reader
from onnxplain.features.players import Players, elements
from onnxplain.finite import all_finite
from onnxplain.records import record
from onnxplain.runtime.driver import Answer, Driver, Rows, not_finite
from onnxplain.runtime.scratch import Scratch

__all__ = ["Problem"]


@record
class Problem:
    """Features to explain, n rows, batch axis first.

    Attributes
    ----------
    driver
        Runs the model.
    features
        By name, (n, ...).
    rows
        (n,): which sample of the call each row belongs to.
    target
        Indices, int64 (n, k), -1 for what is predicted; or weights, (n, ...) like the output.
    baselines
        Like ``features``: where paths start, what stands for what is taken away, or what activations are
        compared with.
    background
        By feature, (M, ...): rows of which each is a baseline for all samples; empty if there is one only.
    grouping
        Who plays; None makes a player of every element.
    known
        (n,): the scores of the rows, once they are known.
    given
        Whether these are the samples of the call themselves.
    reader
        How to read a detector's boxes, where a detection is explained.
    scratch
        Where the loop that asks at points near the rows has them written, block by block.
    """

    driver: Driver
    features: Arrays
    rows: IntArray
    target: Array
    baselines: Arrays
    background: Arrays = field(default_factory=dict)
    grouping: Players | None = None
    known: FloatArray | None = None
    given: bool = True
    reader: Reader | None = None
    scratch: Scratch | None = None

    @property
    def points(self) -> Rows:
        """The rows as the driver takes them."""
        return Rows(self.features, self.rows, self.target, self.baselines)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @cached_property
    def players(self) -> Players:
        """Which elements are kept or taken away together."""
        return elements(self.features) if self.grouping is None else self.grouping

    def take(self, index: IntArray | slice) -> Problem:
        """Return the problem of some rows."""
        here = self.resolved()
        return replace(
            here,
            features={k: v[index] for k, v in here.features.items()},
            baselines={k: v[index] for k, v in here.baselines.items()},
            rows=here.rows[index],
            target=here.target[index],
            grouping=None if here.grouping is None else here.grouping.take(index),
            known=None if here.known is None else here.known[index],
            given=False,
            scratch=None,
        )

    def at(
        self, features: Arrays | None = None, repeats: int = 1, baselines: Arrays | None = None
    ) -> Problem:
        """Return the problem at other points: ``repeats`` copies of all rows, one after the other.

        Parameters
        ----------
        features, baselines
            By name, (repeats * n, ...); those that are left out stay as they are.
        repeats
            How many points there are for each row.

        Raises
        ------
        DataInputError
            If there is no feature of that name, or the number of rows is another.
        """
        here = self.resolved()
        scratch = self.scratch or Scratch()
        return replace(
            here,
            features=_repeated(here.features, features, repeats, scratch, "features"),
            baselines=_repeated(here.baselines, baselines, repeats, scratch, "baselines"),
            rows=scratch.copies("rows", here.rows, repeats),
            target=scratch.copies("target", here.target, repeats),
            grouping=None if self.grouping is None else self.grouping.repeated(repeats),
            known=None,
            given=False,
            scratch=None,
        )

    def written(self, repeats: int) -> dict[str, Array | None]:
        """Return, by feature, where to write ``repeats`` copies of all rows; None to make new arrays."""
        scratch = self.scratch
        return {
            k: None if scratch is None else scratch.array(k, (repeats * self.n, *v.shape[1:]), v.dtype)
            for k, v in self.features.items()
        }

    def about(self, **changes: Any) -> Problem:
        """Return the problem with another question about the same rows, given by its fields that change."""
        return replace(self.resolved(), driver=self.driver.about(**changes), known=None, given=False)

    def beside(self, name: str, array: Array, samples: int | None) -> Problem:
        """Return the problem in which an inner value is given, too, in place of what the features make of it.

        Parameters
        ----------
        name
            Of the value.
        array
            (n, ...).
        samples
            Its axis of samples in the model; None if that is not known.
        """
        here = self.resolved()
        features, starts = ({**given, name: array} for given in (here.features, here.baselines))
        return replace(
            here,
            driver=self.driver.beside(name, samples),
            features=features,
            baselines=starts,
            background={},
            grouping=None,
            known=None,
            given=False,
        )

    def walk(
        self, composite: Composite | str = "gradient", combine: Combine = "raw", *, account: bool = False
    ) -> Answer:
        """Walk back from the scores of all rows.

        Parameters
        ----------
        composite
            Which rules to walk by.
        combine
            What to make of the result.
        account
            Whether to say how much each node keeps.

        Raises
        ------
        NotFiniteError
            If NaN or infinite numbers come out, although the features are finite; it names the node.
        """
        chosen = preset(composite) if isinstance(composite, str) else composite
        return self.ask(Walk(chosen, combine, account))

    def scores(self, points: Arrays | None = None) -> FloatArray:
        """Return the scores of all rows, or of points near them, by a forward pass.

        Parameters
        ----------
        points
            By feature, (m n, ...): m points for each row, the n rows of a point next to each other.  Features
            that are left out stay as they are.  None: the rows themselves.

        Returns
        -------
        (m n,) array.

        Raises
        ------
        NotFiniteError
            If a score is no finite number.
        """
        if points is None:
            return self.ask(Scores()).score if self.known is None else self.known
        m = max((len(v) for v in points.values()), default=self.n) // max(self.n, 1)
        return self.at(points, m).ask(Scores()).score

    def probe(self, values: tuple[str, ...], *, gradients: bool = True) -> Answer:
        """Return values inside the model, and the score's gradients there.

        Parameters
        ----------
        values
            Names of inner values.
        gradients
            Whether gradients are wanted.
        """
        return self.ask(Probe(tuple(values), gradients))

    def ask(self, ask: Ask) -> Answer:
        """Ask about all rows; what is found of the samples themselves is remembered."""
        seen = self.driver.seen
        if self.given and isinstance(ask, Scores) and seen is not None:
            return seen
        answer = self.driver.ask(ask, self.points, predictions=self.given and seen is None)
        if not all_finite(answer.score):
            bad = ~np.isfinite(answer.score)
            raise NotFiniteError(not_finite(int(self.rows[int(np.argmax(bad))]), None))
        if self.given and seen is None:
            self.driver.seen = answer
        return answer

    def here(self) -> Answer:
        """Return what is known of the samples themselves; asks what the method asks if nothing is yet."""
        return self.driver.seen or self.ask(self.driver.needs)

    def resolved(self) -> Problem:
        """Return the problem with what is known of its samples: scores, and the predicted index."""
        driver = self.driver
        if not self.given:
            return self
        if driver.seen is None and not (driver.question.target == "predicted" and (self.target < 0).any()):
            return self
        seen = self.here()
        target = self.target if seen.index is None else seen.index
        if target is self.target and seen.score is self.known:
            return self
        return replace(self, target=target, known=seen.score)


def _repeated(own: Arrays, given: Arrays | None, repeats: int, scratch: Scratch, what: str) -> Arrays:
    """Return arrays (repeats * n, ...): those that are given, and copies of the others."""
    given = given or {}
    unknown = [k for k in given if k not in own]
    if unknown:
        raise DataInputError(f"there is no feature '{unknown[0]}'; the explained ones are {', '.join(own)}")
    for name, array in given.items():
        if len(array) != repeats * len(own[name]):
            raise DataInputError(
                f"the points of '{name}' have {len(array)} rows for {len(own[name])} samples; give as many, "
                "or a multiple (all samples of the first point, then all of the second)"
            )
    return {
        k: given[k] if k in given else v if repeats == 1 else scratch.copies(f"{what} {k}", v, repeats)
        for k, v in own.items()
    }
