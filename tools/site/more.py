"""A hook of mkdocs: pages that the navigation does not name are listed under "More"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the section, if there are such pages."""
    named = set(_named(config.nav))
    rest = sorted(page.src_uri for page in files.documentation_pages() if page.src_uri not in named)
    if rest:
        config.nav = [*(s for s in config.nav or () if "More" not in s), {"More": rest}]
    return files


def _named(nav: Any) -> Iterator[str]:
    """All pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _named(item)
