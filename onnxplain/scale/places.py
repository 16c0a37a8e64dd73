"""Folders and files, here or behind a URL: listed, read, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from onnxplain.errors import DataInputError, OutputError
from onnxplain.files import check_source, replacing
from onnxplain.interchange import optional_package

__all__ = ["File", "Place"]

#: Stores where an object appears once it is all there, so that no temporary name is needed.
_WHOLE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory")
_HIDDEN = (".", "_")


@dataclass(frozen=True, order=True)
class File:
    """A file as it was when it was listed.

    Attributes
    ----------
    name
        Its path within its place, with slashes.
    size
        In bytes.
    stamp
        What changes when its content does: the time of its last change, or a store's own mark.
    """

    name: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Place:
    """A folder, or one file in it.

    Attributes
    ----------
    root
        A path, or a URL such as ``s3://bucket/folder`` (needs fsspec, and the package for that store).
    only
        The one file that is meant; None for the folder.
    """

    root: str
    only: str | None = None

    @classmethod
    def of(cls, text: str | os.PathLike[str]) -> Place:
        """Take a path or a URL of a folder or a file.

        Raises
        ------
        DataInputError
            If nothing is there.
        OptionalDependencyError
            If it is a URL, and fsspec is not installed.
        """
        if not isinstance(text, (str, os.PathLike)):
            raise DataInputError(f"{text!r:.60} is no path; give the path of a folder or a file")
        if "://" in str(text):
            return cls._remote(str(text).rstrip("/"))
        path = Path(text)
        if path.is_dir():
            return cls(str(path.absolute()))
        check_source(path, "data set", DataInputError)
        return cls(str(path.absolute().parent), path.name)

    @classmethod
    def _remote(cls, url: str) -> Place:
        store, path = _store(url)
        try:
            if store.isdir(path):
                return cls(url)
            if store.exists(path):
                root, _, name = url.rpartition("/")
                return cls(root, name)
        except Exception as error:  # whatever a store's own library raises
            raise DataInputError(f"'{url}' cannot be reached ({type(error).__name__}: {error})") from error
        raise DataInputError(f"there is nothing at '{url}'; check the URL of the data set")

    @classmethod
    def made(cls, text: str | os.PathLike[str]) -> Place:
        """Take a path or a URL of a folder to write to; it is made if it is missing.

        Raises
        ------
        OutputError
            If it cannot be made, or is no folder.
        OptionalDependencyError
            If it is a URL, and fsspec is not installed.
        """
        if not isinstance(text, (str, os.PathLike)):
            raise OutputError(f"out={text!r:.60} is no path; give the path of a folder")
        if "://" in str(text):
            url = str(text).rstrip("/")
            store, path = _store(url)
            if _whole(url):  # folders are there once something is in them
                return cls(url)
            try:
                store.makedirs(path, exist_ok=True)
            except Exception as error:  # whatever a store's own library raises
                raise OutputError(f"'{url}' cannot be made ({type(error).__name__}: {error})") from error
            return cls(url)
        folder = Path(text)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot make the folder '{text}': {reason}; choose another") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"the folder '{text}' may not be written to; choose another")
        return cls(str(folder.absolute()))

    @property
    def remote(self) -> bool:
        """Whether it lies behind a URL."""
        return "://" in self.root

    def holds(self, other: Place) -> bool:
        """Tell whether another folder is this one, or inside it."""
        if self.remote or other.remote:
            return f"{other.root}/".startswith(f"{self.root}/")
        return Path(other.root).resolve().is_relative_to(Path(self.root).resolve())

    def files(self) -> list[File]:
        """List the files that are meant, by name; in folders below too, without hidden ones.

        Raises
        ------
        DataInputError
            If the folder cannot be listed.
        """
        if self.only is not None:
            return [self.file(self.only)]
        found = list(self._remote_files() if self.remote else self._local_files())
        return sorted(found)

    def file(self, name: str) -> File:
        """Look at one file.

        Raises
        ------
        DataInputError
            If it is not there.
        """
        if self.remote:
            try:
                return _told(name, _store(self.root)[0].info(self._path(name)))
            except Exception as error:  # whatever a store's own library raises
                raise DataInputError(f"'{self.root}/{name}' is not there any more ({error})") from error
        path = Path(self.root, name)
        check_source(path, "file of the data set", DataInputError)
        found = path.stat()
        return File(name, found.st_size, str(found.st_mtime_ns))

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading, also at any place of it."""
        if self.remote:
            return cast("BinaryIO", _store(self.root)[0].open(self._path(name), "rb"))
        return Path(self.root, name).open("rb")

    def names(self) -> set[str]:
        """Return the names of what lies in the folder itself."""
        if not self.remote:
            return {entry.name for entry in os.scandir(self.root)}
        store, path = _store(self.root)
        store.invalidate_cache()
        try:
            found = store.ls(path, detail=False)
        except FileNotFoundError:
            return set()
        except Exception as error:  # whatever a store's own library raises
            raise DataInputError(f"'{self.root}' cannot be listed ({error})") from error
        return {str(one).rstrip("/").rpartition("/")[2] for one in found}

    def read(self, name: str) -> bytes:
        """Read a file as a whole."""
        with self.open(name) as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the folder: it appears whole or not at all, and takes the place of what was there.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if not self.remote:
            with replacing(Path(self.root, name)) as file:
                file.write(content)
            return
        store, _ = _store(self.root)
        whole = _whole(self.root)
        try:
            store.pipe_file(self._path(name if whole else f".{name}.part"), content)
            if not whole:
                store.mv(self._path(f".{name}.part"), self._path(name))
        except Exception as error:  # whatever a store's own library raises
            raise OutputError(
                f"cannot write '{self.root}/{name}' ({type(error).__name__}: {error}); choose another place"
            ) from error

    def _path(self, name: str) -> str:
        return f"{_store(self.root)[1]}/{name}"

    def _local_files(self) -> Iterator[File]:
        def refuse(error: OSError) -> None:
            raise DataInputError(f"'{error.filename}' cannot be listed: {error.strerror}") from error

        for folder, below, names in os.walk(self.root, onerror=refuse):
            below[:] = [name for name in below if not name.startswith(_HIDDEN)]
            for name in names:
                if not name.startswith(_HIDDEN):
                    yield self.file(Path(folder, name).relative_to(self.root).as_posix())

    def _remote_files(self) -> Iterator[File]:
        store, path = _store(self.root)
        try:
            listed = store.find(path, detail=True)
        except Exception as error:  # whatever a store's own library raises
            raise DataInputError(f"'{self.root}' cannot be listed ({error})") from error
        for full, info in listed.items():
            name = str(full)[len(path.rstrip("/")) + 1 :]
            if not any(part.startswith(_HIDDEN) for part in name.split("/")):
                yield _told(name, info)


def _whole(url: str) -> bool:
    return url.partition("://")[0] in _WHOLE


def _store(url: str) -> tuple[Any, str]:
    """Return the file system behind a URL, and the path in it."""
    core = optional_package("fsspec.core", f"'{url}'", "parquet")
    try:
        store, path = core.url_to_fs(url)
    except ImportError as error:
        raise DataInputError(f"'{url}' needs another package: {error}") from error
    except ValueError as error:
        raise DataInputError(f"'{url}' is no URL of a known kind ({error})") from error
    return store, str(path)


def _told(name: str, info: Any) -> File:
    """Say how a store's file was; listings and single looks write the same mark in different ways."""
    marks = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "updated", "created")
    mark = next((info[key] for key in marks if info.get(key) is not None), "")
    stamp = str(mark.timestamp() if hasattr(mark, "timestamp") else mark).strip('"')
    return File(name, int(info.get("size") or 0), stamp)
