"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "CompositeName",
    "Debug",
    "ExportedName",
    "MethodName",
    "Model",
    "OutputName",
    "Params",
    "Quiet",
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
OutputName = Annotated[
    str | None, typer.Option("--output-name", help="Which of the model's outputs (default: the first).")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
