"""What a folder of parts is made from, so that nothing else is ever put into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from onnxplain.digests import digest
from onnxplain.errors import OutputError
from onnxplain.scale.parts import FORMS, part_names
from onnxplain.scale.places import Place

__all__ = ["MANIFEST", "SUMMARY", "held_facts", "settle"]

MANIFEST, SUMMARY = "_manifest.json", "_summary.json"

#: What may differ, and how errors call it.
_WORDS = {
    "version": "version of onnxplain", "model": "model", "method": "method", "told": "target or option",
    "source": "data set", "form": "form of parts", "rows_a_part": "number of rows a part",
    "columns": "set of columns",
}  # fmt: skip
_SHOWN = ("version", "method", "form", "rows_a_part")


def held_facts(out: Place) -> dict[str, Any] | None:
    """Return what a folder is made from; None if it is new.

    Raises
    ------
    OutputError
        If what it says is damaged, or it holds parts of nobody knows what.
    """
    names = out.names()
    if MANIFEST not in names:
        if any(part_names(out, form) for form in FORMS):
            raise OutputError(
                f"'{out.root}' holds parts, and no {MANIFEST} that says what they are made from; give "
                "another folder"
            )
        return None
    try:
        held = json.loads(out.read(MANIFEST))
        facts = dict(held["facts"])
        if held["digest"] != digest(facts):
            raise ValueError("its content is not what was written")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise OutputError(f"'{out.root}/{MANIFEST}' cannot be read ({error}); give another folder") from error
    return facts


def settle(
    out: Place, held: Mapping[str, Any] | None, facts: Mapping[str, Any], about: Mapping[str, Any]
) -> str:
    """Make sure that a folder is made from the same, or write down what a new one is made from.

    Parameters
    ----------
    out
        The folder.
    held
        What it says of itself.
    facts
        What is to be put into it.
    about
        What a new folder says besides.

    Returns
    -------
    str
        The digest of the facts.

    Raises
    ------
    OutputError
        If it is made from something else, or cannot be written to.
    """
    if held is None:
        content = {"digest": digest(facts), "facts": facts, "about": about}
        out.write(MANIFEST, json.dumps(content, indent=1).encode())
    else:
        for key, words in _WORDS.items():
            if held.get(key) != facts[key]:
                shown = f" ({held.get(key)}, now {facts[key]})" if key in _SHOWN else ""
                raise OutputError(
                    f"'{out.root}' holds explanations of another {words}{shown}; run with the same again, or "
                    "give another folder"
                )
    return digest(facts)
