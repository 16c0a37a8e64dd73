"""The site builds without a warning, holds every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from inspect import ismodule
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("material")

import griffe
import more
import outside
import reference
from docstrings import Docstrings
from mkdocs.structure.files import File, Files

import onnxplain as ox
from onnxplain.methods import FAMILIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Read(HTMLParser):
    """What a page names, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.names.add(found["id"])
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.add(found["src"])
        if tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.loads.add(found["href"])


def test_every_public_name_is_there(site) -> None:
    names: set[str] = set()
    for page in site.glob("reference/**/*.html"):
        names |= Read(page.read_text(encoding="utf-8")).names
    wanted = {f"onnxplain.{name}" for name in ox.__all__ if not ismodule(getattr(ox, name))}
    for name in reference.MODULES:
        module = import_module(f"onnxplain.{name}")
        wanted |= {f"{module.__name__}.{n}" for n in module.__all__ if not ismodule(getattr(module, n))}
    assert wanted <= names, wanted - names
    for family, classes in FAMILIES.items():
        page = (site / "reference" / "methods" / family.replace(" ", "-") / "index.html").read_text("utf-8")
        assert {f"onnxplain.{cls.__name__}" for cls in classes} <= Read(page).names


_NAMED = re.compile(r"\bfrom (onnxplain[\w.]+) import ([\w, ]+)|\b(?:onnxplain|ox)((?:\.\w+)+)")


def modules_of(text: str) -> set[str]:
    """Modules below the package that a text names, or whose names it uses; they must exist."""
    found = set()
    for match in _NAMED.finditer(text):
        module, names, dotted = match.groups()
        uses = [f"{module}.{name.strip()}" for name in names.split(",")] if module else [f"onnxplain{dotted}"]
        found |= {name for use in uses if (name := module_of(use)) is not None}
    return found


def module_of(use: str) -> str | None:
    """The module below the package that holds a dotted name; None for names that the package itself has."""
    thing, module = ox, None
    for part in use.split(".")[1:]:
        if not hasattr(thing, part) and ismodule(thing):
            import_module(f"{thing.__name__}.{part}")  # fails where there is none
        thing = getattr(thing, part)
        if ismodule(thing):
            module = thing.__name__
    public = any(thing is getattr(ox, name) for name in ox.__all__)
    return None if module is None or (public and not ismodule(thing)) else module.removeprefix("onnxplain.")


def test_every_module_that_pages_name_has_a_page() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {page.name: modules_of(page.read_text("utf-8")) for page in pages}
    assert {"data", "scale", "metrics"} <= set().union(*named.values()), "names are not found"
    missing = {page: sorted(gone) for page, names in named.items() if (gone := names - {*reference.MODULES})}
    assert not missing, "list these in tools/site/reference.py"


def test_nothing_is_loaded_from_elsewhere(site) -> None:
    for page in site.rglob("*.html"):
        for source in Read(page.read_text(encoding="utf-8")).loads:
            assert not source.startswith(("http:", "https:", "//")), f"{page}: {source}"


def test_no_role_of_sphinx_is_left(site) -> None:
    for page in site.glob("reference/**/*.html"):
        text = page.read_text(encoding="utf-8")
        for role in (":class:", ":func:", ":meth:", ":data:", ":mod:", ":attr:"):
            assert role not in text, f"{page}: {role}"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (":class:`Thing`", None),
        (":class:`~small.Thing`", None),
        (":meth:`Thing.run`", None),
        (":class:`ValueError`", None),
        (":class:`numpy.ndarray`", None),
        (":class:`Thong`", "names 'Thong'"),
        (":meth:`Thing.walk`", "names 'Thing.walk'"),
        (":class:`~small.inner.Thing`", "names 'small.inner.Thing'"),
    ],
)
def test_docstrings_name_what_exists(tmp_path, caplog, written, said) -> None:
    text = f'"""See {written}."""\n\nclass Thing:\n    """A thing."""\n\n    def run(self):\n        pass\n'
    (tmp_path / "small.py").write_text(text)
    extensions = griffe.load_extensions(Docstrings)
    with caplog.at_level(logging.WARNING):
        module = griffe.load("small", search_paths=[tmp_path], extensions=extensions)
    assert "`:" not in module.docstring.value
    assert [said in record.getMessage() for record in caplog.records] == ([] if said is None else [True])


