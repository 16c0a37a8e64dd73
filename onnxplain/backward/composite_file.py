"""Composites written in a TOML or JSON file.

.. code-block:: toml

    name = "mine"
    extends = "epsilon_plus"          # what holds where no rule below does (default: "epsilon")

    [[rules]]                         # tried in this order
    rule = "flat"
    first = true

    [[rules]]
    rule = "alpha_beta"
    alpha = 2
    beta = 1
    ops = ["Conv"]
    depth = [0.0, 0.5]

Keys of a rule: ``rule``, its options, and what it is for, as :class:`~onnxplain.backward.composite.Match`
takes it: ``ops``, ``categories``, ``name``, ``layer``, ``first``, ``last``, ``depth``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from onnxplain.backward.composite import Composite, Match
from onnxplain.backward.registry import Category
from onnxplain.backward.rules.base import Rule
from onnxplain.backward.rules.catalogue import make_rule
from onnxplain.errors import MethodError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read"]

_TOP = ("name", "extends", "options", "seed", "rules")
_FLAGS = ("layer", "first", "last")


def read(path: Path, preset: Callable[..., Composite]) -> Composite:
    """Read a composite.

    Parameters
    ----------
    path
        A ``.toml`` or ``.json`` file.
    preset
        Returns the composite that the file extends, by name and options.

    Raises
    ------
    MethodError
        If the file cannot be read, or says what makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise MethodError(f"cannot read the composite '{path}': {error.strerror or error}") from error
    except ValueError as error:
        raise MethodError(f"'{path}' is no valid {path.suffix[1:].upper()}: {error}") from error
    try:
        return _made(content, path.stem, preset)
    except MethodError as error:
        raise MethodError(f"'{path}': {error}") from error


def _made(content: Any, stem: str, preset: Callable[..., Composite]) -> Composite:
    if not isinstance(content, Mapping):
        raise MethodError("a composite is a table with 'rules'")
    unknown = [k for k in content if k not in _TOP]
    if unknown:
        raise MethodError(f"'{unknown[0]}' is unknown; a composite has {', '.join(_TOP)}")
    base = preset(str(content.get("extends", "epsilon")), **content.get("options", {}))
    seed = content.get("seed", base.seed)
    if seed not in ("one", "score"):
        raise MethodError(f'seed is \'{seed}\'; give "one" or "score"')
    entries = content.get("rules", [])
    if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
        raise MethodError("'rules' is a list of tables ([[rules]] in TOML)")
    own = tuple(_pair(entry, k) for k, entry in enumerate(entries, 1))
    name = str(content.get("name", stem))
    return Composite(name, (*own, *base.rules), seed, base.regions, base.preparation, base.reference)


def _pair(entry: Mapping[str, Any], number: int) -> tuple[Match, Rule]:
    rest = dict(entry)
    if not isinstance(rest.get("rule"), str):
        raise MethodError(f"rule {number} has no key 'rule' with the rule's name")
    try:
        match = _match(rest)
        return match, make_rule(rest.pop("rule"), **rest)
    except MethodError as error:
        raise MethodError(f"rule {number}: {error}") from error


def _match(rest: dict[str, Any]) -> Match:
    """Take what a rule is for out of its keys."""
    found: dict[str, Any] = {k: rest.pop(k) for k in _FLAGS if k in rest}
    for key, value in found.items():
        if not isinstance(value, bool):
            raise MethodError(f"{key} is {value!r}; give true or false")
    if "name" in rest:
        found["name"] = str(rest.pop("name"))
    if "ops" in rest:
        found["ops"] = tuple(_strings(rest.pop("ops"), "ops"))
    if "categories" in rest:
        known = {c.value: c for c in Category}
        names = _strings(rest.pop("categories"), "categories")
        for name in names:
            if name not in known:
                raise MethodError(f"there is no category '{name}'; choose from {', '.join(known)}")
        found["categories"] = tuple(known[name] for name in names)
    if "depth" in rest:
        depth = rest.pop("depth")
        numbers = isinstance(depth, list) and all(isinstance(d, (int, float)) for d in depth)
        if not numbers or len(depth) != 2 or not 0 <= depth[0] < depth[1] <= 1:
            raise MethodError(f"depth is {depth!r}; give [low, high] with 0 <= low < high <= 1")
        found["depth"] = (float(depth[0]), float(depth[1]))
    return Match(**found)


def _strings(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise MethodError(f"{key} is {value!r}; give a list of names")
    return value
