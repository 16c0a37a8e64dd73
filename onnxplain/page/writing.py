"""A static site that predicts and explains in the browser: written whole, and tried before it appears."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from onnxplain.errors import DataInputError
from onnxplain.explainer import Explainer
from onnxplain.graph.load import ModelSource, load
from onnxplain.image_files import load_pixels
from onnxplain.inputs import choose_output
from onnxplain.methods import Method
from onnxplain.page.examples import write_pictures
from onnxplain.page.folder import check_folder, replacing_folder
from onnxplain.page.form import Form
from onnxplain.page.forms import form_of
from onnxplain.page.methods import chosen_methods
from onnxplain.page.models import (
    explained_score,
    output_shape,
    refuse_halves,
    write_model,
    write_preparation,
)
from onnxplain.page.offers import write_offers
from onnxplain.page.pieces import cut
from onnxplain.page.runtime import find_runtime
from onnxplain.page.trial import run_file, try_model
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
    explainer = Explainer(model, device="cpu")  # as the files that are compared with it
    explained = choose_output(explainer.outputs, output)
    classes = output_shape(explainer, explained)
    if labels is not None and classes not in (None, len(labels)):
        raise DataInputError(
            f"there are {len(labels)} labels, and output '{explained}' has {classes} classes"
        )
    form = form_of(explainer, preprocessing, examples, background, feature_names, vocabulary)
    form = replace(form, notes=tuple(filter(None, (*form.notes, explained_score(explainer, explained)))))
    chosen, strict = chosen_methods(methods, form.kind)
    web = find_runtime(runtime)
    with replacing_folder(folder, MANIFEST) as site:
        models = site / "models"
        models.mkdir()
        shown = dict(form.shown)
        if form.kind == "image":
            shown["examples"] = write_pictures(examples or (), shown["channels"], site)
            form = _prepared(form, site, models, shown)
        write_model(explainer, explained, models / "model.onnx")
        try_model(explainer, models / "model.onnx", form, explained)
        offers, left = write_offers(model, explainer, models, chosen, form, explained, strict=strict)
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
            "methods": offers, "pieces": pieces,
        }  # fmt: skip
        if vocabulary is not None:
            (site / "words.json").write_text(json.dumps(list(vocabulary)), encoding="utf-8")
        (site / MANIFEST).write_text(json.dumps(manifest, allow_nan=False), encoding="utf-8")
        web.write(site / "runtime")
        named = title or (Path(model).stem if isinstance(model, (str, os.PathLike)) else "A model, explained")
        _copy_site(site, title=named, kind=form.kind, notes=form.notes, form=shown, version=VERSION)
        size = sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    return Page(Path(folder), form.kind, tuple(o["written"] for o in offers), size, (*left, *form.notes))


def _prepared(form: Form, site: Path, models: Path, shown: Mapping[str, Any]) -> Form:
    """Write what prepares pictures, and try everything on the first example, if there is one."""
    write_preparation(form, models / "prepare.onnx")
    if not shown["examples"]:
        return form
    pixels = load_pixels(site / shown["examples"][0]["file"], shown["channels"])
    (name,) = form.explained
    return replace(form, probe={name: run_file(models / "prepare.onnx", {name: pixels})["prepared"]})


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
