"""The command line: ``onnxplain explain``, ``inspect``, ``export``, ``methods``, ``coverage`` and ``demo``.

What goes wrong is told in one line on standard error, ``error: ...``, with exit code 2; ``--debug``
shows the traceback.
"""

from __future__ import annotations

import io
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from onnxplain.errors import OnnxplainError
from onnxplain.text import visible_line
from onnxplain.versions import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Commands whose errors take one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter shows its number
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            if not standalone_mode:
                raise
            if "--debug" in given:
                traceback.print_exc()
            message, code = _told(error)
            _tell(f"error: {message}", sys.stderr)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _told(error: Exception) -> tuple[str, int]:
    """Say an error in one line, and choose the exit code."""
    if isinstance(error, typer.Abort):
        return "stopped", 130
    code = 2
    if hasattr(error, "format_message"):  # a wrong option, found by typer
        text = error.format_message()
    elif isinstance(error, OSError) and not isinstance(error, OnnxplainError) and error.filename is not None:
        text = f"'{error.filename}': {error.strerror}"
    elif isinstance(error, OnnxplainError | OSError):
        text = str(error)
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (a bug? --debug shows where)", 1
    return " ".join(text.split()), code


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain why an ONNX model says what it says.",
)

Model = Annotated[Path, typer.Argument(help="The .onnx file.", show_default=False)]
MethodName = Annotated[
    str,
    typer.Option(
        "--method",
        "-m",
        help="Such as integrated_gradients, smooth_grad, lrp, tree_shap, feature_ablation; auto takes the "
        "most exact one that the model allows.",
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
    method: MethodName = "integrated_gradients",
    params: Params = None,
    composite: CompositeName = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="Class number or label; 3,5 for an output with more axes (default: the predicted class).",
        ),
    ] = None,
    output_name: OutputName = None,
    layer: Annotated[
        str | None,
        typer.Option(help="What is explained inside the model: the name of a value, or of its node."),
    ] = None,
    neuron: Annotated[
        tuple[str, str] | None,
        typer.Option(help="A score inside the model: such a name, and an index, such as 5 or 5,0,0."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Where a path starts, or what stands for what is taken away: a number, an .npy or .npz "
            "file, blur, mean; for images black or white."
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            "--background",
            help="Rows that stand for what is usual, each a baseline: .csv, .parquet, .npy or .npz.",
        ),
    ] = None,
    feature_mask: Annotated[
        str | None,
        typer.Option(
            help="What is taken away together: segments (superpixels), quickshift, felzenszwalb, grid, "
            "changes (of a series), tokens, columns, inputs, elements; or an .npy or .npz file of integers."
        ),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", help="Table: a column that only says which row is which; repeatable."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .png (or .svg, .pdf, .jpg), .npz or .json (all the numbers), .csv (of a "
            "table), .html (a report); repeatable (default: INPUT-METHOD.png here).",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Image: height x width, such as 224x224 (default: the model's).")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Image: NCHW or NHWC (default: from the model).")] = None,
    mean: Annotated[
        str | None, typer.Option(help="Image: subtracted after scaling; one number or one per channel.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Image: divided by after that.")] = None,
    scale: Annotated[
        str | None, typer.Option(help="Image: pixels 0..255 are multiplied by this (default: 1/255).")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Image: 'imagenet' resizes, crops and normalises as is usual there.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Class names: one a line, or JSON.", show_default=False)
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            help="Names of features, columns (in the model's order) or tokens: one a line, or JSON."
        ),
    ] = None,
    input_name: Annotated[
        str | None,
        typer.Option("--input", help="Model input that INPUT is for; with .npz: the one to explain."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain one input: show what made the model give this score."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given
    from onnxplain.commands import places, tables
    from onnxplain.commands.output import summary, write

    say = _speaker(quiet)
    chosen = given.method_or_auto(method, params or [], composite)
    class_names = given.read_labels(labels) if labels is not None else None
    part_names = given.read_labels(names) if names is not None else None
    files = given.destinations(out, source, method, model)
    explainer = ox.Explainer(model, device=device)
    image_options = {
        "size": given.pair(size) if size else None,
        "layout": layout,
        "mean": given.numbers(mean, "--mean") if mean else None,
        "std": given.numbers(std, "--std") if std else None,
        "scale": given.number(scale, "--scale") if scale else None,
        "preset": preset,
    }
    given.refuse_two_baselines(baseline, rows)
    table, image, wrt = None, None, input_name
    inputs: Any
    if tables.holds_table(source):
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
        target=places.target_beside(neuron, chosen, target, class_names),
        method=chosen,
        output=output_name,
        wrt=wrt,
        layer=layer,
        neuron=places.neuron(neuron),
        baselines=start,
        feature_mask=given.feature_mask(feature_mask),
        feature_names=part_names if table is not None else None,
        progress=not quiet,
    )
    say("method", result.written_method)
    for key, text in summary(result, class_names, table is not None):
        say(key, text)
    for note in dict.fromkeys((*explainer.notes, *result.notes)):
        say("note", note)
    for file in files:
        steps = image.steps if image else ()
        for written in write(result, file, model, source, steps, class_names, part_names, table):
            say("wrote", str(written))


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
            _tell(line)
    for problem in found.problems:
        _tell(f"problem: {problem}", sys.stderr)
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
        str, typer.Option("--form", help="For any runtime (portable), or fast in onnxruntime on cpu or cuda.")
    ] = "portable",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one standard .onnx file that gives prediction and attribution together."""
    import onnxplain as ox
    from onnxplain.commands import arguments as given

    chosen = given.make_method(method, params or [], composite)
    ox.export(model, out, method=chosen, output=output_name, form=form)
    _speaker(quiet)("wrote", str(out))


@app.command("methods")
def show_methods(debug: Debug = False) -> None:
    """List all methods: what they ask of a model, what they cost, and what their values sum to."""
    from onnxplain.commands.output import method_lines

    for line in method_lines():
        _tell(line)


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
    _speaker(quiet)("wrote", f"{report} (open it in a browser)")


def main() -> None:
    """Run the command line."""
    app()


def _tell(text: str, file: TextIO | None = None) -> None:
    """Print one line; what a name or label holds can neither steer the terminal nor end the run."""
    print(visible_line(text), file=file or sys.stdout)


def _speaker(quiet: bool) -> Callable[[str, str], None]:
    def say(name: str, text: str) -> None:
        if not quiet:
            _tell(f"{name:<12} {text}")

    return say


if __name__ == "__main__":
    main()
