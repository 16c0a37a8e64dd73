"""What an explanation gives back: the values, and the proof that comes with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxplain import plots
from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.archive import BROKEN, read_arrays, write_arrays
from onnxplain.errors import DataInputError
from onnxplain.text import visible_line

__all__ = ["Attribution"]

_WHAT = "file written by Attribution.save"


@dataclass(frozen=True, eq=False)
class Attribution:
    """Attributions of one call, for a batch of N samples.

    Attributes
    ----------
    arrays
        Attribution by input name, each with its input's shape (for token inputs: one number per token).
    inputs
        What was explained, by input name: the arrays that were given (or the inner values).
    target
        int64 (N, k): index of the explained score in each sample's output; k = 0 for a single score.
    score
        (N,): the explained score (before Softmax for classifiers, unless told otherwise).
    predictions
        The model's output as the model gives it, (N, ...).
    delta
        (N,): how far the sum of the attributions is from what it must be (None where the method
        promises no sum): score difference for completeness, score for conservation.
    reference
        (N,): what the sum must be (None where the method promises no sum).
    method
        The method, as written in Python.
    output
        Name of the explained output, and of the value inside the graph that was explained for it.
    rule_table
        Rows (node, operator, rule) for methods that modify the backward pass.
    notes
        What a person may want to know: raised opset, batch run one by one, Softmax left out.
    extras
        What else the method knows, by kind: arrays, or arrays by input name.
    """

    arrays: Arrays
    inputs: Arrays
    target: Array
    score: FloatArray
    predictions: Array
    delta: FloatArray | None
    reference: FloatArray | None
    method: str
    output: tuple[str, str] = ("", "")
    rule_table: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> Array | Arrays:
        """The attribution: an array if one input was explained, else a dict by input name."""
        return next(iter(self.arrays.values())) if len(self.arrays) == 1 else self.arrays

    @property
    def relative_delta(self) -> FloatArray | None:
        """(N,): ``|delta| / |reference|``."""
        if self.delta is None or self.reference is None:
            return None
        return np.asarray(np.abs(self.delta) / np.maximum(np.abs(self.reference), 1e-12))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.score)

    def __repr__(self) -> str:
        """Summarise: method, shapes, delta."""
        shapes = ", ".join(f"{visible_line(name)} {a.shape}" for name, a in self.arrays.items())
        relative = self.relative_delta
        check = "" if relative is None else f", |delta| up to {float(np.max(relative, initial=0)):.2%}"
        return f"Attribution({self.method}: {shapes}{check})"

    def plot(self, sample: int = 0, *, name: str | None = None, **options: Any) -> Any:
        """Draw one sample's attribution.

        Parameters
        ----------
        sample
            Which of the batch.
        name
            Which input, if several were explained.
        **options
            Passed on to :func:`onnxplain.plots.draw` (``kind``, ``labels``, ``ax``...).

        Returns
        -------
        matplotlib.figure.Figure
        """
        name = self._name(name)
        return plots.draw(self.arrays[name][sample], self.inputs[name][sample], **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one compressed ``.npz`` file (read it with :meth:`load`).

        The file appears whole or not at all; what stood there before stays until then.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        meta = {
            "method": self.method,
            "output": self.output,
            "rule_table": self.rule_table,
            "notes": self.notes,
        }
        arrays: dict[str, Any] = {f"values/{k}": v for k, v in self.arrays.items()}
        arrays |= {f"inputs/{k}": v for k, v in self.inputs.items()}
        for name in ("target", "score", "predictions", "delta", "reference"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        for kind, item in self.extras.items():
            for name, array in item.items() if isinstance(item, Mapping) else [("", item)]:
                arrays[f"extras/{kind}/{name}"] = np.asarray(array)
        write_arrays(path, {"meta": np.array(json.dumps(meta)), **arrays})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Attribution:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataInputError
            If the file is missing, damaged, or something else.
        """
        content = read_arrays(path, _WHAT)
        try:
            return cls._from_content(content)
        except (AttributeError, RecursionError, *BROKEN) as error:
            raise DataInputError(
                f"'{path}' is no saved attribution ({type(error).__name__}: {error}); give a {_WHAT}"
            ) from error

    @classmethod
    def _from_content(cls, content: Arrays) -> Attribution:
        meta = json.loads(str(content.pop("meta")))
        split: dict[str, dict[str, Any]] = {"values": {}, "inputs": {}, "extras": {}}
        for key in [k for k in content if "/" in k]:
            group, name = key.split("/", 1)
            split[group][name] = content.pop(key)
        extras: dict[str, Any] = {}
        for key, array in split["extras"].items():
            kind, name = key.split("/", 1)
            if name:
                extras.setdefault(kind, {})[name] = array
            else:
                extras[kind] = array
        return cls(
            arrays=split["values"],
            inputs=split["inputs"],
            target=content["target"],
            score=content["score"],
            predictions=content["predictions"],
            delta=content.get("delta"),
            reference=content.get("reference"),
            method=meta["method"],
            output=tuple(meta["output"]),
            rule_table=tuple(tuple(row) for row in meta["rule_table"]),
            notes=tuple(meta["notes"]),
            extras=extras,
        )

    def _name(self, name: str | None) -> str:
        if name is None and len(self.arrays) == 1:
            return next(iter(self.arrays))
        if name not in self.arrays:
            raise DataInputError(f"name one of the explained inputs: {', '.join(self.arrays)}")
        return name
