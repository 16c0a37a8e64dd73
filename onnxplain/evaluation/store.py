"""A folder that keeps what is finished, piece by piece, so that a run goes on where another one ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxplain._types import Arrays
from onnxplain.archive import BROKEN, read_arrays, write_arrays
from onnxplain.digests import digest
from onnxplain.errors import OutputError

__all__ = ["Store"]


class Store:
    """Keeps finished pieces in files of a folder, each of which appears whole or not at all.

    A piece is known by the digest of all that it was made from; what was made from something else is never
    read.  Several runs may share a folder.

    Parameters
    ----------
    folder
        Where; made if it is missing.  None: nothing is kept.
    about
        What all pieces are made from.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to.
    DataInputError
        If it cannot be told what pieces are made from.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, about: Mapping[str, Any]) -> None:
        self.about = "" if folder is None else digest(about)
        self.folder = None if folder is None else _made(folder)

    def key(self, *parts: Any) -> str:
        """Return what a piece is known by, of what it is made from besides."""
        return "" if self.folder is None else digest([self.about, *parts])

    def get(self, key: str) -> tuple[dict[str, Any], Arrays] | None:
        """Return a piece, as facts and arrays; None if there is none, or its file is damaged."""
        if self.folder is None:
            return None
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            held = read_arrays(path)
            facts = json.loads(str(held.pop("facts")))
            whole = facts.pop("key") == key and facts.pop("arrays") == list(held)
        except BROKEN:
            return None
        return (facts, held) if whole else None

    def put(self, key: str, facts: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep a piece.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self.folder is None:
            return
        told = {**facts, "key": key, "arrays": list(arrays)}
        write_arrays(self._path(key), {"facts": np.array(json.dumps(told)), **arrays})

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key[:40]}.npz"


def _made(folder: str | os.PathLike[str]) -> Path:
    try:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
    except (TypeError, ValueError) as error:
        raise OutputError(f"resume={folder!r} is no path of a folder ({error})") from error
    except OSError as error:
        raise OutputError(
            f"cannot make the folder '{folder}': {error.strerror or error}; choose another for resume="
        ) from error
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"the folder '{folder}' may not be written to; choose another for resume=")
    return place
