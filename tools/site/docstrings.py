"""An extension of Griffe: docstrings that are written for Sphinx become Markdown.

Roles, such as ``:class:`LRP```, become links: the name must exist, or there is a warning, which fails the
strict build; inner names have no page, and stay words. Tables between rulers become tables, and ``::``
introduces code without showing.
"""

from __future__ import annotations

import builtins
import re
from html import escape
from importlib.util import find_spec
from typing import Any

from griffe import Extension, Kind, Object, get_logger

_ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc|obj):`([^`]+)`")
_MATH = re.compile(r":math:`([^`]+)`|^( *)\.\. math:: (.*)$", re.MULTILINE)
_CODE = re.compile(r"::$", re.MULTILINE)
_TABLE = re.compile(r"^( *)(=+(?: +=+)+) *\n((?:.*\n)+?)\1\2 *(?=\n\s*\n|\n*\Z)", re.MULTILINE)
_log = get_logger("onnxplain.docstrings")


class Docstrings(Extension):
    """Rewrite all docstrings of a package, once it is loaded."""

    def on_package(self, *, pkg: Any, **_: Any) -> None:
        """Walk through the package."""
        self._walk(pkg)

    def _walk(self, thing: Object) -> None:
        if thing.docstring is not None:
            text = _TABLE.sub(_table, thing.docstring.value)
            text = _ROLE.sub(lambda match: _link(thing, match[1]), text)
            text = _MATH.sub(lambda match: f"{match[2] or ''}`{match[1] or match[3]}`", text)
            thing.docstring.value = _CODE.sub(":", text)
        for member in thing.members.values():
            if not member.is_alias:
                self._walk(member)


def _table(match: re.Match[str]) -> str:
    """Write a table anew; a row without a first cell goes on with the row before."""
    indent, ruler = match[1], match[2]
    starts = [found.start() + len(indent) for found in re.finditer("=+", ruler)]
    ends = [*starts[1:], None]
    rows: list[list[str]] = []
    headed = False
    for line in match[3].splitlines():
        cells = [line[start:end].strip().replace("|", "\\|") for start, end in zip(starts, ends, strict=True)]
        if line.strip() == ruler:
            headed = True
        elif rows and not cells[0]:
            rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    if not headed:
        rows.insert(0, [""] * len(starts))
    rows.insert(1, ["---"] * len(starts))
    return "\n".join(f"{indent}| {' | '.join(row)} |" for row in rows)


def _link(thing: Object, written: str) -> str:
    name = written.removeprefix("~")
    found = _found(thing, name)
    if found is None and _is_foreign(name):
        return f"`{name}`"
    if found is None:
        _log.warning("%s: its docstring names '%s', which does not exist", thing.path, name)
        return f"`{name}`"
    shown = name.rpartition(".")[2] if written.startswith("~") else name
    return f'<autoref identifier="{escape(found)}" optional><code>{escape(shown)}</code></autoref>'


def _found(thing: Object, name: str) -> str | None:
    """Path of what a docstring names: in full, or in what is around it, from the inside out."""
    package = thing.package
    scopes = [thing]
    while scopes[-1].parent is not None:
        scopes.append(scopes[-1].parent)
    for scope in scopes:
        at: Any = scope
        for part in name.split("."):
            at = _member(at, part)
            if at is None:
                break
        else:
            return str(at.path)
    if name == package.name:
        return name
    at = package
    for part in name.removeprefix(f"{package.name}.").split("."):
        at = _member(at, part)
        if at is None:
            return None
    return str(at.path)


def _is_foreign(name: str) -> bool:
    """Whether it is Python's own, or lies in another package."""
    first, _, rest = name.partition(".")
    return hasattr(builtins, first) or (bool(rest) and first != "onnxplain" and find_spec(first) is not None)


def _member(at: Any, name: str) -> Any:
    """Return a member, through what is imported and inherited."""
    try:
        target = at.final_target if at.is_alias else at
        members = target.all_members if target.kind in (Kind.CLASS, Kind.MODULE) else target.members
        found = members.get(name)
        return found.final_target if found is not None and found.is_alias else found
    except Exception:  # what lies outside of the package is not loaded
        return None
