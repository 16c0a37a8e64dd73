"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AtOnce",
    "BackgroundRows",
    "Baseline",
    "CompositeName",
    "Debug",
    "Device",
    "ExportedName",
    "FeatureMask",
    "Ids",
    "InputName",
    "Labels",
    "Layout",
    "Mean",
    "Memory",
    "MethodName",
    "Model",
    "Names",
    "OutputName",
    "Params",
    "Preset",
    "Quiet",
    "Scale",
    "Size",
    "Std",
    "Target",
]

Model = Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method",
        "-m",
        help="Such as integrated_gradients (the default), smooth_grad, lrp, tree_shap, feature_ablation; "
        "auto (the default of tables) takes the most exact one that the model allows.",
        show_default=False,
    ),
]
ExportedName = Annotated[
    str, typer.Option("--method", "-m", help="One walk back, such as lrp, deep_lift, saliency.")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="A parameter of the method, such as n_steps=200; repeatable."),
]
CompositeName = Annotated[
    str | None,
    typer.Option(
        "--composite",
        "-c",
        help="LRP: which rule goes to which node; a name such as epsilon_plus, or a .toml or .json file.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        help="Class number or label; 3,5 for an output with more axes (default: the predicted class).",
    ),
]
OutputName = Annotated[
    str | None, typer.Option("--output-name", help="Which of the model's outputs (default: the first).")
]
InputName = Annotated[
    str | None,
    typer.Option("--input", help="Model input that the data is for; with .npz: the one to explain."),
]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="Class names: one a line, or JSON.", show_default=False)
]
Names = Annotated[
    Path | None,
    typer.Option(
        "--names",
        help="Names of features, columns (in the model's order) or tokens: one a line, or JSON.",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        help="Where a path starts, or what stands for what is taken away: a number, an .npy or .npz file, "
        "blur, mean, uniform; for images black or white.",
    ),
]
BackgroundRows = Annotated[
    str | None,
    typer.Option(
        "--background",
        help="Rows that stand for what is usual, each a baseline: .csv, .parquet, .npy or .npz.",
    ),
]
FeatureMask = Annotated[
    str | None,
    typer.Option(
        "--feature-mask",
        help="What is taken away together: pixels (channels together), segments (superpixels), quickshift, "
        "felzenszwalb, grid, changes (of a series), tokens, columns, inputs, elements; or an .npy or .npz "
        "file of integers.",
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="Table: a column that only says which row is which; repeatable."),
]
Size = Annotated[
    str | None, typer.Option(help="Image: height x width, such as 224x224 (default: the model's).")
]
Layout = Annotated[str | None, typer.Option(help="Image: NCHW or NHWC (default: from the model).")]
Mean = Annotated[
    str | None, typer.Option(help="Image: subtracted after scaling; one number or one per channel.")
]
Std = Annotated[str | None, typer.Option(help="Image: divided by after that.")]
Scale = Annotated[
    str | None, typer.Option(help="Image: pixels 0..255 are multiplied by this (default: 1/255).")
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Image: 'imagenet' resizes, crops and normalises as is usual there, and names the classes."
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option("--internal-batch-size", help="Points that run at once (default: as many as fit)."),
]
Memory = Annotated[
    str | None, typer.Option("--memory-budget", help="Memory for these, such as 2GB (default: 1 GB).")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