def test_names_of_the_package_around_are_found(tmp_path, caplog) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "__init__.py").write_text("from large.there import thing\n")
    (tmp_path / "large" / "there.py").write_text("def thing():\n    pass\n")
    (tmp_path / "large" / "here.py").write_text('"""See :func:`thing`."""\n')
    with caplog.at_level(logging.WARNING):
        large = griffe.load("large", search_paths=[tmp_path], extensions=griffe.load_extensions(Docstrings))
    assert 'identifier="large.there.thing"' in large["here"].docstring.value
    assert not caplog.records


TABLE = """Rules::

    x = 1

    ====  =====
    rule  where
    ====  =====
    one   here,
          there
    two   a | b
    ====  =====

End."""


@pytest.mark.parametrize("headed", [True, False])
def test_tables_and_code_become_markdown(tmp_path, headed) -> None:
    text = TABLE if headed else TABLE.replace("    rule  where\n    ====  =====\n", "", 1)
    (tmp_path / "small.py").write_text(f'"""{text}\n"""\n')
    extensions = griffe.load_extensions(Docstrings)
    found = griffe.load("small", search_paths=[tmp_path], extensions=extensions).docstring.value
    head = "| rule | where |" if headed else "|  |  |"
    rows = [head, "| --- | --- |", "| one | here, there |", "| two | a \\| b |"]
    assert found.splitlines() == ["Rules:", "", "    x = 1", "", *(f"    {row}" for row in rows), "", "End."]


def config(**options):
    return SimpleNamespace(
        site_dir="site", use_directory_urls=True, plugins=SimpleNamespace(_current_plugin="x"), **options
    )


@pytest.mark.parametrize(
    ("page", "written", "leads"),
    [
        ("files.md", "[x](tables.md#a)", "[x](tables.md#a)"),
        ("files.md", "[x](../CONTRIBUTING.md)", "[x](contributing.md)"),
        ("tutorials/image.md", "[x](../../CONTRIBUTING.md#a)", "[x](../contributing.md#a)"),
        ("files.md", "[x](../examples/cpp/explain.cpp)", "[x](source/examples/cpp/explain.cpp)"),
        ("files.md", "see [x](../examples/cpp).", "see x."),
        ("contributing.md", "[x](docs/files.md)", "[x](files.md)"),
        ("benchmarks.md", "[x](../docs/gallery/README.md)", "[x](gallery/README.md)"),
        ("files.md", "[x](../nothing.md)", "[x](../nothing.md)"),
        ("files.md", "[x](https://onnx.ai)", "[x](https://onnx.ai)"),
        ("files.md", "`[x](../README.md)`", "`[x](../README.md)`"),
    ],
)
def test_links_lead_to_where_things_lie(page, written, leads) -> None:
    found = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert outside.on_page_markdown(written, page=found, config=config(), files=Files([])) == leads


def test_linked_files_come_along() -> None:
    settings = config()
    page = File.generated(settings, "a.md", content="[x](../examples/cpp/explain.cpp) and [y](../nothing.py)")
    files = outside.on_files(Files([page]), settings)
    assert files.get_file_from_path("source/examples/cpp/explain.cpp") is not None
    assert files.get_file_from_path("contributing.md") is not None
    assert not any("nothing" in file.src_uri for file in files)


def test_pages_that_nobody_lists_are_under_more() -> None:
    settings = config(nav=[{"Start": "a.md"}, {"Guide": ["b.md", {"C": "c/d.md"}]}])
    pages = [File.generated(settings, name, content="") for name in ("a.md", "b.md", "c/d.md", "new.md")]
    more.on_files(Files(pages), settings)
    assert settings.nav[-1] == {"More": ["new.md"]}
    more.on_files(Files(pages[:3]), config(nav=settings.nav))
    assert len(settings.nav) == 3
