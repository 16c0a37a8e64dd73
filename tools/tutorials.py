"""Run the pages of docs/tutorials, and write what they print and draw into them.

A page is run in order, in one namespace, in an empty folder: its ``python`` blocks, and the commands of
its ``console`` blocks behind ``$``. The ``text`` block behind a ``python`` block is what that prints; what
stands in a ``console`` block under a command is what this prints. Pictures that a page shows from its own
folder are those that it draws. Trained models that it names as ``models/NAME.onnx`` are those of
``tools/fetch_models.py``; a page whose models are not there is not run. Needs sybil (``pip install
'.[docs]'``)::

    python tools/tutorials.py                  # run all, and write
    python tools/tutorials.py table image      # these
    python tools/tutorials.py --check          # exit code 1 where a page shows something else than it does
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

from matplotlib.testing.compare import compare_images
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "tutorials"
#: How far pictures may differ (root mean square of 255): letters look a little different everywhere.
TOLERANCE = 6.0
#: What numbers may differ by on another machine, however small they are.
ROUNDING = 1e-4
_PICTURE = re.compile(r"!\[[^\]]*\]\(([\w-]+\.png)\)")
_MODEL = re.compile(r"\bmodels/(\w+\.\w+)")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_MAIN = "from onnxplain.commands.cli import main; main()"


class PageError(Exception):
    """A page does not run, or shows something else than it does; the message says where."""


@dataclass
class Page:
    """A page, and how it would have to be."""

    path: Path
    pieces: list[tuple[int, int, str]] = field(default_factory=list)
    printed: str | None = None

    @property
    def text(self) -> str:
        """What is written."""
        return self.path.read_text(encoding="utf-8")

    def missing(self) -> list[str]:
        """Name the trained models that are not there."""
        return sorted(name for name in set(_MODEL.findall(self.text)) if not (models() / name).is_file())

    def run(self, folder: Path) -> str:
        """Run all blocks in a folder, and return the page with what they print."""
        self.pieces, self.printed = [], None
        if models().is_dir():
            (folder / "models").symlink_to(models())
        evaluators: dict[str, Callable[[Example], str | None]] = {
            "python": self._python,
            "text": self._text,
            "console": self._console,
        }
        parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
        document: Document = Sybil(parsers=parsers, path=str(FOLDER)).parse(self.path)
        here = Path.cwd()
        os.chdir(folder)
        try:
            for example in document.examples():
                self._evaluated(example)
        finally:
            os.chdir(here)
        self._all_shown("the end")
        text = self.text
        for start, end, new in reversed(self.pieces):
            text = text[:start] + new + text[end:]
        return text

    def pictures(self) -> list[str]:
        """Name the pictures that the page shows from its own folder."""
        return list(dict.fromkeys(_PICTURE.findall(self.text)))

    def _evaluated(self, example: Example) -> None:
        try:
            example.evaluate()
        except PageError:
            raise
        except Exception as error:
            raise PageError(f"{self.path.name}:{example.line}: {error!r}") from error

    def _python(self, example: Example) -> None:
        self._all_shown(f"line {example.line}")
        with redirect_stdout(io.StringIO()) as out:
            PythonEvaluator()(example)
        self.printed = out.getvalue() or None

    def _text(self, example: Example) -> None:
        if self.printed is None:
            raise PageError(f"{self.path.name}:{example.line}: nothing was printed that could stand here")
        self._shows(example, self.printed)
        self.printed = None

    def _console(self, example: Example) -> None:
        self._all_shown(f"line {example.line}")
        lines = []
        for line in str(example.parsed).splitlines():
            if line.startswith("$ "):
                lines += [line, *_ran(line[2:]).splitlines()]
        self._shows(example, "\n".join(lines) + "\n")

    def _shows(self, example: Example, text: str) -> None:
        start = example.region.start + example.parsed.offset
        new = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        self.pieces.append((start, start + len(example.parsed), new))

    def _all_shown(self, where: str) -> None:
        if self.printed is not None:
            said = f"what is printed before {where} is not shown: {self.printed!r}"
            raise PageError(f"{self.path.name}: {said}")


def models() -> Path:
    """Folder of the trained models."""
    named = os.environ.get("ONNXPLAIN_MODELS")
    return Path(named) if named else Path.home() / ".cache" / "onnxplain" / "models"


def pages(names: list[str] | None = None) -> list[Page]:
    """All pages, or those of these names."""
    found = {path.stem: Page(path) for path in sorted(FOLDER.glob("*.md"))}
    unknown = sorted(set(names or ()) - set(found))
    if unknown:
        raise PageError(f"there is no tutorial {', '.join(unknown)}; there are {', '.join(found)}")
    return [found[name] for name in names or found]


def differences(written: str, ran: str) -> Iterator[str]:
    """Say where two texts differ by more than the last digit of a number, or rounding."""
    before, after = written.splitlines(), ran.splitlines()
    if len(before) != len(after):
        yield from (line for line in unified_diff(before, after, "the page", "running it", n=0, lineterm=""))
        return
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        if not _alike(old, new):
            yield f"line {number}: the page has {old!r}, and running it gives {new!r}"


def check(page: Page) -> None:
    """Run a page; PageError where it shows something else than it does."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(differences(page.text, page.run(Path(folder))))
        for name in page.pictures():
            found += _compared(page.path.with_name(name), Path(folder) / name)
    if found:
        title = f"{page.path.name} (python tools/tutorials.py {page.path.stem} writes it anew):"
        raise PageError("\n  ".join([title, *found]))


