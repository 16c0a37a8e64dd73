"""``onnxplain explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onnxplain.commands.declared import (
    AtOnce,
    BackgroundRows,
    Baseline,
    CompositeName,
    Debug,
    Device,
    FeatureMask,
    Ids,
    InputName,
    Labels,
    Layout,
    Mean,
    Memory,
    MethodName,
    Model,
    Names,
    OutputName,
    Params,
    Preset,
    Quiet,
    Scale,
    Size,
    Std,
    Target,
)
from onnxplain.commands.terminal import app, speaker

__all__ = ["explain"]


@app.command()
def explain(
    model: Model,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            show_default=False,
            help="An image; an .npy array, used as it is; an .npz with one array per model input; or a "
            "table, .csv or .parquet, with the names of its columns.",
        ),
    ],
    method: MethodName = None,
    params: Params = None,
    composite: CompositeName = None,
    target: Target = None,
    output_name: OutputName = None,
    layer: Annotated[
        str | None,
        typer.Option(help="What is explained inside the model: the name of a value, or of its node."),
    ] = None,
    neuron: Annotated[
        tuple[str, str] | None,
        typer.Option(help="A score inside the model: such a name, and an index, such as 5 or 5,0,0."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            help="Explain a detection: x1,y1,x2,y2 in the units of the model's boxes; --target is its class."
        ),
    ] = None,
    detection: Annotated[
        list[str] | None,
        typer.Option(
            help="How the model writes boxes, such as coordinates=cxcywh, boxes=NAME, iou=0.4; repeatable."
        ),
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(
            help="Explain a region of a dense map: a picture, bright there, or an .npy array, of the size of "
            "the map; --target is its class.",
            show_default=False,
        ),
    ] = None,
    baseline: Baseline = None,
    rows: BackgroundRows = None,
    feature_mask: FeatureMask = None,
    ids: Ids = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .png (or .svg, .pdf, .jpg), .npz or .json (all the numbers), .csv (of a "
            "table), .html (a report); repeatable (default: INPUT-METHOD.png here).",
        ),
    ] = None,
    size: Size = None,
    layout: Layout = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    preset: Preset = None,
    labels: Labels = None,
    names: Names = None,
    input_name: InputName = None,
    at_once: AtOnce = None,
    memory: Memory = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain one input: show what made the model give this score."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given
    from onnxplain.commands import tables, targets
    from onnxplain.commands.labels import class_names, read_labels
    from onnxplain.commands.output import summary, write
    from onnxplain.table_files import holds_table

    say = speaker(quiet)
    plain = not params and composite is None
    named = method or ("auto" if plain and holds_table(source) else "integrated_gradients")
    chosen = given.method_or_auto(named, params or [], composite)
    part_names = read_labels(names) if names is not None else None
    files = given.destinations(out, source, named, model)
    explainer = ox.Explainer(model, device=device, **given.budget(memory))
    classes = class_names(labels, preset, explainer.outputs, output_name)
    image_options = given.image_options(size, layout, mean, std, scale, preset)
    given.refuse_two_baselines(baseline, rows)
    table, image, wrt = None, None, input_name
    inputs: Any
    if holds_table(source):
        given.refuse_image_options(image_options, source.suffix)
        table = tables.load_table(source, explainer, ids or [], part_names)
        inputs = table.columns
    else:
        given.refuse_ids(ids)
        inputs, wrt, image = given.read(source, explainer.inputs, input_name, image_options)
    for step in [", ".join(image.steps)] if image else []:
        say("image", step)
    usual, left_out = tables.background(rows, table, explainer)
    for name in left_out:
        say("left out", f"{name} of {rows}")
    start = given.baselines(baseline, image) if usual is None else usual
    result = explainer(
        inputs,
        target=targets.scored(target, classes, chosen, neuron, box, detection or (), region),
        method=chosen,
        output=output_name,
        wrt=wrt,
        layer=layer,
        neuron=targets.neuron(neuron),
        baselines=start,
        feature_mask=given.feature_mask(feature_mask),
        feature_names=part_names if table is not None else None,
        internal_batch_size=at_once,
        progress=not quiet,
    )
    say("method", result.written_method)
    for key, text in summary(result, classes, table is not None):
        say(key, text)
    for note in dict.fromkeys((*explainer.notes, *result.notes)):
        say("note", note)
    for file in files:
        steps = image.steps if image else ()
        for written in write(result, file, model, source, steps, classes, part_names, table):
            say("wrote", str(written))
