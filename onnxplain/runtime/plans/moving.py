"""Recipes for points that can be made on a GPU."""

from __future__ import annotations

import abc

from onnxplain.kernels._native import FLOAT_DTYPES
from onnxplain.runtime.problem import Problem

__all__ = ["OnDevice", "only_floats", "only_numbers"]


class OnDevice(abc.ABC):
    """Marks recipes whose points are made where the rows are: by kernels that have a form there."""

    @abc.abstractmethod
    def held_back(self, problem: Problem) -> str | None:
        """Say why the points of a problem must be made on the host; None where they need not."""


def only_floats(problem: Problem) -> str | None:
    """Say which feature is made of other numbers than the kernels compute with."""
    other = next((k for k, v in problem.features.items() if v.dtype not in FLOAT_DTYPES), None)
    return None if other is None else f"'{other}' is {problem.features[other].dtype}"


def only_numbers(problem: Problem) -> str | None:
    """Say which feature has elements that cannot be moved as words."""
    for name, array in problem.features.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.dtype.isnative:
            return f"'{name}' is {'texts' if array.dtype.kind in 'OU' else array.dtype}"
    return None