def write(page: Page) -> None:
    """Run a page, and write what it prints and draws."""
    with tempfile.TemporaryDirectory() as folder:
        text = page.run(Path(folder))
        for name in page.pictures():
            if not (Path(folder) / name).is_file():
                raise PageError(f"{page.path.name}: {name} is shown, and not drawn")
        for name in page.pictures():
            if any(_compared(page.path.with_name(name), Path(folder) / name)):
                page.path.with_name(name).write_bytes((Path(folder) / name).read_bytes())
    if any(differences(page.text, text)):
        page.path.write_text(text, encoding="utf-8")


def _ran(command: str) -> str:
    program, *rest = shlex.split(command)
    start = {"onnxplain": [sys.executable, "-c", _MAIN], "python": [sys.executable]}.get(program)
    if start is None:
        raise PageError(f"pages run onnxplain and python, and not {program}")
    done = subprocess.run([*start, *rest], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _alike(old: str, new: str) -> bool:
    if _NUMBER.split(old) != _NUMBER.split(new):
        return False
    return all(map(_equal, _NUMBER.findall(old), _NUMBER.findall(new)))


def _equal(a: str, b: str) -> bool:
    return a == b or ("." in a and abs(float(a) - float(b)) <= min(_allowed(a), _allowed(b)))


def _allowed(number: str) -> float:
    """Return what a number may be off by: its last digit, or rounding."""
    mantissa, _, exponent = number.lower().partition("e")
    return max(1.01 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])), ROUNDING)


def _compared(written: Path, drawn: Path) -> list[str]:
    if not drawn.is_file():
        return [f"{written.name} is shown, and not drawn"]
    if not written.is_file():
        return [f"{written.name} is not there"]
    copy = drawn.with_name(f"{drawn.stem}-expected.png")  # the comparison writes beside both
    copy.write_bytes(written.read_bytes())
    try:
        found: Any = compare_images(str(copy), str(drawn), TOLERANCE)
    except Exception as error:  # of other sizes
        found = error
    return [] if found is None else [f"{written.name} is another picture: {' '.join(str(found).split())}"]


def main() -> int:
    """Run pages, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="pages, such as image; all by default")
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args()
    failed = False
    for page in pages(options.names):
        missing = page.missing()
        if missing:
            print(f"{page.path.stem}: not run, for want of {', '.join(missing)} (tools/fetch_models.py)")
            continue
        try:
            (check if options.check else write)(page)
            print(f"{page.path.stem}: {'as it is shown' if options.check else 'written'}")
        except PageError as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
