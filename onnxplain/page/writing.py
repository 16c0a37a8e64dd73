"""A static site that predicts and explains in the browser: written whole, and tried before it appears."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from onnxplain.errors import DataInputError, MethodError, OnnxplainError
from onnxplain.explainer import Explainer
from onnxplain.export import Exported, export
from onnxplain.graph.load import ModelSource, load
from onnxplain.image_files import load_pixels
from onnxplain.inputs import choose_output
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.page.examples import write_pictures
from onnxplain.page.folder import check_folder, replacing_folder
from onnxplain.page.form import Form
from onnxplain.page.forms import form_of
from onnxplain.page.methods import USUAL, about, title_of
from onnxplain.page.models import index_length, output_shape, refuse_halves, write_model, write_preparation
from onnxplain.page.pieces import cut
from onnxplain.page.runtime import find_runtime
from onnxplain.page.trial import run_file, try_files
from onnxplain.preprocessing import Preprocessing
from onnxplain.report.page import rendered
from onnxplain.versions import VERSION

__all__ = ["Page", "write_page"]

#: What the page reads first; a folder with it may be replaced.
MANIFEST = "page.json"
#: Bytes of models that a browser has room for, beside what they compute with.
_ROOM = 1 << 30


@dataclass(frozen=True)
class Page:
    """A site that was written.

    Attributes
    ----------
    folder
        Where it lies.
    kind
        What it asks for: ``"image"``, ``"row"`` or ``"tokens"``.
    methods
        What it offers, as the methods are written.
    size
        Bytes of all files.
    notes
        What was left out, and why; what a visitor is told.
    """

    folder: Path
    kind: str
    methods: tuple[str, ...]
    size: int
    notes: tuple[str, ...]


def write_page(
    model: ModelSource,
    folder: str | os.PathLike[str],
    *,
    methods: Sequence[str | Method] | Mapping[str, str | Method] | None = None,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    examples: Any = None,
    background: Any = None,
    feature_names: Any = None,
    vocabulary: Sequence[str] | None = None,
    output: str | None = None,
    runtime: str | os.PathLike[str] | None = None,
) -> Page:
    """Write a static site: a visitor gives a picture, a row or words, and sees prediction and explanation.

    Everything is computed in the visitor's browser, by onnxruntime-web, which the site carries; it loads
    nothing from elsewhere and sends nothing away.  Any web server will do.  Before the site appears, each of
    its files is run and compared with the explainer.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    folder
        Where to write: a new or empty folder, or one that this function wrote, which is replaced.
    methods
        What is offered, as :func:`~onnxplain.export` takes it; the first is shown first.  By default some
        that are usual for this kind of model, as far as it allows them.
    title
        Of the page.
    labels
        Names of the classes.
    preprocessing
        How pictures become the model's input.  By default pixels are divided by 255 and brought to its size.
    examples
        To try: paths of pictures; a table (as :class:`~onnxplain.Explainer` takes it); texts.
    background
        For tables: rows that stand for what is usual, as a table; up to 20 of them, evenly chosen, are what
        methods compare with.  By default 0.
    feature_names
        Names of a matrix's columns, where neither the model nor a table says them.
    vocabulary
        For token ids: the words, by number.  Without it, visitors type numbers.
    output
        Which output to explain (default: the first of floats); (N, C) scores of classes, or single scores.
    runtime
        onnxruntime-web: its folder, or the archive that ``npm pack`` writes.  By default npm gets it.

    Returns
    -------
    Page
        What was written.

    Raises
    ------
    NotExplainableError
        If a page cannot ask for what the model takes (several inputs, sound, raw text), or show its scores.
    DataInputError
        If something given does not fit the model.
    MethodError
        If a method that was named cannot be written; where none was named, if none of the usual ones can.
    OptionalDependencyError
        If onnxruntime-web is not there.
    CheckFailedError
        If a file does not give what the explainer gives.
    OutputError
        If the folder cannot be written; what stood there is still there.
    """
    check_folder(folder, MANIFEST)
    refuse_halves(load(model))
    explainer = Explainer(model)
    explained = choose_output(explainer.outputs, output)
    classes = output_shape(explainer, explained)
    if labels is not None and classes not in (None, len(labels)):
        raise DataInputError(
            f"there are {len(labels)} labels, and output '{explained}' has {classes} classes"
        )
    form = form_of(explainer, preprocessing, examples, background, feature_names, vocabulary)
    chosen, strict = _chosen(methods, form.kind)
    web = find_runtime(runtime)
    with replacing_folder(folder, MANIFEST) as site:
        models = site / "models"
        models.mkdir()
        shown = dict(form.shown)
        if form.kind == "image":
            shown["examples"] = write_pictures(examples or (), shown["channels"], site)
            form = _prepared(form, site, models, shown)
        write_model(explainer, explained, models / "model.onnx")
        written, left = _export(model, models, chosen, form, explained, strict=strict)
        offered = {name: chosen[name] for name in written}
        targets = {name: _target(made, form) for name, made in written.items()}
        try_files(explainer, models, form, offered, explained, targets)
        entries = [_entry(name, offered[name], made, form, targets[name]) for name, made in written.items()]
        pieces = cut(sorted(models.glob("*.onnx")), models / "weights.bin")
        held = (models / "weights.bin").stat().st_size
        if held > _ROOM:
            raise DataInputError(
                f"the models hold {held:,} bytes of weights, and a browser has no room for more than "
                f"{_ROOM:,}; use a smaller model"
            )
        manifest = {
            "onnxplain": VERSION, "runtime": web.version, "kind": form.kind, "form": shown,
            "output": explained, "labels": None if labels is None else list(labels), "weights": held,
            "methods": entries, "pieces": pieces,
        }  # fmt: skip
        if vocabulary is not None:
            (site / "words.json").write_text(json.dumps(list(vocabulary)), encoding="utf-8")
        (site / MANIFEST).write_text(json.dumps(manifest, allow_nan=False), encoding="utf-8")
        web.write(site / "runtime")
        named = title or (Path(model).stem if isinstance(model, (str, os.PathLike)) else "A model, explained")
        _copy_site(site, title=named, kind=form.kind, notes=form.notes, form=shown, version=VERSION)
        size = sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    return Page(Path(folder), form.kind, tuple(repr(chosen[n]) for n in written), size, (*left, *form.notes))


def _chosen(
    methods: Sequence[str | Method] | Mapping[str, str | Method] | None, kind: str
) -> tuple[dict[str, Method], bool]:
    """Return methods by the name that their file has, and whether each must work."""
    if methods is None:
        return {name: make_method(name, **given) for name, given in USUAL[kind]}, False
    if isinstance(methods, (str, Method)):
        methods = [methods]
    pairs = methods.items() if isinstance(methods, Mapping) else [(None, m) for m in methods]
    made: dict[str, Method] = {}
    for label, each in pairs:
        method = make_method(each)
        name = method.name if label is None else str(label)
        if name in made:
            raise MethodError(f"there are two methods '{name}'; give a dict, by names of your own")
        if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
            raise MethodError(f"'{name}' cannot be a file's name; use letters, digits, - and _")
        if name in ("model", "prepare"):
            raise MethodError(f"a method cannot be called '{name}'; choose another name")
        made[name] = method
    if not made:
        raise MethodError("no method is given; name at least one")
    return made, True


def _export(
    model: ModelSource, folder: Path, chosen: Mapping[str, Method], form: Form, output: str, *, strict: bool
) -> tuple[dict[str, Exported], list[str]]:
    """Write a file for each method; tell which of the usual ones were left out, and why."""
    written: dict[str, Exported] = {}
    left: list[str] = []

    def write(name: str, method: Method) -> None:
        written[name] = export(
            model, folder / f"{name}.onnx", method=method, output=output, wrt=list(form.explained),
            steps_at_once=form.at_once, **form.options_for(method),
        )  # fmt: skip

    for name, method in chosen.items():
        if strict:
            write(name, method)
        elif (reason := _refused(write, name, method)) is not None:
            left.append(f"{name} is left out: {reason}")
    if not written:
        raise MethodError(f"none of the usual methods can be written for this model ({'; '.join(left)})")
    return written, left


def _refused(write: Callable[[str, Method], None], name: str, method: Method) -> str | None:
    """Return why a method cannot be written; None where it was."""
    try:
        write(name, method)
    except OnnxplainError as error:
        return str(error)
    return None


def _prepared(form: Form, site: Path, models: Path, shown: Mapping[str, Any]) -> Form:
    """Write what prepares pictures, and try everything on the first example, if there is one."""
    write_preparation(form, models / "prepare.onnx")
    if not shown["examples"]:
        return form
    pixels = load_pixels(site / shown["examples"][0]["file"], shown["channels"])
    (name,) = form.explained
    return replace(form, probe={name: run_file(models / "prepare.onnx", {name: pixels})["prepared"]})


def _target(made: Exported, form: Form) -> tuple[str, int] | None:
    """Return a file's input for the target, and how many numbers an index has; None without one."""
    name = next((i for i in made.inputs if i not in form.probe), None)
    return None if name is None else (name, index_length(made.path, name))


def _entry(
    name: str, method: Method, made: Exported, form: Form, target: tuple[str, int] | None
) -> dict[str, Any]:
    """Describe a method for the page."""
    usual = name == method.name
    return {
        "name": name, "title": title_of(method) if usual else name.replace("_", " "), "about": about(method),
        "written": repr(method), "sums": method.sums_to or "",
        "against": form.compared(method),
        "target": None if target is None else {"name": target[0], "length": target[1]},
        "values": {i: f"attribution/{i}" for i in form.explained if f"attribution/{i}" in made.outputs},
    }  # fmt: skip


def _copy_site(site: Path, **content: Any) -> None:
    """Write the page itself, its looks and its scripts."""
    (site / "index.html").write_text(
        rendered("index.html.jinja", folder="page/site", **content),
        encoding="utf-8",
        errors="backslashreplace",
    )
    for file in resources.files("onnxplain.page").joinpath("site").iterdir():
        if file.name.endswith((".js", ".css", ".svg")):
            (site / file.name).write_bytes(file.read_bytes())
