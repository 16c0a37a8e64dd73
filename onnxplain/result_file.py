"""What a saved result consists of: facts that JSON holds, and arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxplain._types import Arrays
from onnxplain.checks import Check, Completeness, Conservation, StandardError, Unchecked
from onnxplain.written import from_record, to_record

__all__ = ["packed", "unpacked"]

_FACTS = ("output", "rule_table", "notes", "model_hash", "seed", "versions", "feature_names", "sample_axes")
_ARRAYS = ("target", "score", "predictions")
_SUMS = {kind.kind: kind for kind in (Completeness, Conservation)}


def packed(result: Any) -> tuple[dict[str, Any], Arrays]:
    """Return the facts and the arrays of an :class:`~onnxplain.attribution.Attribution`."""
    check = result.check
    facts = {**to_record(result.method), "check": check.kind}
    facts |= {name: getattr(result, name) for name in _FACTS}
    arrays: Arrays = {f"values/{k}": v for k, v in result.arrays.items()}
    arrays |= {f"inputs/{k}": v.astype(str) if v.dtype.kind == "O" else v for k, v in result.inputs.items()}
    arrays |= {name: getattr(result, name) for name in _ARRAYS}
    if isinstance(check, (Completeness, Conservation)):
        arrays |= {"delta": check.delta, "reference": check.reference}
    elif isinstance(check, StandardError):
        known = result.extras.get("standard_error", {})
        arrays["norms"] = check.norms
        arrays |= {f"errors/{k}": v for k, v in check.errors.items() if known.get(k) is not v}
    for kind, item in result.extras.items():
        for name, array in item.items() if isinstance(item, Mapping) else [("", item)]:
            arrays[f"extras/{kind}/{name}"] = np.asarray(array)
    return {**facts, "arrays": list(arrays)}, arrays


def unpacked(facts: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the fields of a result, from what :func:`packed` made of it, now or in an earlier version.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If they are none.
    """
    for name in facts.get("arrays", ()):  # an archive whose list of contents was cut is one all the same
        if name not in arrays:
            raise KeyError(name)
    groups: dict[str, dict[str, Any]] = {"values": {}, "inputs": {}, "errors": {}, "extras": {}}
    single: Arrays = {}
    for key, array in arrays.items():
        group, slash, name = key.partition("/")
        if slash:
            groups[group][name] = array
        else:
            single[key] = array
    extras: dict[str, Any] = {}
    for key, array in groups["extras"].items():
        kind, name = key.split("/", 1)
        if name:
            extras.setdefault(kind, {})[name] = array
        else:
            extras[kind] = array
    errors = {**extras.get("standard_error", {}), **groups["errors"]}
    names = facts.get("feature_names")
    return {
        "arrays": groups["values"],
        "inputs": {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in groups["inputs"].items()},
        **{name: single[name] for name in _ARRAYS},
        "check": _check(facts.get("check"), single, errors, groups["values"]),
        "method": from_record(facts),
        "output": tuple(facts["output"]),
        "rule_table": tuple(tuple(row) for row in facts["rule_table"]),
        "notes": tuple(facts["notes"]),
        "extras": extras,
        "model_hash": str(facts.get("model_hash", "")),
        "seed": facts.get("seed"),
        "versions": dict(facts.get("versions", {})),
        "feature_names": None if names is None else dict(names),
        "sample_axes": dict(facts.get("sample_axes", {})),
    }


def _check(kind: str | None, single: Arrays, errors: Arrays, values: Arrays) -> Check:
    """Return the check; files of version 0.1 before it had kinds do not name it."""
    if kind is None:
        if "reference" in single:
            kind = "conservation" if np.array_equal(single["reference"], single["score"]) else "completeness"
        else:
            kind = "standard_error" if errors else "none"
    if kind in _SUMS:
        return _SUMS[kind](single["reference"], single["delta"])
    if kind == "standard_error":
        return (
            StandardError(errors, single["norms"]) if "norms" in single else StandardError.of(errors, values)
        )
    if kind != "none":
        raise ValueError(f"there is no check '{kind}'")
    return Unchecked()
