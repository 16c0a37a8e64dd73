"""Rows of a table whose columns are drawn apart, each from a background's own column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.runtime.problem import Problem

__all__ = ["Column", "DrawnRows", "columns_of"]


@dataclass(frozen=True, eq=False)
class Column:
    """What stands in one element of a sample.

    Attributes
    ----------
    name
        Of the feature.
    place
        Of the element in a sample, counted flat.
    rows
        (M,): what the background has there.
    """

    name: str
    place: int
    rows: Array

    @property
    def ordered(self) -> bool:
        """Whether these are numbers, that can be more or less."""
        return self.rows.dtype.kind in "fiu"


def columns_of(features: Arrays, background: Mapping[str, Array]) -> list[Column]:
    """List the elements of all features, with what a background has there."""
    made = []
    for name in features:
        flat = background[name].reshape(len(background[name]), -1)
        made += [Column(name, k, flat[:, k]) for k in range(flat.shape[1])]
    return made


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """Drawn rows, the same for each row of the problem.

    Attributes
    ----------
    table
        By feature, (K, ...).
    """

    table: Mapping[str, Array]

    def count(self, problem: Problem) -> int:
        """Return how many there are."""
        return len(next(iter(self.table.values())))

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take some of them."""
        n = problem.n
        made: Arrays = {k: np.repeat(v[steps], n, axis=0) for k, v in self.table.items()}
        return problem.at(made, steps.stop - steps.start)

    @classmethod
    def drawn(
        cls, columns: list[Column], features: Arrays, samples: int, seed: int, noisy: bool
    ) -> tuple[DrawnRows, list[Array]]:
        """Draw rows.

        Parameters
        ----------
        columns, features
            What is drawn from, and where it belongs.
        samples
            How many.
        seed
            Same seed, same bits.
        noisy
            Columns of floats are drawn from a normal distribution with the background's mean and standard
            deviation, instead of from its values.

        Returns
        -------
        The rows, and what was drawn, (K,), by column.
        """
        table = {k: np.empty((samples, int(np.prod(v.shape[1:]))), v.dtype) for k, v in features.items()}
        parts: list[Array] = []
        for k, column in enumerate(columns):
            rng = np.random.default_rng([seed % 2**32, seed >> 32, k])
            values = column.rows[rng.integers(0, len(column.rows), samples)]
            if noisy and column.rows.dtype.kind == "f":
                wide: FloatArray = column.rows.astype(np.float64)
                values = (wide.mean() + wide.std() * rng.standard_normal(samples)).astype(values.dtype)
            table[column.name][:, column.place] = values
            parts.append(values)
        shaped = {k: v.reshape(samples, *features[k].shape[1:]) for k, v in table.items()}
        return cls(shaped), parts
