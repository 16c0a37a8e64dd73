"""A hook of mkdocs: pages and files of the repository that lie outside ``docs``.

Some are pages of the site as well (``PAGES``). Any other file that a page links to is copied into the
site, so that the link leads somewhere; of a folder the name alone stays. A link to what does not exist is
left as it is, and fails the strict build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "README.md": "index.md",
}
_BACK = {page: path for path, page in PAGES.items() if path != "README.md"}
_LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(\s*(?![a-z]+:|#|/)([^()\s#]+)(#[^()\s]*)?\s*\)")
_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside, and the files that any page links to."""
    for page, path in _BACK.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    for page in list(files.documentation_pages()):
        for match in _links(page.content_string):
            path = _in_repository(page.src_uri, match[3])
            place = _place(path)
            there = not place.startswith("source/") or files.get_file_from_path(place)
            if not there and (ROOT / path).is_file():
                files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where things lie in the site."""
    uri = page.file.src_uri
    for match in reversed(_links(markdown)):
        path = _in_repository(uri, match[3])
        if not (ROOT / path).exists():
            continue
        if (ROOT / path).is_dir():
            written = match[2]
        else:
            place = posixpath.relpath(_place(path), posixpath.dirname(uri) or ".")
            written = f"{match[1]}[{match[2]}]({place}{match[4] or ''})"
        markdown = markdown[: match.start()] + written + markdown[match.end() :]
    return markdown


def _links(markdown: str) -> list[re.Match[str]]:
    code = [m.span() for m in _FENCE.finditer(markdown)]
    found = _LINK.finditer(markdown)
    return [m for m in found if not any(start <= m.start() and m.end() <= end for start, end in code)]


def _in_repository(page: str, link: str) -> str:
    """Path of what a page links to, from the top of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_BACK.get(page, f"docs/{page}")), link))


def _place(path: str) -> str:
    """Tell where a file of the repository lies in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path, f"source/{path}")
