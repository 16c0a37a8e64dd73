"""Explanations as other packages hold them: ``shap.Explanation`` and ``xarray.Dataset``.

Neither package is needed for anything else; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.errors import OptionalDependencyError

__all__ = ["AxisNames", "dataset", "free_name", "optional_package", "shap_explanation"]

#: Names of the entries of each axis behind the samples', or None.
AxisNames = Sequence[Sequence[str] | None]


def shap_explanation(values: Array, data: Array, base_values: Any, names: AxisNames | None) -> Any:
    """Make a ``shap.Explanation``.

    Parameters
    ----------
    values, data
        Attributions and what was explained, (N, ...), or (...) for one sample.
    base_values
        What the values are added to, (N,), or a number for one sample; None where sums mean nothing.
    names
        Names of features; shap has those of one axis.

    Raises
    ------
    OptionalDependencyError
        If shap is not installed.
    """
    listed = None if names is None or len(names) != 1 or names[0] is None else list(names[0])
    kind = optional_package("shap", "to_shap()").Explanation
    return kind(values=values, base_values=base_values, data=data, feature_names=listed)


def dataset(
    arrays: Arrays,
    inputs: Arrays,
    by_sample: Mapping[str, FloatArray | None],
    names: Mapping[str, AxisNames],
    attributes: Mapping[str, Any],
) -> Any:
    """Make an ``xarray.Dataset``.

    Parameters
    ----------
    arrays, inputs
        By input, (N, ...).
    by_sample
        Coordinates of the samples, (N,) each; None is left out.
    names
        By input, the names of its axes' entries, which become coordinates.
    attributes
        Of the whole.

    Returns
    -------
    xarray.Dataset
        The attributions by input, and what was explained as ``<input>_input``.  Dimensions are ``sample`` and
        ``<input>_1``, ``<input>_2``...  A name that an input has already gets a ``_``.

    Raises
    ------
    OptionalDependencyError
        If xarray is not installed.
    """
    xarray = optional_package("xarray", "to_xarray()")
    taken = set(arrays)
    sample = free_name("sample", taken)
    coordinates: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for name, array in arrays.items():
        dims = [sample, *(free_name(f"{name}_{k}", taken) for k in range(1, array.ndim))]
        for dim, entries in zip(dims[1:], names.get(name, ()), strict=False):
            if entries is not None:
                coordinates[dim] = (dim, list(entries))
        variables[name] = (dims, array)
        variables[free_name(f"{name}_input", taken)] = (dims, inputs[name])
    for name, numbers in by_sample.items():
        if numbers is not None:
            coordinates[free_name(name, taken)] = (sample, numbers)
    return xarray.Dataset(variables, coordinates, dict(attributes))


def free_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def optional_package(name: str, use: str, extra: str | None = None) -> Any:
    """Import a package that is needed for one thing alone.

    Parameters
    ----------
    name
        Of the package.
    use
        What needs it, for the error.
    extra
        The extra of this package that brings it; None if none does.

    Raises
    ------
    OptionalDependencyError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        way = name.partition(".")[0] if extra is None else f"'onnxplain[{extra}]'"
        raise OptionalDependencyError(
            f"{use} needs the package {name}, which cannot be imported ({error}); pip install {way}"
        ) from error
