"""What was measured of some samples: in files, and joined with that of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.errors import OnnxplainError
from onnxplain.metrics import METRICS, Curve, Measured, Metric

__all__ = ["WrittenMetric", "joined", "metric_from", "metric_record", "packed", "unpacked"]


class WrittenMetric:
    """A metric of which only the written form is known; prints as the metric would.

    Attributes
    ----------
    name, higher_is_better
        As the metric has them.
    """

    def __init__(self, name: str, written: str, higher_is_better: bool | None) -> None:
        self.name, self.higher_is_better, self._written = name, higher_is_better, written

    def __repr__(self) -> str:
        """Write the metric."""
        return self._written


def metric_record(metric: Metric | WrittenMetric) -> dict[str, Any]:
    """Describe a metric by what JSON holds."""
    record: dict[str, Any] = {
        "name": metric.name, "written": repr(metric), "higher_is_better": metric.higher_is_better,
    }  # fmt: skip
    parameters = _parameters(metric) if isinstance(metric, Metric) else None
    return record | {"parameters": parameters}


def metric_from(record: Mapping[str, Any]) -> Any:
    """Make the metric that was described, or return its written form where that cannot be.

    Raises
    ------
    KeyError, TypeError
        If this is no such description.
    """
    name, written, parameters = str(record["name"]), str(record["written"]), record["parameters"]
    higher = record["higher_is_better"]
    if higher not in (None, True, False):
        raise TypeError("higher_is_better is no truth value")
    if parameters is not None and name in METRICS:
        try:
            made = METRICS[name](**{k: _tuples(v) for k, v in parameters.items()})
        except (OnnxplainError, TypeError, ValueError):
            return WrittenMetric(name, written, higher)
        if repr(made) == written:
            return made
    return WrittenMetric(name, written, higher)


def packed(measured: Measured) -> tuple[dict[str, Any], Arrays]:
    """Return what was measured as facts that JSON holds, and arrays by name; the metric apart."""
    arrays: Arrays = {"values": measured.values}
    for k, curve in enumerate(measured.curves.values()):
        arrays |= {f"curves/{k}/at": np.asarray(curve.at), f"curves/{k}/values": np.asarray(curve.values)}
    for k, extra in enumerate(measured.extras.values()):
        held = np.asarray(extra)
        arrays[f"extras/{k}"] = held.astype(str) if held.dtype.kind == "O" else held
    facts = {
        "method": measured.method,
        "notes": list(measured.notes),
        "curves": [[name, c.along, c.what, list(c.names)] for name, c in measured.curves.items()],
        "extras": list(measured.extras),
    }
    return facts, arrays


def unpacked(facts: Mapping[str, Any], arrays: Arrays, metric: Any) -> Measured:
    """Return what :func:`packed` took apart.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is something else.
    """
    curves = {
        name: Curve(
            arrays[f"curves/{k}/at"], arrays[f"curves/{k}/values"], along, what, tuple(map(str, names))
        )
        for k, (name, along, what, names) in enumerate(facts["curves"])
    }
    extras = {name: arrays[f"extras/{k}"] for k, name in enumerate(facts["extras"])}
    values = np.asarray(arrays["values"], np.float64)
    if values.ndim != 1:
        raise ValueError("values are not one for each sample")
    return Measured(values, metric, str(facts["method"]), curves, extras, tuple(map(str, facts["notes"])))


def joined(parts: Sequence[Measured], names: Sequence[str]) -> Measured:
    """Join what was measured of some samples after others.

    Curves that are shorter than others stay where they end; extras that differ in shape behind the samples
    are left out.

    Parameters
    ----------
    parts
        In order.
    names
        What to say before the notes of each part.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    curves = {}
    for name, curve in first.curves.items():
        if all(name in p.curves for p in parts):
            curves[name] = _joined_curves([p.curves[name] for p in parts], curve)
    extras: dict[str, Array] = {}
    for name in first.extras:
        held = [np.asarray(p.extras[name]) for p in parts if name in p.extras]
        if len(held) == len(parts) and len({h.shape[1:] for h in held}) == 1 and held[0].ndim:
            extras[name] = np.concatenate(held)
    notes = [note for p in parts for note in p.notes]
    if len(set(notes)) > 1 or len(notes) != len(parts):  # a note that all have is about all
        notes = [f"{name}{note}" for p, name in zip(parts, names, strict=True) for note in p.notes]
    values = np.concatenate([p.values for p in parts])
    return Measured(values, first.metric, first.method, curves, extras, tuple(dict.fromkeys(notes)))


def _joined_curves(curves: Sequence[Curve], first: Curve) -> Curve:
    same = all(c.at.shape == first.at.shape and np.array_equal(c.at, first.at) for c in curves)
    if first.at.ndim == 1 and same:
        names = first.names if all(c.names == first.names for c in curves) else ()
        return Curve(first.at, np.concatenate([c.values for c in curves]), first.along, first.what, names)
    longest = max(c.values.shape[1] for c in curves)

    def stretched(array: Array) -> Array:
        return np.pad(array, ((0, 0), (0, longest - array.shape[1])), mode="edge")

    at = [stretched(np.broadcast_to(c.at, c.values.shape)) for c in curves]
    return Curve(
        np.concatenate(at), np.concatenate([stretched(c.values) for c in curves]), first.along, first.what
    )


def _parameters(metric: Metric) -> dict[str, Any] | None:
    """Return a metric's parameters as JSON holds them; None if it cannot."""
    try:
        return {f.name: _plain(getattr(metric, f.name)) for f in fields(metric)}
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    raise TypeError(f"JSON holds no {type(value).__name__}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
