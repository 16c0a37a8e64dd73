"""``onnxplain page``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxplain.commands.declared import (
    Debug,
    Ids,
    Labels,
    Layout,
    Mean,
    Model,
    OutputName,
    Preset,
    Quiet,
    Scale,
    Size,
    Std,
)
from onnxplain.commands.terminal import app, speaker

__all__ = ["page"]


@app.command()
def page(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods", "-m",
            help="What it offers, such as lrp,integrated_gradients:n_steps=16 (default: the usual).",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Of the page.")] = None,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            "--example", "-e",
            help="To try: a picture (repeatable), a table (.csv, .parquet), or texts (.txt, one a line).",
        ),
    ] = None,
    labels: Labels = None,
    background: Annotated[
        str | None, typer.Option("--background", help="Table: rows that stand for what is usual.")
    ] = None,
    ids: Ids = None,
    names: Annotated[
        str | None, typer.Option("--names", help="Table: names of the columns, with commas between them.")
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option("--vocabulary", help="Token ids: the words, one a line, or JSON.", show_default=False),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            "--runtime",
            help="onnxruntime-web: its folder, or the archive of 'npm pack' (default: npm gets it).",
            show_default=False,
        ),
    ] = None,
    size: Size = None,
    layout: Layout = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    preset: Preset = None,
    output_name: OutputName = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Write a static site that predicts and explains in the browser; nothing is uploaded."""
    from onnxplain.commands import arguments as given
    from onnxplain.commands.labels import class_names, read_labels
    from onnxplain.commands.site import examples_of
    from onnxplain.commands.specs import methods_by_specs
    from onnxplain.explainer import Explainer
    from onnxplain.page import write_page

    told = given.image_options(size, layout, mean, std, scale, preset)
    images = any(v is not None for v in told.values())
    explainer = Explainer(model)
    columns = None if names is None else [n.strip() for n in names.split(",")]
    shown, rows = examples_of(examples or [], background, explainer, ids or [], columns)
    made = write_page(
        model, out,
        methods=None if methods is None else methods_by_specs(methods),
        title=title,
        labels=class_names(labels, preset, explainer.outputs, output_name),
        preprocessing=given.preprocessing_of(model, told) if images else None,
        examples=shown, background=rows, feature_names=columns,
        vocabulary=None if vocabulary is None else read_labels(vocabulary),
        output=output_name, runtime=runtime,
    )  # fmt: skip
    say = speaker(quiet)
    for note in made.notes:
        say("note", note)
    for method in made.methods:
        say("offers", method)
    say("wrote", f"{out} ({made.size:,} bytes)")
    say("serve it", f"python -m http.server --bind 127.0.0.1 --directory {out}")
