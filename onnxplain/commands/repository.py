"""``onnxplain repository``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxplain.commands.declared import Debug, Model, Quiet
from onnxplain.commands.terminal import app, speaker

__all__ = ["repository"]


@app.command()
def repository(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="The model repository to write into.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the model in it (default: the file's).")] = None,
    max_batch: Annotated[
        int, typer.Option(help="Samples of several requests that Triton may join where that is proven.")
    ] = 16,
    uri: Annotated[
        str | None,
        typer.Option(
            help="Where a cluster finds the repository, such as s3://bucket/path: NAME.yaml for KServe is "
            "written too."
        ),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Namespace of the service in the cluster.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a model repository for Triton, and a service for KServe, of a file that export wrote."""
    from onnxplain.serve.repository import write_repository

    made = write_repository(model, folder, name=name, max_batch=max_batch, uri=uri, namespace=namespace)
    say = speaker(quiet)
    say("wrote", str(made.folder))
    if made.apart is not None:
        say("note", f"requests are not joined: {made.apart}")
    if made.service is not None:
        say("wrote", str(made.service))
