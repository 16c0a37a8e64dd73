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

Keys of a rule: ``rule``, its options, and what it is for, as
:class:`~onnxplain.backward.composites.match.Match` takes it: ``ops``, ``categories``, ``name``, ``layer``,
``first``, ``last``, ``depth``.  An epsilon or
stabilizer is a number, or a table of what :class:`~onnxplain.backward.rules.stabilizer.Stabilizer` takes.

A rule that does not say what becomes of the share of biases (``bias``) does what the composite does that the
file extends.

Keys of the whole: ``name`` (default: the file's), ``extends`` (a preset, or another file, found from where
this one lies), ``options`` of that preset, ``seed`` (``"one"`` or ``"score"``) and ``rules``.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxplain.backward.composites.bias import rule_with_bias
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.registry import Category
from onnxplain.backward.rules.base import Rule
from onnxplain.backward.rules.catalogue import RULES, make_rule
from onnxplain.backward.rules.stabilizer import Stabilizer
from onnxplain.errors import MethodError
from onnxplain.files import TEXT_BYTES, check_source
from onnxplain.options import check_names, make

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read"]

_TOP = ("name", "extends", "options", "seed", "rules")
_FLAGS = ("layer", "first", "last")
_MATCHES = ("ops", "categories", "name", *_FLAGS, "depth")
_STABILIZERS = ("epsilon", "stabilizer")


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
    return _read(path, preset, ())


def _read(path: Path, preset: Callable[..., Composite], open_files: tuple[Path, ...]) -> Composite:
    """Read a composite; ``open_files`` are those that led here by what they extend."""
    check_source(path, "composite", MethodError, TEXT_BYTES)
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise MethodError(f"cannot read the composite '{path}': {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise MethodError(f"'{path}' is no valid {path.suffix[1:].upper()}: {error}") from error
    try:
        return _made(content, path, preset, (*open_files, path.resolve()))
    except MethodError as error:
        raise MethodError(f"'{path}': {error}") from error


def _made(
    content: Any, path: Path, preset: Callable[..., Composite], open_files: tuple[Path, ...]
) -> Composite:
    if not isinstance(content, Mapping):
        raise MethodError("a composite is a table with 'rules'")
    check_names(content, _TOP, "a composite")
    for key in ("name", "extends"):
        if not isinstance(content.get(key, ""), str):
            raise MethodError(f"{key} is {content[key]!r}; give text")
    options = content.get("options", {})
    if not isinstance(options, Mapping):
        raise MethodError(f"options is {options!r}; give a table of options of what the composite extends")
    base = _base(content.get("extends", "epsilon"), options, path, preset, open_files)
    seed = content.get("seed", base.seed)
    if seed not in ("one", "score"):
        raise MethodError(f'seed is {seed!r}; give "one" or "score"')
    entries = content.get("rules", [])
    if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
        raise MethodError("'rules' is a list of tables ([[rules]] in TOML)")
    own = tuple(_pair(entry, k, base.bias) for k, entry in enumerate(entries, 1))
    return replace(base, name=content.get("name", path.stem), rules=(*own, *base.rules), seed=seed)


def _base(
    name: str,
    options: Mapping[str, Any],
    path: Path,
    preset: Callable[..., Composite],
    open_files: tuple[Path, ...],
) -> Composite:
    """Return what a file extends: a preset, or another file."""
    if Path(name).suffix.lower() not in (".toml", ".json"):
        return preset(name, **{k: _value(k, v) for k, v in options.items()})
    if options:
        raise MethodError(
            f"'{name}' is complete and takes no {', '.join(options)}; change it where it is written"
        )
    other = path.parent / name
    if other.resolve() in open_files:
        raise MethodError(
            f"'{name}' extends this file, which extends '{name}'; let one of them extend a preset"
        )
    return _read(other, preset, open_files)


def _pair(entry: Mapping[str, Any], number: int, bias: Any) -> tuple[Match, Rule]:
    """Make a rule; one that says nothing of biases does what the composite does that the file extends."""
    rest = dict(entry)
    name = rest.pop("rule", None)
    if not isinstance(name, str):
        raise MethodError(f"rule {number} has no key 'rule' with the rule's name")
    try:
        match = _match(rest)
        takes = inspect.signature(RULES[name]).parameters if name in RULES else rest
        check_names(rest, (*takes, *_MATCHES), f"rule '{name}'")
        rule = make_rule(name, **{k: _value(k, v) for k, v in rest.items()})
        said = bias is None or "bias" in rest or "bias" in rest.get("zero_params", ())
        return match, rule if said else rule_with_bias(rule, bias)
    except MethodError as error:
        raise MethodError(f"rule {number}: {error}") from error


def _value(key: str, value: Any) -> Any:
    """Turn a table into a stabiliser, and a list into a tuple."""
    if key in _STABILIZERS and isinstance(value, Mapping):
        return make(Stabilizer, value, key)
    return tuple(value) if isinstance(value, list) else value


def _match(rest: dict[str, Any]) -> Match:
    """Take what a rule is for out of its keys."""
    found: dict[str, Any] = {k: rest.pop(k) for k in _FLAGS if k in rest}
    for key, value in found.items():
        if not isinstance(value, bool):
            raise MethodError(f"{key} is {value!r}; give true or false")
    if "name" in rest:
        name = found["name"] = rest.pop("name")
        if not isinstance(name, str):
            raise MethodError(f'name is {name!r}; give a pattern of node names, such as "layer1/*"')
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
        numbers = isinstance(depth, list) and all(type(d) in (int, float) for d in depth)
        if not numbers or len(depth) != 2 or not 0 <= depth[0] < depth[1] <= 1:
            raise MethodError(f"depth is {depth!r}; give [low, high] with 0 <= low < high <= 1")
        found["depth"] = (float(depth[0]), float(depth[1]))
    return Match(**found)


def _strings(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise MethodError(f"{key} is {value!r}; give a list of names")
    return value
