"""``onnxplain batch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from onnxplain.commands.terminal import app, speaker, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain.explainer import Explainer
    from onnxplain.scale.data_set import DataSet, Reading

__all__ = ["batch"]


@app.command()
def batch(
    model: Model,
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="A file, a folder with all below it, or a URL such as s3://bucket/folder: tables (.csv, "
            ".tsv, .parquet), images, or arrays (.npy, rows first).",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            show_default=False,
            help="The folder (or its URL) to write parts to; the same command goes on where it ended.",
        ),
    ],
    method: MethodName = None,
    params: Params = None,
    composite: CompositeName = None,
    target: Target = None,
    target_column: Annotated[
        str | None,
        typer.Option(
            "--target-column", help="Table: the column that holds the class to explain in each row."
        ),
    ] = None,
    output_name: OutputName = None,
    baseline: Baseline = None,
    rows: BackgroundRows = None,
    feature_mask: FeatureMask = None,
    kind: Annotated[
        str | None,
        typer.Option(help="csv, parquet, images or npy, where the folder holds several kinds of files."),
    ] = None,
    ids: Ids = None,
    names: Names = None,
    form: Annotated[str, typer.Option("--form", help="Of the parts: parquet or npz.")] = "parquet",
    rows_a_part: Annotated[
        int | None,
        typer.Option(
            "--rows",
            help="Rows that are explained and written together (default: by their size, at most 4096).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Ray workers, with an explainer each, on the cluster that RAY_ADDRESS names or on this "
            "machine (default: this process alone, without Ray)."
        ),
    ] = None,
    cpus: Annotated[float, typer.Option("--cpus", help="Threads of each worker.")] = 1.0,
    gpus: Annotated[
        float, typer.Option("--gpus", help="GPUs of each worker; 0.25 for four workers on one.")
    ] = 0.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first row that cannot be explained.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Make parts again that hold rows with errors.")
    ] = False,
    input_name: Annotated[
        str | None, typer.Option("--input", help="Model input that images or arrays are for.")
    ] = None,
    size: Size = None,
    layout: Layout = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    preset: Preset = None,
    labels: Labels = None,
    at_once: AtOnce = None,
    memory: Memory = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain every row of a data set of any size, into a folder of parts; exit code 1 if all rows failed."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given
    from onnxplain.commands.labels import class_names, read_labels
    from onnxplain.commands.targets import target as chosen_target
    from onnxplain.scale import explain_files
    from onnxplain.scale.data_set import DataSet, Reading

    say = speaker(quiet)
    data = DataSet.of(source, kind)
    plain = not params and composite is None
    named = method or ("auto" if plain and data.holds_tables else "integrated_gradients")
    chosen = given.method_or_auto(named, params or [], composite)
    options = given.image_options(size, layout, mean, std, scale, preset)
    given.refuse_two_baselines(baseline, rows)
    part_names = read_labels(names) if names is not None else None
    told = {key: value for key, value in options.items() if value is not None}
    reading = Reading(kind, ids or (), target_column, part_names, told, input_name)
    here = device if workers is None else "cpu"
    explainer = ox.Explainer(model, device=here, **given.budget(memory))
    classes = class_names(labels, preset, explainer.outputs, output_name)
    usual, left_out = _background(rows, data, reading, explainer)
    for name in left_out:
        say("left out", f"{name} of {rows}")
    found = explain_files(
        source,
        explainer,
        out,
        chosen,
        target=chosen_target(target, classes),
        kind=kind,
        ids=reading.ids,
        target_column=target_column,
        feature_names=part_names,
        images=told,
        input=input_name,
        form=form,
        rows_a_part=rows_a_part,
        strict=strict,
        retry=retry,
        workers=workers,
        num_cpus=cpus,
        num_gpus=gpus,
        progress=not quiet,
        output=output_name,
        baselines=_start(baseline, data, explainer, input_name, options) if usual is None else usual,
        feature_mask=given.feature_mask(feature_mask),
        internal_batch_size=at_once,
        **({} if workers is None else {"device": device}),
    )
    say("method", found.method)
    for note in found.notes:
        say("note", note)
    kept = f", {found.kept} of them there before" if found.kept else ""
    say("wrote", f"{found.parts} parts of {found.rows} rows to {found.out}{kept}")
    say("explained", f"{found.explained} rows in {found.seconds:.1f} s")
    if found.failed:
        tell(f"{found.failed} rows could not be explained; the column 'error' says why", sys.stderr)
    if found.failed and found.failed == found.explained:
        raise typer.Exit(1)


def _background(
    rows: str | None, data: DataSet, reading: Reading, explainer: Explainer
) -> tuple[Any, Sequence[str]]:
    """Read rows that stand for what is usual, and name the columns of theirs that are not used."""
    from onnxplain.commands.tables import LoadedTable, background

    table = None
    if rows is not None and data.holds_tables:
        reader = reading.form(data.kind, explainer)
        table = LoadedTable(dict.fromkeys(data.names(reader)))  # type: ignore[arg-type]  # names alone are read
    return background(rows, table, explainer)


def _start(
    baseline: str | None, data: DataSet, explainer: Explainer, name: str | None, options: dict[str, Any]
) -> Any:
    """Read a baseline; colours are made as large as the first image."""
    from onnxplain.commands import arguments as given

    image = None
    if data.kind == "images" and baseline is not None and baseline.lower() in given.LEVELS:
        first = Path(data.place.root, data.files[0].name)
        _, _, image = given.read(first, explainer.inputs, name, options)
    return given.baselines(baseline, image)
