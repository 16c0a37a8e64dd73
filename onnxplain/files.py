"""Files: read only where they are regular ones, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnxplain.errors import OnnxplainError, OutputError

__all__ = ["MODEL_BYTES", "TEXT_BYTES", "check_destination", "check_source", "is_same_file", "replacing"]

#: Largest model file: protobuf itself ends here (weights beside it may be of any size).
MODEL_BYTES = 2**31 - 1

#: Largest file of labels, names or rules.
TEXT_BYTES = 1 << 24

_NO_FILE = "no regular file, but a pipe, a socket or a device"


def check_source(
    path: str | os.PathLike[str], what: str, kind: type[OnnxplainError], limit: int | None = None
) -> None:
    """Refuse to read what is no regular file; pipes, devices and the like would be read without end.

    Parameters
    ----------
    path
        Path of a file.
    what
        What the file should be, such as ``".onnx file"``.
    kind
        The error to raise.
    limit
        The most bytes that it may hold.

    Raises
    ------
    OnnxplainError
        Of the given kind, if the file is missing, not regular or too large.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise kind(f"{path!r} is no path; give the path of the {what}")
    try:
        found = Path(path).stat()
    except FileNotFoundError as error:
        raise kind(f"there is no file '{path}'; check the path of the {what}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise kind(f"'{path}' cannot be read ({reason}); check the path of the {what}") from error
    if stat.S_ISDIR(found.st_mode):
        raise kind(f"'{path}' is a folder; give the path of the {what} inside it")
    if not stat.S_ISREG(found.st_mode):
        raise kind(f"'{path}' is {_NO_FILE}; give the path of the {what}")
    if limit is not None and found.st_size > limit:
        raise kind(f"'{path}' holds {found.st_size} bytes, and {limit} are read at most; is this the {what}?")


def is_same_file(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Tell whether two paths lead to one file that exists."""
    try:
        return Path(a).samefile(b)
    except (OSError, ValueError):
        return False


def check_destination(path: str | os.PathLike[str]) -> Path:
    """Make sure, before the work, that a file can be put where it is to go.

    Returns
    -------
    Path
        Where it will lie: the end of a symbolic link, else the path itself.

    Raises
    ------
    OutputError
        If its folder is missing or may not be written to, or something other than a file is there.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OutputError(f"cannot write {path!r}: this is no path; give the path of a file")
    try:
        place = Path(os.path.realpath(path))
        folder = place.parent
        if not folder.is_dir():
            raise OutputError(
                f"cannot write '{path}': there is no folder '{Path(path).parent}'; make it first"
            )
        if place.is_dir():
            raise OutputError(f"cannot write '{path}': this is a folder; give a file in it")
        if place.exists() and not place.is_file():
            raise OutputError(f"cannot write '{path}': this is {_NO_FILE}; give the path of a file")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(
                f"cannot write '{path}': its folder may not be written to; choose another, or change its "
                "permissions"
            )
    except ValueError as error:  # a path that no system call takes
        raise OutputError(f"cannot write {str(path)!r}: {error}; give the path of a file") from error
    except OutputError:
        raise
    except OSError as error:
        raise _failed(path, error) from error
    return place


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for what is to stand at a path.

    It is written beside, and takes its place in one step at the end of the block.  Whoever reads meanwhile
    sees the old file or the new one; where the block fails or the disk is full, the old one stays.

    Yields
    ------
    binary file
        That can also be read and sought in.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    place = check_destination(path)
    beside = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            beside.chmod(stat.S_IMODE(place.stat().st_mode))
        beside.replace(place)
        _settle(place.parent)
    except OutputError:
        raise
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _settle(folder: Path) -> None:
    """Have the new name of a file outlive a loss of power, where the system can promise that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failed(path: str | os.PathLike[str], error: OSError) -> OutputError:
    return OutputError(
        f"cannot write '{path}': {error.strerror or error}; choose another place, or make room there"
    )
