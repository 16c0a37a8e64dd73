"""``onnxplain visualise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxplain.commands.declared import Debug, Device, Memory, Model, Quiet
from onnxplain.commands.terminal import app, speaker

__all__ = ["visualise"]


@app.command()
def visualise(
    model: Model,
    layer: Annotated[
        str | None,
        typer.Option(help="Whose unit: the name of a value, a node or an output (default: the first)."),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", "-k", help="Its number (of a class, for outputs), or 3,5,5 for one entry."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .png (or .svg, .pdf, .jpg), or .npz (all the numbers); repeatable (default: "
            "MODEL-unit.png here).",
        ),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            help="Such as n_steps=512, space=pixel, decay=0.01, seed=1, range=0,1; repeatable.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Lengths that the model leaves open, such as 224x224 (or 16000).")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Subtracted from pixels of 0..1; one number or one per channel.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Divided by after that.")] = None,
    preset: Annotated[str | None, typer.Option(help="'imagenet': mean and std as is usual there.")] = None,
    input_name: Annotated[str | None, typer.Option("--input", help="Which input to make.")] = None,
    others: Annotated[
        Path | None, typer.Option("--others", help="The model's other inputs: .npz, for one sample.")
    ] = None,
    memory: Memory = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make an input that a unit of a layer (or a class) responds to as much as can be."""
    import onnxplain as ox
    from onnxplain.archive import read_arrays
    from onnxplain.commands import arguments as given
    from onnxplain.commands.targets import index
    from onnxplain.errors import DataInputError
    from onnxplain.preprocessing import IMAGENET_MEAN, IMAGENET_STD, PRESETS

    say = speaker(quiet)
    files = given.destinations(out, model, "unit", model)
    for file in files:
        if file.suffix.lower() not in ox.Visualisation.ENDINGS:
            raise DataInputError(f"-o {file}: a visualisation is {', '.join(ox.Visualisation.ENDINGS)}")
    parameters = given.parameters(params or [])
    if preset is not None:
        if preset not in PRESETS:
            raise DataInputError(f"there is no preset '{preset}'; known: {', '.join(PRESETS)}")
        parameters |= {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    for name, text in (("mean", mean), ("std", std)):
        if text is not None:
            parameters[name] = given.numbers(text, f"--{name}")
    explainer = ox.Explainer(model, device=device, **given.budget(memory))
    found = ox.visualise(
        explainer,
        layer,
        None if unit is None else index(unit, "--unit"),
        input=input_name,
        size=None if size is None else _lengths(size),
        inputs=None if others is None else read_arrays(others),
        progress=not quiet,
        **parameters,
    )
    say("method", repr(found.method))
    say("layer", found.layer)
    say("activation", f"{found.activations[0]:.4g} to {found.activations[-1]:.4g}")
    for note in dict.fromkeys((*explainer.notes, *found.notes)):
        say("note", note)
    for file in files:
        found.save(file)
        say("wrote", str(file))


def _lengths(text: str) -> tuple[int, ...]:
    from onnxplain.errors import DataInputError

    parts = text.lower().split("x")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise DataInputError(f"--size {text}: give lengths, such as 224x224 or 16000")
    return tuple(int(part) for part in parts)
