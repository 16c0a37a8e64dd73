"""``onnxplain verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onnxplain.commands.declared import Debug, Quiet
from onnxplain.commands.terminal import app, speaker, tell

__all__ = ["verify"]


@app.command()
def verify(
    explained: Annotated[
        Path, typer.Argument(help="The file that onnxplain export wrote.", show_default=False)
    ],
    against: Annotated[
        Path, typer.Option("--against", help="The model that it was made of.", show_default=False)
    ],
    inputs: Annotated[
        Path,
        typer.Option(
            "--inputs",
            help=".npz with an array per input, or .npy for one; an image, where the file takes images.",
            show_default=False,
        ),
    ],
    tolerance: Annotated[
        float, typer.Option(help="Largest difference, relative to the largest number.")
    ] = 1e-4,
    baselines: Annotated[
        Path | None,
        typer.Option("--baselines", help="The arrays that the file was made with, .npz or .npy."),
    ] = None,
    feature_mask: Annotated[
        Path | None, typer.Option("--feature-mask", help="The players that the file was made with.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare an exported file with its model and the explainer; exit code 1 if not equal."""
    import onnxplain as ox

    pixels = inputs.suffix.lower() not in (".npy", ".npz")
    found = ox.verify(
        explained,
        against,
        _image(explained, inputs) if pixels else _arrays(inputs),
        tolerance=tolerance,
        baselines=None if baselines is None else _arrays(baselines),
        feature_mask=None if feature_mask is None else _arrays(feature_mask),
    )
    say = speaker(quiet)
    for each in found.differences:
        words = "equal" if each.equal else "DIFFERENT"
        line = f"{words}: largest difference {each.largest:.3g} of {each.scale:.3g} ({each.against})"
        say(each.output, line)
    for note in found.notes:
        say("note", note)
    if not found:
        tell(f"'{explained}' does not give what its model and the explainer give")
        raise typer.Exit(1)


def _arrays(path: Path) -> Any:
    from onnxplain.archive import read_array, read_arrays

    return (read_array if path.suffix.lower() == ".npy" else read_arrays)(path)


def _image(explained: Path, path: Path) -> Any:
    """Read an image as the file takes it.

    Raises
    ------
    DataInputError
        If the file takes none, or several inputs are images.
    """
    from onnxplain.errors import DataInputError
    from onnxplain.exported_file import read_record
    from onnxplain.image_files import load_pixels

    plans = read_record(explained).images()
    if len(plans) != 1:
        takes = f"takes {len(plans)} images" if plans else "takes no images"
        raise DataInputError(f"--inputs {path}: '{explained}' {takes}; give an .npz file with its inputs")
    ((name, plan),) = plans.items()
    return {name: load_pixels(path, plan.channels)}
