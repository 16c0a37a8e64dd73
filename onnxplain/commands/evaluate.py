"""``onnxplain evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from onnxplain.commands.declared import (
    AtOnce,
    Baseline,
    Debug,
    Device,
    FeatureMask,
    Ids,
    InputName,
    Labels,
    Layout,
    Mean,
    Memory,
    Model,
    OutputName,
    Preset,
    Quiet,
    Scale,
    Size,
    Std,
)
from onnxplain.commands.terminal import app, speaker, tell

__all__ = ["evaluate"]

METHODS = "saliency,input_x_gradient,integrated_gradients,smooth_grad,lrp,deep_lift,guided_backprop,grad_cam"
METRICS = "deletion,insertion,faithfulness_correlation,completeness,sparseness,complexity"


@app.command()
def evaluate(
    model: Model,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="The samples: an .npy array; an .npz with one array per model input; a table, .csv or "
            ".parquet; an image, or a folder of images.",
        ),
    ],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            "-m",
            help="Names with commas between them, parameters behind colons: "
            "integrated_gradients:n_steps=20:baselines=blur,lrp; repeatable (default: eight that walk back).",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            help="Likewise; or a family: faithfulness, robustness, localisation, complexity, randomisation, "
            "axioms (default: six that need no ground truth).",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="The ground truth: .npy, .npz, or pictures that are bright there (one, or a folder).",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="Class number or label; 3,5 for an output with more axes; or an .npy file with a class for "
            "each sample (default: the predicted classes).",
        ),
    ] = None,
    output_name: OutputName = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="How many samples to take, the first (default: all).")
    ] = None,
    baseline: Baseline = None,
    feature_mask: FeatureMask = None,
    seed: Annotated[
        int | None, typer.Option(help="For all methods and metrics that draw and have none of their own.")
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence of the intervals.")] = 0.95,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="A folder that keeps what is finished; the same command goes on where it ended.",
            show_default=False,
        ),
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(help="Samples that are measured together (default: as memory allows).")
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .html (a report), .csv, .json, .npz (all the numbers), .png (or .svg, .pdf, "
            ".jpg: ranks); repeatable (default: DATA-trust.html here).",
        ),
    ] = None,
    ids: Ids = None,
    size: Size = None,
    layout: Layout = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    preset: Preset = None,
    labels: Labels = None,
    input_name: InputName = None,
    at_once: AtOnce = None,
    memory: Memory = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure methods by metrics: what each explanation is worth."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given
    from onnxplain.commands import data_sets, specs, trust
    from onnxplain.commands.labels import class_names

    say = speaker(quiet)
    files = given.destinations(out, source, "trust", model, ".html")
    metric_list = specs.metric_specs(metrics) if metrics else METRICS.split(",")
    ox.evaluation.chosen_metrics(metric_list)
    explainer = ox.Explainer(model, device=device, **given.budget(memory))
    classes = class_names(labels, preset, explainer.outputs, output_name)
    options = given.image_options(size, layout, mean, std, scale, preset)
    data = data_sets.load_data(source, explainer, input_name, options, ids or [], count)
    found = ox.evaluate(
        explainer,
        data.inputs,
        trust.target(target, classes, data.n),
        methods=specs.method_specs(methods or [METHODS], data.image),
        metrics=metric_list,
        masks=data_sets.load_masks(masks, data),
        baselines=given.baselines(baseline, data.image),
        feature_mask=given.feature_mask(feature_mask),
        output=output_name,
        wrt=data.wrt,
        internal_batch_size=at_once,
        block_size=block_size,
        seed=seed,
        level=None if data.n == 1 else level,
        resume=resume,
        progress=not quiet,
    )
    if not quiet:
        for line in found.table().splitlines():
            tell(line)
    for note in found.notes:
        say("note", note)
    for file in files:
        steps = data.image.steps if data.image else ()
        trust.write(found, file, model, source, steps, classes)
        say("wrote", str(file))
    if len(found.failures) == len(found.cells):
        tell(f"error: nothing could be measured; {found.failures[0].error}", sys.stderr)
        raise typer.Exit(1)
