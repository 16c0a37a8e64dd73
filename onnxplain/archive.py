"""``.npz`` archives of arrays by name, whatever the names, read without ever trusting them.

NumPy's own reader takes ``x.npy`` for the file of ``x``, runs into zlib's errors where an archive is damaged,
and allocates what a header claims.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.errors import DataInputError
from onnxplain.files import check_source, replacing

__all__ = [
    "BROKEN",
    "pack_arrays",
    "read_array",
    "read_arrays",
    "reading",
    "unpack_arrays",
    "write_arrays",
]

#: What reading a damaged archive or array may raise.
BROKEN = (
    AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError, EOFError, MemoryError,
    NotImplementedError, RuntimeError, SyntaxError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

_ENDING = ".npy"


@contextmanager
def reading(path: str | os.PathLike[str], what: str, form: str = "NumPy arrays") -> Iterator[None]:
    """Refuse a file that is missing, or damaged, as is seen when its content is read in here.

    Parameters
    ----------
    path
        The file.
    what
        What the file should be, as errors name it.
    form
        As what it is read, as errors name it.

    Raises
    ------
    DataInputError
        If the file is missing, damaged, or something else.
    """
    check_source(path, what, DataInputError)
    try:
        yield
    except BROKEN as error:
        raise DataInputError(
            f"'{path}' cannot be read as {form} ({type(error).__name__}: {error}); give a {what}"
        ) from error


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write one compressed ``.npz`` file, in one step.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path) as file:
        pack_arrays(file, arrays)


def pack_arrays(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write the content of a compressed ``.npz`` file to a file that is open already."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(_to_entry(name), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def read_arrays(path: str | os.PathLike[str], what: str = "file written by numpy.savez") -> Arrays:
    """Read an ``.npz`` file.  Every entry's checksum is compared before its content is used.

    Parameters
    ----------
    path
        The file.
    what
        What the file should be, as errors name it.

    Raises
    ------
    DataInputError
        If the file is missing, damaged, or something else.
    """
    with reading(path, what):
        return unpack_arrays(path)


def unpack_arrays(file: str | os.PathLike[str] | BinaryIO) -> Arrays:
    """Read an ``.npz`` file that is known to be there, or open already; raises one of :data:`BROKEN`."""
    with zipfile.ZipFile(file) as archive:
        return {_to_name(i.filename): _array(archive.read(i)) for i in archive.infolist()}


def read_array(path: str | os.PathLike[str]) -> Array:
    """Read an ``.npy`` file.

    Raises
    ------
    DataInputError
        If the file is missing, damaged, or something else.
    """
    with reading(path, "file written by numpy.save"):
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return held
        held.close()
    raise DataInputError(f"'{path}' is an archive of arrays; give it the ending .npz")


def _array(content: bytes) -> Array:
    """Read one array, whose header may claim no more than there is."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version in readers:
        shape, _, dtype = readers[version](file)
        if not dtype.hasobject and dtype.itemsize * int(np.prod(shape, dtype=object)) > len(content):
            raise ValueError("it ends before its array does")
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _to_entry(name: str) -> str:
    """Write a name so that an archive keeps it: zip ends names at a zero byte, and knows one slash."""
    return re.sub(r"[%\\\x00-\x1f\x7f]", lambda c: f"%{ord(c[0]):02X}", name) + _ENDING


def _to_name(entry: str) -> str:
    return re.sub(r"%([0-9A-F]{2})", lambda h: chr(int(h[1], 16)), entry.removesuffix(_ENDING))
