"""What an explanation gives back: the values, and the proof that comes with them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnxplain import interchange, plots
from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.archive import BROKEN, read_arrays, write_arrays
from onnxplain.checks import Check, Completeness, Conservation
from onnxplain.errors import DataInputError, OutputError
from onnxplain.json_arrays import read_json, write_json
from onnxplain.options import Weight, check_option
from onnxplain.result_file import packed, unpacked
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
        int64 (N, k): index of the explained score in each sample's output; k = 0 for a single score.  Or
        floats (N, ...) like that output: the weights of the sum that was explained.
    score
        (N,): the explained score (before Softmax for classifiers, unless told otherwise).
    predictions
        The model's output as the model gives it, (N, ...).
    check
        What can be checked: :class:`~onnxplain.checks.Completeness` or
        :class:`~onnxplain.checks.Conservation`, with ``reference`` and ``delta``;
        :class:`~onnxplain.checks.StandardError`, with ``errors``; or
        :class:`~onnxplain.checks.Unchecked`.  :meth:`verify` holds it to a tolerance.
    method
        The method; of a loaded result its written form (a text) where it cannot be made from the file:
        with a function, a composite of one's own or one from a file.
    output
        Name of the explained output, and of the value inside the graph that was explained for it.
    rule_table
        Rows (node, operator, rule) for methods that modify the backward pass.
    notes
        What a person may want to know: raised opset, batch run one by one, Softmax left out.
    extras
        What else the method knows, by kind: arrays, or arrays by input name.
    model_hash
        SHA-256 of the model's content as it was read, see :func:`onnxplain.graph.content.content_hash`.
    seed
        What the method's random numbers were made from; None if it has none.
    versions
        Of onnxplain, onnxruntime, onnx and numpy.
    feature_names
        By input name, for each axis behind the samples' the names of its entries, or None: of the columns
        where a table was explained.  Where there is
        one such axis its names alone will do: ``replace(result, feature_names={"x": ("age", "height")})``.
    sample_axes
        By input name, the axis of ``arrays`` along which samples lie (0 if it is not named here); None where
        the array is one sample.

    Raises
    ------
    DataInputError
        If names of features do not fit.
    """

    arrays: Arrays
    inputs: Arrays
    target: Array
    score: FloatArray
    predictions: Array
    check: Check
    method: object
    output: tuple[str, str] = ("", "")
    rule_table: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
    model_hash: str = ""
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    feature_names: Mapping[str, Any] | None = None
    sample_axes: Mapping[str, int | None] = field(default_factory=dict)

    @classmethod
    def made(cls, **fields: Any) -> Attribution:
        """Make a result of all fields, by name: as the class does it, in a seventh of the time."""
        found = object.__new__(cls)
        object.__setattr__(found, "__dict__", fields)
        if fields["feature_names"] is not None:
            found.__post_init__()
        return found

    def __post_init__(self) -> None:
        if self.feature_names is not None:
            named = {k: self._checked(k, v) for k, v in self.feature_names.items()}
            object.__setattr__(self, "feature_names", named)

    @property
    def values(self) -> Array | Arrays:
        """The attribution: an array if one input was explained, else a dict by input name."""
        return next(iter(self.arrays.values())) if len(self.arrays) == 1 else self.arrays

    @property
    def reference(self) -> FloatArray | None:
        """(N,): what each sample's attributions must sum to; None where the method promises no sum."""
        return self.check.reference

    @property
    def delta(self) -> FloatArray | None:
        """(N,): how far their sum is from that."""
        return self.check.delta

    @property
    def relative_delta(self) -> FloatArray | None:
        """(N,): ``|delta| / |reference|``."""
        return self.check.relative_delta

    @property
    def written_method(self) -> str:
        """The method, as written in Python."""
        return visible_line(repr(self.method))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.score)

    def __repr__(self) -> str:
        """Summarise: method, shapes, delta."""
        shapes = ", ".join(f"{visible_line(name)} {a.shape}" for name, a in self.arrays.items())
        relative = self.relative_delta
        check = "" if relative is None else f", |delta| up to {float(np.max(relative, initial=0)):.2%}"
        return f"Attribution({self.written_method}: {shapes}{check})"

    def verify(self, rtol: float = 0.05, *, atol: float = 0.0) -> Attribution:
        """Hold the explanation to what its method promises.

        Parameters
        ----------
        rtol
            How far a sum may be off, relative to what it must be; or how large the standard error may be,
            relative to the attributions (both as norms over a sample).
        atol
            What is allowed on top, in the units of the score.

        Returns
        -------
        Attribution
            The result itself: ``values = explainer(x, 3).verify().values``.

        Raises
        ------
        CheckFailedError
            If a sample is further off (the message names the worst), or the method promises nothing.
        """
        self.check.verify(check_option("rtol", rtol, Weight), check_option("atol", atol, Weight))
        return self

    def plot(self, sample: int = 0, *, name: str | None = None, kind: str = "auto", **options: Any) -> Any:
        """Draw one sample's attribution, or those of a table.

        Parameters
        ----------
        sample
            Which of the batch.
        name
            Which input, if several were explained; several columns of one table are one picture.
        kind
            As :func:`onnxplain.plots.draw` and :func:`onnxplain.plots.draw_table` know them.
        **options
            Passed on to these (``labels``, ``title``, ``ax``, ``feature``...).

        Returns
        -------
        matplotlib.figure.Figure
        """
        if kind == "auto" and name is None and self.feature_names and len(self.arrays) > 1:
            kind = "waterfall"
        if kind in plots.TABLE_KINDS:
            pairs = self.extras.get("interactions")
            if isinstance(pairs, Mapping):
                pairs = pairs.get(self._name(name))
            return plots.draw_table(self.by_column(name), kind, sample=sample, interactions=pairs, **options)
        name = self._name(name)
        named = (self.feature_names or {}).get(name, ())
        if len(named) == 1 and named[0] is not None and kind in ("auto", "bars"):
            options.setdefault("labels", named[0])
        if not -len(self) <= sample < len(self):
            raise DataInputError(f"there is no sample {sample}; there are {len(self)}")
        shown = (self._by_sample(name, a[name])[sample] for a in (self.arrays, self.inputs))
        return plots.draw(*shown, kind=kind, **options)

    def by_column(self, name: str | None = None) -> plots.TableView:
        """Return attributions and inputs as one table: a row for each sample, a column for each of theirs.

        Parameters
        ----------
        name
            Which input; by default all that were explained, side by side.

        Raises
        ------
        DataInputError
            If an input is no table.
        """
        wanted = list(self.arrays) if name is None else [self._name(name)]
        base: FloatArray | None = None
        if isinstance(self.check, (Completeness, Conservation)):
            base = np.asarray(self.score - self.check.reference)
        return plots.table_view(
            {k: self._by_sample(k, self.arrays[k]) for k in wanted},
            {k: self._by_sample(k, self.inputs[k]) for k in wanted},
            self.feature_names or {},
            self.extras.get("groups", {}),
            self.score,
            base,
        )

    def to_shap(self, sample: int | slice = slice(None), *, name: str | None = None) -> Any:
        """Return what shap's plots take; needs the package shap.

        Parameters
        ----------
        sample
            Which of the batch.
        name
            Which input, if several were explained; the columns of one table go together.

        Returns
        -------
        shap.Explanation
            ``base_values`` plus the sum of ``values`` is the score where the method promises completeness:
            they are the score of the baseline (and what the other explained inputs add, and the missing
            ``delta``).  They are 0 under conservation, and None where no sum is promised.

        Raises
        ------
        OptionalDependencyError
            If shap is not installed.
        DataInputError
            If several inputs were explained and none is named.
        """
        names: interchange.AxisNames | None
        if name is None and self.feature_names and len(self.arrays) > 1:
            view = self.by_column()
            values, data, names = view.values, view.data, (view.names,)
        else:
            name = self._name(name)
            values, data = (self._by_sample(name, a[name]) for a in (self.arrays, self.inputs))
            names = (self.feature_names or {}).get(name)
        base: FloatArray | None = None
        if isinstance(self.check, Completeness):
            base = self.score - values.reshape(len(values), -1).astype(np.float64).sum(1)
        elif isinstance(self.check, Conservation):
            base = np.zeros(len(values))
        return interchange.shap_explanation(
            values[sample], data[sample], None if base is None else base[sample], names
        )

    def to_xarray(self) -> Any:
        """Return attributions and inputs with named dimensions; needs the package xarray.

        Returns
        -------
        xarray.Dataset
            By input name the attributions, samples first, and the input as ``<name>_input``; the
            dimensions are ``sample`` and ``<name>_1``, ``<name>_2``..., with ``feature_names`` as their
            coordinates; score, reference and delta are coordinates of the samples.

        Raises
        ------
        OptionalDependencyError
            If xarray is not installed.
        """
        attributes = {
            "method": self.written_method,
            "check": self.check.kind,
            "output": self.output[0],
            "explained_value": self.output[1],
            "model_hash": self.model_hash,
            "notes": list(self.notes),
            **({} if self.seed is None else {"seed": self.seed}),
            **{f"{package}_version": version for package, version in self.versions.items()},
        }
        return interchange.dataset(
            {k: self._by_sample(k, v) for k, v in self.arrays.items()},
            {k: self._by_sample(k, self.inputs[k]) for k in self.arrays},
            {"score": self.score, "reference": self.reference, "delta": self.delta},
            self.feature_names or {},
            attributes,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one file, which :meth:`load` reads.

        ``.json`` is for reading elsewhere (see :func:`onnxplain.json_arrays.write_json`); ``.npz``, or no
        ending, gives a compressed archive.  The file appears whole or not at all; what stood there before
        stays until then.

        Raises
        ------
        OutputError
            If it cannot be written, or its ending stands for something else.
        """
        if _ending(path) not in ("", ".npz", ".json"):
            raise OutputError(f"cannot write '{path}': results are saved as .npz or .json; end it so")
        meta, arrays = packed(self)
        if _ending(path) == ".json":
            write_json(path, meta, arrays)
        else:
            write_arrays(path, {"meta": np.array(json.dumps(meta)), **arrays})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Attribution:
        """Read what :meth:`save` wrote, also by an earlier version.

        Raises
        ------
        DataInputError
            If the file is missing, damaged, or something else.
        """
        if _ending(path) == ".json":
            meta, content = read_json(path, _WHAT)
        else:
            meta, content = {}, read_arrays(path, _WHAT)
        try:
            return cls(**unpacked(meta or json.loads(str(content.pop("meta"))), content))
        except BROKEN as error:
            raise DataInputError(
                f"'{path}' is no saved attribution ({type(error).__name__}: {error}); give a {_WHAT}"
            ) from error

    def _name(self, name: str | None) -> str:
        if name is None and len(self.arrays) == 1:
            return next(iter(self.arrays))
        if name not in self.arrays:
            raise DataInputError(f"name one of the explained inputs: {', '.join(self.arrays)}")
        return name

    def _by_sample(self, name: str, array: Array) -> Array:
        """Return an array of an input's shape with the samples' axis first, (N, ...)."""
        axis = self.sample_axes.get(name, 0)
        return array[None] if axis is None else np.moveaxis(array, axis, 0)

    def _checked(self, name: str, given: Any) -> tuple[tuple[str, ...] | None, ...]:
        """Return names of features as one tuple (or None) for each axis behind the samples'."""
        if name not in self.arrays:
            raise DataInputError(
                f"feature_names has '{name}', which was not explained; there are: {', '.join(self.arrays)}"
            )
        shape = self._by_sample(name, self.arrays[name]).shape[1:]
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise DataInputError(f"feature_names of '{name}' are {given!r}; give a tuple of names")
        if len(shape) == 1 and all(isinstance(entry, str) for entry in given):
            given = (given,)
        fits = len(given) == len(shape) and all(
            e is None or (isinstance(e, Sequence) and not isinstance(e, str) and len(e) == n)
            for e, n in zip(given, shape, strict=True)
        )
        if not fits:
            raise DataInputError(
                f"feature_names of '{name}' do not fit its axes behind the samples, of lengths {shape}; give "
                "for each of them a tuple of as many names, or None"
            )
        return tuple(None if entries is None else tuple(map(str, entries)) for entries in given)


def _ending(path: object) -> str:
    return Path(path).suffix.lower() if isinstance(path, (str, os.PathLike)) else ""
