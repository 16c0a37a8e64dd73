"""Models of tables, in the two layouts in which they are exported, and stand-ins for data frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx


def make(graph: str, *, opset: int = 19, **weights: Any) -> onnx.ModelProto:
    """Parse a graph, and add the weights that it names (lists become float32)."""
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{graph}')
    for name, content in weights.items():
        array = content if isinstance(content, np.ndarray) else np.asarray(content, np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return made


def matrix(width: int = 3, names: str | None = None) -> onnx.ModelProto:
    """(N, C) to (N, 1): ``y = sum_i (i + 1) x_i``; names of columns in the metadata, as they stand."""
    made = make(
        f"m (float[N, {width}] x) => (float[N, 1] y) {{ y = MatMul(x, w) }}",
        w=np.arange(1, width + 1, dtype=np.float32).reshape(width, 1),
    )
    if names is not None:
        onnx.helper.set_model_props(made, {"feature_names": names})
    return made


def by_column() -> onnx.ModelProto:
    """Inputs age, income (floats; NaN counts as 10), city (text, "Rome" counts as 5), children (integers)."""
    return make(
        """m (float[N, 1] age, float[N, 1] income, string[N, 1] city, int64[N, 1] children)
            => (float[N, 1] y) <string[1] rome = {"Rome"}> {
          hole = IsNaN(income)
          filled = Where(hole, ten, income)
          there = Equal(city, rome)
          where = Cast<to = 1>(there)
          five = Mul(where, fives)
          kids = Cast<to = 1>(children)
          a = Add(age, filled)
          b = Add(five, kids)
          y = Add(a, b)
        }""",
        opset=19, ten=[10.0], fives=[5.0],
    )  # fmt: skip


class Frame:
    """Does what data frames of pandas and polars do, and no more."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._held = {k: Series(v) for k, v in columns.items()}

    @property
    def columns(self) -> list[str]:
        return list(self._held)

    def __getitem__(self, name: str) -> Series:
        return self._held[name]

    def to_numpy(self) -> np.ndarray:
        raise AssertionError("a frame is read column by column")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("a frame is read column by column")


class Series:
    """One column of it."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)

    def to_numpy(self) -> np.ndarray:
        return self._values

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self._values


class ArrowTable:
    """Does what Arrow's tables do: ``columns`` are no names there."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._held = {k: Series(v) for k, v in columns.items()}
        self.column_names = list(columns)
        self.columns = list(self._held.values())

    def __getitem__(self, name: str) -> Series:
        return self._held[name]


def structured(columns: dict[str, Any]) -> np.ndarray:
    """Return a structured array."""
    arrays = {k: np.asarray(v) for k, v in columns.items()}
    made = np.zeros(len(next(iter(arrays.values()))), [(k, v.dtype) for k, v in arrays.items()])
    for name, array in arrays.items():
        made[name] = array
    return made
