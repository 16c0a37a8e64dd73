"""onnxruntime-web, which the site carries: found in a folder or an archive, or packed by npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxplain.errors import OptionalDependencyError

__all__ = ["FILES", "PACKAGE", "Runtime", "find_runtime"]

#: What is packed where nothing else is named; it is the version that the tests run.
PACKAGE = "onnxruntime-web@1.30.0"
#: What a page needs of it: the interface, the loader, and the WebAssembly build for the CPU.
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
#: Seconds that npm may take.
_PATIENCE = 300


@dataclass(frozen=True)
class Runtime:
    """What runs models in the browser.

    Attributes
    ----------
    version
        Of the package; ``"?"`` where it does not say.
    files
        Contents by name.
    """

    version: str
    files: Mapping[str, bytes]

    def write(self, folder: Path) -> None:
        """Put the files into a folder, which is made."""
        folder.mkdir()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def find_runtime(given: str | os.PathLike[str] | None = None) -> Runtime:
    """Read the files of onnxruntime-web.

    Parameters
    ----------
    given
        The package's folder, its ``dist``, one with ``node_modules`` in it, or the archive that ``npm pack``
        writes.  By default npm packs one version, of which it keeps a copy.

    Raises
    ------
    OptionalDependencyError
        If it is not there, lacks a file, or npm cannot get it.
    """
    if given is None:
        with tempfile.TemporaryDirectory() as folder:
            return _from_archive(_packed(Path(folder)))
    path = Path(given)
    if path.is_file():
        return _from_archive(path)
    below = ("dist", ".", "onnxruntime-web/dist", "node_modules/onnxruntime-web/dist")
    place = next((path / b for b in below if all((path / b / name).is_file() for name in FILES)), None)
    if place is None:
        raise OptionalDependencyError(
            f"'{path}' does not hold onnxruntime-web ({', '.join(FILES)}); give its folder, or the archive "
            f"that 'npm pack {PACKAGE}' writes"
        )
    try:
        about = place.parent / "package.json"
        version = _version(about.read_bytes()) if about.is_file() else "?"
        return Runtime(version, {name: (place / name).read_bytes() for name in FILES})
    except OSError as error:
        raise OptionalDependencyError(f"'{path}' cannot be read ({error.strerror})") from error


def _packed(folder: Path) -> Path:
    """Have npm pack the package, whose content it checks, into a folder."""
    out = f"; where there is a network, run 'npm pack {PACKAGE}' and give the file that it writes as runtime"
    npm = shutil.which("npm")
    if npm is None:
        raise OptionalDependencyError(
            f"the page needs {PACKAGE}, and npm, which would get it, is not installed{out}"
        )
    command = [npm, "pack", PACKAGE, "--prefer-offline", "--ignore-scripts", "--pack-destination", "."]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OptionalDependencyError(f"npm cannot get {PACKAGE}: {error}{out}") from error
    made = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or made is None:
        said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no reason given")
        raise OptionalDependencyError(f"npm cannot get {PACKAGE}: {said}{out}")
    return made


def _from_archive(path: Path) -> Runtime:
    """Read the files out of an archive; nothing of it is unpacked to disk."""
    found: dict[str, bytes] = {}
    version = "?"
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                file = archive.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                if member.name == f"package/dist/{name}" and name in FILES:
                    found[name] = file.read()
                elif member.name == "package/package.json":
                    version = _version(file.read())
    except (OSError, tarfile.TarError, EOFError) as error:
        raise OptionalDependencyError(
            f"'{path}' cannot be read as an archive of npm ({error}); give what 'npm pack {PACKAGE}' writes"
        ) from error
    missing = [name for name in FILES if name not in found]
    if missing:
        raise OptionalDependencyError(f"'{path}' lacks {missing[0]}; give what 'npm pack {PACKAGE}' writes")
    return Runtime(version, found)


def _version(package: bytes) -> str:
    try:
        return str(json.loads(package)["version"])
    except (ValueError, KeyError, TypeError):
        return "?"
