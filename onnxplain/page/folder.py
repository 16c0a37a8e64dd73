"""A folder that appears whole or not at all, and takes only a place that is free or its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from onnxplain.errors import OutputError

__all__ = ["check_folder", "replacing_folder"]


def check_folder(path: str | os.PathLike[str], mark: str) -> Path:
    """Make sure, before the work, that a folder can be written.

    Parameters
    ----------
    path
        Where it is to be.
    mark
        Name of a file by which a folder that was written before is known; it may be replaced.

    Returns
    -------
    Path
        Where it will lie, with links followed.

    Raises
    ------
    OutputError
        If something else is there, or its parent is missing or may not be written to.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OutputError(f"cannot write {path!r}: this is no path; give the path of a folder")
    try:
        place = Path(os.path.realpath(path))
        if place.exists() and not place.is_dir():
            raise OutputError(f"cannot write '{path}': this is a file; give a folder")
        if place.is_dir() and any(place.iterdir()) and not (place / mark).is_file():
            raise OutputError(
                f"cannot write '{path}': this folder holds other files, and no {mark}; give a new folder"
            )
        if not place.parent.is_dir():
            raise OutputError(f"cannot write '{path}': there is no folder '{place.parent}'; make it first")
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write '{path}': '{place.parent}' may not be written to")
    except (OSError, ValueError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write '{path!s}': {error}; give another folder") from error
    return place


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str], mark: str) -> Iterator[Path]:
    """Make a folder that takes its place at the end of the block; where the block fails, nothing changes.

    Yields
    ------
    Path
        An empty folder beside the place, to write to.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    place = check_folder(path, mark)
    beside, before = (place.with_name(f".{secrets.token_hex(8)}.{end}") for end in ("part", "old"))
    try:
        beside.mkdir()
        yield beside
        if place.exists():
            place.rename(before)
        try:
            beside.rename(place)
        except OSError:
            if before.exists():
                before.rename(place)
            raise
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}; choose another place, or make room there"
        ) from error
    finally:
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)
