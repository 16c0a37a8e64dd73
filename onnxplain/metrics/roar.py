"""ROAR, remove and retrain (Hooker et al. 2019): data without features, and what is learned from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from tqdm.auto import tqdm

from onnxplain._types import Array, FloatArray
from onnxplain.archive import read_arrays, write_arrays
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.places import channel_axis
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.retrained import Retrained, Trained, accuracy
from onnxplain.options import Count, Seed, Share, check_fields

__all__ = ["ROAR", "Data", "Orders", "perturbed"]

#: Inputs (N, ...) and classes (N,).
Data: TypeAlias = "tuple[Array, Array]"

#: By name: attributions of the training and of the test samples; or an order to compare with.
Orders: TypeAlias = "Mapping[str, tuple[Array, Array] | Literal['random', 'constant']]"

_ELEMENTS = 1 << 22  # at once
_STREAM = 0x0A12
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ORIGINAL = "original"


def perturbed(x: Array, attributions: Array, share: float, instead: Any, *, keep: bool = False) -> Array:
    """Return samples of which the features that come first are replaced.

    Parameters
    ----------
    x
        (N, ...), numbers.
    attributions
        (N, ...): the highest come first; equal ones in the order of their places.  Axes of length 1 (or left
        out: images' channels) take what lies along them together.
    share
        Of the features of each sample; rounded to a whole number of them.
    instead
        What stands in their place; broadcasts to one sample.
    keep
        Replace all others, instead.

    Returns
    -------
    array, (N, ...), of the dtype of ``x``.

    Raises
    ------
    DataInputError
        If the arrays do not fit.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "fiu" or x.ndim < 2 or x[:1].size == 0:
        raise DataInputError(f"samples are {x.dtype} {x.shape}; features are replaced in numbers (N, ...)")
    ranked = _fitted(np.asarray(attributions), x)
    put = np.asarray(instead)
    try:
        np.broadcast_to(put, x.shape[1:])
    except ValueError:
        raise DataInputError(f"instead has shape {put.shape}, and a sample {x.shape[1:]}") from None
    if x.dtype.kind in "iu":
        put = np.rint(put)
    put = put.astype(x.dtype)
    size = ranked[0].size
    count = round(share * size)
    made = np.empty_like(x)
    step = max(1, _ELEMENTS // max(x[0].size, size))
    for first in range(0, len(x), step):
        some = ranked[first : first + step]
        flat = some.reshape(len(some), size)
        chosen = np.zeros((len(some), size), bool)
        order = np.argsort(-flat, axis=1, kind="stable")[:, :count]
        np.put_along_axis(chosen, order, values=True, axis=1)
        gone = chosen.reshape(some.shape) != keep
        made[first : first + step] = np.where(gone, put, x[first : first + step])
    return made


def _fitted(a: Array, x: Array) -> FloatArray:
    """Return attributions with the axes of the samples, each as long or of length 1."""
    given = a.shape
    if a.ndim == x.ndim - 1:
        channel = channel_axis(x.shape[1:])
        a = a if channel is None else np.expand_dims(a, 1 + channel)
    fits = a.ndim == x.ndim and len(a) == len(x)
    if not fits or any(s not in (1, d) for s, d in zip(a.shape[1:], x.shape[1:], strict=True)):
        raise DataInputError(
            f"attributions have shape {given}, and the samples {x.shape}; give one number for each element, "
            "or each place of an image, for each sample"
        )
    if a.dtype.kind not in "fiub":
        raise DataInputError(f"attributions must be numbers, not {a.dtype}")
    made = a.astype(np.float64)
    if not np.isfinite(made).all():
        raise DataInputError("attributions hold NaN or infinite numbers; give finite ones")
    return made


@dataclass(frozen=True)
class ROAR:
    """Remove and retrain (Hooker et al. 2019): what is learned without what explanations call important.

    In every training and test sample the top share of the features is replaced, and a model is trained anew
    on what is left, and tested on the same: accuracy falls fast where the explanation had found what carries
    the information.  Since the new model knows the replaced data, it is not taken by surprise by them, as one
    is that was trained on whole samples.  What a method must beat is ``"random"``, an order drawn for each
    sample.

    An explanation of the *true* class tells the class by where the holes are; explain what is predicted.

    Parameters
    ----------
    shares
        Of the features that are replaced (each a model to train, for each run).
    instead
        What stands in their place: ``"mean"`` is that of the training samples, for each channel of images
        and each column of a table; or a number.
    keep
        Replace all other features, and keep these (KAR, keep and retrain).
    n_runs
        How many models are trained on each data set, with other seeds.
    seed
        Of the first run; the next have the next.  It also draws the order ``"random"``.

    Examples
    --------
    >>> roar = ox.metrics.ROAR(shares=(0.1, 0.5, 0.9))  # doctest: +SKIP
    >>> orders = {"saliency": (of_train, of_test), "random": "random"}  # doctest: +SKIP
    >>> roar(trainer, (x, y), (x_test, y_test), orders).table()  # doctest: +SKIP
    """

    shares: tuple[Share, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    instead: float | Literal["mean"] = "mean"
    keep: bool = False
    n_runs: Count = 1
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, MethodError)
        inside = all(0 < s <= 1 for s in self.shares)
        if not self.shares or not inside or list(self.shares) != sorted(set(self.shares)):
            raise MethodError(f"ROAR: shares are {self.shares}; give some above 0, ascending")

    def __call__(
        self,
        trainer: Callable[[Array, Array, int], Trained],
        train: Data,
        test: Data,
        orders: Orders,
        *,
        progress: bool = False,
    ) -> Retrained:
        """Train models on all data sets, and test them.

        Parameters
        ----------
        trainer
            From inputs, classes and a seed to a model: an explainer, what that takes, or a function from
            inputs to scores or labels.
        train, test
            Inputs and classes.
        orders
            By name: the attributions of both, or ``"random"``, ``"constant"``.
        progress
            Show a bar.

        Raises
        ------
        DataInputError
            If the arrays do not fit; before anything is trained.
        """
        self._check(train, test, orders)
        total = (1 + len(orders) * len(self.shares)) * self.n_runs
        found: dict[str, list[list[float]]] = {}
        with tqdm(total=total, disable=not progress, desc="training") as bar:
            for name, _, x, x_test in self.sets(train, test, orders):
                runs = []
                for run in range(self.n_runs):
                    runs.append(accuracy(trainer(x, train[1], self.seed + run), x_test, test[1]))
                    bar.update()
                found.setdefault(name, []).append(runs)
        return self._retrained(found)

    def sets(self, train: Data, test: Data, orders: Orders) -> Iterator[tuple[str, float, Array, Array]]:
        """Make the data sets, one at a time: name of the order, share, training and test inputs.

        The first is the whole one, called ``"original"``, with a share of 0 (1 where features are kept).
        """
        self._check(train, test, orders)
        put = self._put(np.asarray(train[0]))
        yield _ORIGINAL, float(self.keep), np.asarray(train[0]), np.asarray(test[0])
        for name, given in orders.items():
            for share in self.shares:
                pair = [
                    perturbed(x, self._attributions(given, x, k), share, put, keep=self.keep)
                    for k, (x, _) in enumerate((train, test))
                ]
                yield name, share, pair[0], pair[1]

    def write(self, folder: str | PathLike[str], train: Data, test: Data, orders: Orders) -> list[Path]:
        """Write the data sets, for a training elsewhere.

        Parameters
        ----------
        folder
            Made if it is missing.  It gets ``original.npz`` and ``<name>/<share>.npz``, each with ``x``,
            ``y``, ``x_test``, ``y_test``.
        train, test, orders
            As :meth:`__call__` takes them.

        Returns
        -------
        list of Path
            The files.  Put the trained model beside each under its name (``0.5.onnx``, or several as
            ``0.5-1.onnx``, ``0.5-2.onnx``), and call :meth:`compare`.

        Raises
        ------
        DataInputError
            If the arrays do not fit.
        OutputError
            If a file cannot be written.
        """
        written = []
        for name, share, x, x_test in self.sets(train, test, orders):
            path = self._path(Path(folder), name, share)
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {"x": x, "y": np.asarray(train[1]), "x_test": x_test, "y_test": np.asarray(test[1])}
            write_arrays(path, arrays)
            written.append(path)
        return written

    def compare(self, folder: str | PathLike[str]) -> Retrained:
        """Test the models that were trained on the data sets in a folder; see :meth:`write`.

        Raises
        ------
        DataInputError
            If a data set or its model is missing, or some have more models than others.
        """
        top = Path(folder)
        found: dict[str, list[list[float]]] = {}
        names = sorted(p.name for p in top.iterdir() if p.is_dir()) if top.is_dir() else []
        for name in (_ORIGINAL, *names):
            for share in (1.0,) if name == _ORIGINAL else self.shares:
                path = self._path(top, name, share)
                held = read_arrays(path, "data set that ROAR.write has written")
                missing = [k for k in ("x_test", "y_test") if k not in held]
                if missing:
                    raise DataInputError(f"'{path}' has no '{missing[0]}'; give what ROAR.write has written")
                stem = path.name.removesuffix(".npz")
                models = sorted([*path.parent.glob(f"{stem}.onnx"), *path.parent.glob(f"{stem}-*.onnx")])
                if not models:
                    raise DataInputError(f"there is no model '{stem}.onnx' beside '{path}'; train it first")
                runs = [accuracy(model, held["x_test"], held["y_test"]) for model in models]
                found.setdefault(name, []).append(runs)
        numbers = {len(runs) for kept in found.values() for runs in kept}
        if len(numbers) > 1:
            raise DataInputError(
                f"data sets in '{folder}' have from {min(numbers)} to {max(numbers)} models; "
                "train as many on each"
            )
        return self._retrained(found)

    def _retrained(self, found: Mapping[str, list[list[float]]]) -> Retrained:
        whole = found[_ORIGINAL]
        shares = np.array([*self.shares, 1.0] if self.keep else [0.0, *self.shares])
        rows = {k: v for k, v in found.items() if k != _ORIGINAL}
        curves = {k: np.array(v + whole if self.keep else whole + v) for k, v in rows.items()}
        return Retrained(shares, curves, self.keep)

    def _put(self, x: Array) -> Any:
        if self.instead != "mean":
            return self.instead
        if x.ndim == 2:
            return x.mean(0, dtype=np.float64)
        channel = channel_axis(x.shape[1:])
        axes = tuple(k for k in range(x.ndim) if channel is None or k != 1 + channel)
        return x.mean(axes, dtype=np.float64, keepdims=True)[0]

    def _attributions(self, given: Any, x: Array, which: int) -> Array:
        if not isinstance(given, str):
            return np.asarray(given[which])
        x = np.asarray(x)
        channel = channel_axis(x.shape[1:])
        shape = [1 if k == channel else d for k, d in enumerate(x.shape[1:])]
        if given == "constant":
            return np.ones((len(x), *shape))
        return uniforms(self.seed, _STREAM + which, 0, len(x), int(np.prod(shape))).reshape(len(x), *shape)

    def _check(self, train: Data, test: Data, orders: Orders) -> None:
        for what, (x, y) in (("training", train), ("test", test)):
            if np.ndim(x) < 2 or np.shape(y) != (len(x),) or not len(x):
                raise DataInputError(
                    f"{what} data are inputs {np.shape(x)} and classes {np.shape(y)}; give (N, ...) and (N,)"
                )
        if np.shape(train[0])[1:] != np.shape(test[0])[1:]:
            shapes = np.shape(train[0])[1:], np.shape(test[0])[1:]
            raise DataInputError(f"training samples have shape {shapes[0]}, and test samples {shapes[1]}")
        if not orders:
            raise DataInputError("there is no order to take features away in; give attributions by name")
        for name, given in orders.items():
            if not isinstance(name, str) or name == _ORIGINAL or _NAME.fullmatch(name) is None:
                raise MethodError(f"{name!r} cannot name an order; use letters, digits, '_', '.' and '-'")
            if isinstance(given, str):
                if given not in ("random", "constant"):
                    raise MethodError(
                        f"there is no order {given!r}; give attributions, 'random' or 'constant'"
                    )
                continue
            if not isinstance(given, (tuple, list)) or len(given) != 2:
                raise DataInputError(f"'{name}' takes attributions of the training and of the test samples")
            for a, (x, _) in zip(given, (train, test), strict=True):
                _fitted(np.asarray(a), np.asarray(x))

    def _path(self, folder: Path, name: str, share: float) -> Path:
        return folder / f"{_ORIGINAL}.npz" if name == _ORIGINAL else folder / name / f"{share:g}.npz"
