"""A hook of mkdocs: the pages of the reference, written from the package; new names are there by themselves.

Every name of ``onnxplain.__all__`` stands on one page: methods by family, others as ``GROUPS`` says, and
what it does not know under "More". Every name of the subpackages in ``MODULES`` does, too; ``tests/docs``
holds these to what the pages name. The command line's page is typer's own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import onnxplain as ox
from onnxplain.methods import FAMILIES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

GROUPS: dict[str, tuple[str, str]] = {
    "Explaining": ("Read a model once, ask it why.", "Explainer explain Attribution inspect method METHODS"),
    "What is explained": ("What `target=` takes beside numbers.", "Detection Region Unit Weights"),
    "What is varied": (
        "What `baselines=` and `feature_mask=` take.",
        "Background Blur Mean Uniform Segments Words",
    ),
    "Relevance": ("Which rule of LRP goes to which layer.", "Composite Match rule"),
    "Exported files": (
        "Model and explanation as one standard file.",
        "export verify Verified rebatch Preprocessing",
    ),
    "Measuring": (
        "Which explanation is worth what.",
        "evaluate Evaluation compare Comparison tcav TCAVResult ConceptScore",
    ),
    "Units": ("What a unit looks for.", "visualise Visualisation ActivationMaximisation"),
    "Methods of your own": ("What a method is made of.", "Method Problem Plan Found Scores Walk Probe"),
}
#: Subpackages with names of their own, and of which the module's text comes first.
MODULES = (
    "checks", "errors", "metrics", "evaluation", "plots", "data", "testing", "testing.tasks", "scale",
    "serve", "page", "backward.composites.presets", "backward.rules.catalogue", "backward.rules.lrp",
    "backward.rules.formula", "backward.rules.stabilizer", "backward.registry", "backward.asks", "kernels",
    "metrics.quantus", "options", "runtime.plans.combinations", "runtime.plans.plan", "runtime.plans.points",
    "testing.reference", "graph.batch.table",
)  # fmt: skip
_ELSEWHERE = {"errors", "metrics"}  # names of the package that are modules
_ALONE = "\n    options:\n      members: false\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and list them in the navigation's empty section "Reference"."""
    listed: list[Any] = []
    for section, pages in _sections().items():
        uris: list[Any] = [f"reference/{uri}.md" for uri in pages]
        for uri, text in zip(uris, pages.values(), strict=True):
            files.append(File.generated(config, uri, content=text))
        listed += [{section: uris}] if section else uris
    for section in config.nav or ():
        if "Reference" in section:
            section["Reference"] = listed
    return files


def _sections() -> dict[str, dict[str, str]]:
    """All pages, by section and path."""
    top = {"index": _index()}
    families = {cls.__name__: family for family, classes in FAMILIES.items() for cls in classes}
    named = set(families) | _ELSEWHERE
    for title, (intro, names) in GROUPS.items():
        top[_slug(title)] = _page(title, intro, [f"onnxplain.{name}" for name in names.split()])
        named |= set(names.split())
    rest = [f"onnxplain.{name}" for name in ox.__all__ if name not in named]
    if rest:
        top["more"] = _page("More", "", rest)
    top["command-line"] = _command_line()
    methods = {}
    for family, classes in FAMILIES.items():
        intro = "Their equations, costs and pitfalls, side by side, are in [Methods](../../methods.md)."
        names = [f"onnxplain.{cls.__name__}" for cls in classes]
        methods[_of_family(family)] = _page(family[0].upper() + family[1:], intro, names, _ALONE)
    package = griffe.load("onnxplain", search_paths=[str(ROOT)])
    inner = {name: _of_module(package[name]) for name in MODULES}
    return {"": top, "Methods": methods, "Subpackages": inner}


def _of_family(family: str) -> str:
    return f"methods/{_slug(family)}"


def _page(title: str, intro: str, names: list[str], options: str = "\n") -> str:
    return f"# {title}\n\n{intro}\n\n" + "\n".join(f"::: {name}{options}" for name in names)


def _of_module(module: griffe.Module) -> str:
    """Page of a module: its text, then the names that it declares in ``__all__``."""
    inner = [path for name in module.exports or () if (path := _path(module, str(name)))]
    alone = _ALONE if module.path == "onnxplain.metrics" else "\n"
    heading = f"# {module.path.removeprefix('onnxplain.')}\n\n::: {module.path}{_ALONE}"
    heading += "      show_root_heading: false\n      show_root_toc_entry: false\n\n"
    return heading + "\n".join(f"::: {path}{alone}" for path in inner)


def _path(module: griffe.Module, name: str) -> str | None:
    """Where a name of a module is found; None if it is a module itself, which has a page of its own."""
    member = module.members.get(name)
    inner = member is not None and not member.is_alias and member.is_module
    return None if inner else f"{module.path}.{name}"


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _index() -> str:
    """First page: what lies where."""
    lines = [f"* [{title}]({_slug(title)}.md): {intro}" for title, (intro, _) in GROUPS.items()]
    for family, classes in FAMILIES.items():
        names = ", ".join(f"[`{cls.name}`][onnxplain.{cls.__name__}]" for cls in classes)
        lines.append(f"* Methods, [{family}]({_of_family(family)}.md): {names}.")
    text = "\n".join(lines)
    return (
        "# Reference\n\nEverything public, from its docstring. `import onnxplain as ox` has these:\n\n"
        f"{text}\n* The [command line](command-line.md).\n\nIts subpackages follow them on the left.\n"
    )


def _command_line() -> str:
    """All commands with their options, as typer writes them."""
    asked = ["-m", "typer", "onnxplain.commands.cli", "utils", "docs", "--name", "onnxplain"]
    done = subprocess.run([sys.executable, *asked], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.replace("# `onnxplain`", "# Command line", 1)
