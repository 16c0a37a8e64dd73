"""The command line: ``onnxplain explain``, ``evaluate``, ``visualise``, ``inspect``, ``export``...

What goes wrong is told in one line on standard error, ``error: ...``, with exit code 2; ``--debug``
shows the traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from onnxplain.commands.batch import batch
from onnxplain.commands.declared import (
    CompositeName,
    Debug,
    ExportedName,
    Layout,
    Mean,
    Model,
    OutputName,
    Params,
    Preset,
    Quiet,
    Scale,
    Size,
    Std,
)
from onnxplain.commands.evaluate import evaluate
from onnxplain.commands.explain import explain
from onnxplain.commands.page import page
from onnxplain.commands.repository import repository
from onnxplain.commands.serve import serve
from onnxplain.commands.terminal import app, speaker, tell
from onnxplain.commands.verify import verify
from onnxplain.commands.visualise import visualise
from onnxplain.versions import VERSION

__all__ = [
    "app",
    "batch",
    "evaluate",
    "explain",
    "main",
    "page",
    "repository",
    "serve",
    "verify",
    "visualise",
]


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        print(f"onnxplain {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def inspect(
    model: Model,
    composite: Annotated[
        str | None,
        typer.Option(
            "--composite",
            "-c",
            help="Show the LRP rule of each node under this composite: a name, or a .toml or .json file.",
        ),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="An option of the composite, such as gamma=0.5; repeatable."),
    ] = None,
    output_name: OutputName = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show inputs, outputs and operators, and what would stop an explanation (then exit code 1)."""
    from onnxplain.commands import arguments as given
    from onnxplain.commands.output import inspection_lines
    from onnxplain.inspection import inspect as look

    options = given.composite_options(params or [], composite)
    found = look(model, output=output_name, composite=composite, **options)
    if not quiet:
        for line in inspection_lines(found, composite):
            tell(line)
    for problem in found.problems:
        tell(f"problem: {problem}", sys.stderr)
    if found.problems:
        raise typer.Exit(1)
    if not quiet:
        print("nothing stands in the way of an explanation")


@app.command()
def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The .onnx file to write.", show_default=False)],
    method: ExportedName = "lrp",
    params: Params = None,
    composite: CompositeName = None,
    output_name: OutputName = None,
    form: Annotated[
        str,
        typer.Option(
            "--form",
            help="For any runtime (portable), or fast in onnxruntime: cpu or cuda; accelerated (or "
            "accelerated_cuda) needs the library of our operators there.",
        ),
    ] = "portable",
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="Samples that the file takes at once; 'any' frees a fixed number."),
    ] = None,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            help="Lengths that the model leaves open: an input's, as x=1,3,224,224, or an axis's, as T=128; "
            "repeatable.",
        ),
    ] = None,
    target_opset: Annotated[
        int | None, typer.Option("--target-opset", help="Opset of the file (default: the model's own).")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="Of a model in half precision: float32 (the default) inside, or float16 (or model) where "
            "that is accurate.",
        ),
    ] = None,
    card: Annotated[bool, typer.Option("--card", help="Write a model card beside it, OUT with .md.")] = False,
    predicted: Annotated[
        bool, typer.Option("--predicted", help="The file finds the class itself, and takes no target.")
    ] = False,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="How many of the highest classes it explains at once.")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="The file takes images, uint8 (N, H, W, C) of any size.")
    ] = False,
    size: Size = None,
    layout: Layout = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    preset: Preset = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one standard .onnx file that gives prediction and attribution together."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given
    from onnxplain.commands import lengths

    chosen = given.make_method(method, params or [], composite)
    told = given.image_options(size, layout, mean, std, scale, preset)
    wanted = images or any(v is not None for v in told.values())
    made = ox.export(
        model, out, method=chosen, output=output_name, form=form, batch=lengths.batch(batch),
        shapes=lengths.shapes(shapes), card=card, target_opset=target_opset,
        precision=cast("Any", precision),
        target="predicted" if predicted else None, top_k=top_k,
        preprocessing=given.preprocessing_of(model, told) if wanted else None,
    )  # fmt: skip
    say = speaker(quiet)
    say("wrote", str(out))
    say("size", f"{made.size:,} bytes, the model's weights {made.source_size:,}")
    say("opset", f"{made.opset}, IR version {made.ir_version}")
    if made.raised is not None:
        say("note", made.raised)


@app.command("methods")
def show_methods(debug: Debug = False) -> None:
    """List all methods: what they ask of a model, what they cost, and what their values sum to."""
    from onnxplain.commands.output import method_lines

    for line in method_lines():
        tell(line)


@app.command("coverage")
def show_coverage(debug: Debug = False) -> None:
    """List all operators: which have a gradient, how, and if not, why."""
    from onnxplain.testing.coverage import as_text, coverage

    print(as_text(coverage()))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("onnxplain-demo"),
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain the built-in digit classifier with several methods, and write one HTML report."""
    from onnxplain.commands.demo import run_demo

    report = run_demo(folder, progress=not quiet)
    speaker(quiet)("wrote", f"{report} (open it in a browser)")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
