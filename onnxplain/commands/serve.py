"""``onnxplain serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from onnxplain.commands.declared import Debug, Device, Memory, Model, OutputName, Quiet
from onnxplain.commands.terminal import app, speaker, tell

__all__ = ["serve"]


@app.command()
def serve(
    model: Model,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="A method with its parameters, such as lrp or integrated_gradients:n_steps=20; repeatable: "
            "requests choose by name (default: integrated_gradients).",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name to serve it under (default: the file's).")] = None,
    output_name: OutputName = None,
    wrt: Annotated[
        list[str] | None, typer.Option("--input", help="Input to explain; repeatable (default: as explain).")
    ] = None,
    through_softmax: Annotated[
        bool, typer.Option("--through-softmax", help="Explain probabilities, not the scores before them.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes one that is free.")] = 8080,
    workers: Annotated[int, typer.Option(help="Threads that predict, and as many again that explain.")] = 2,
    max_batch: Annotated[
        int, typer.Option(help="Samples of concurrent requests that run at once; 1: never.")
    ] = 16,
    queue: Annotated[int, typer.Option(help="Requests that wait or run; more get status 503.")] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds until a request gets status 504.")] = 60.0,
    max_body: Annotated[
        str, typer.Option(help="Largest request, such as 64MB; others get status 413.")
    ] = "64MB",
    read_timeout: Annotated[
        float, typer.Option(help="Seconds in which a request must arrive; others get status 408.")
    ] = 20.0,
    grace: Annotated[float, typer.Option(help="Seconds that requests have when the server stops.")] = 30.0,
    memory: Memory = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Serve a model and its explanations by the Open Inference Protocol (KServe V1 and V2)."""
    from onnxplain.commands import arguments as given
    from onnxplain.commands.specs import method_specs
    from onnxplain.serve import Server, Settings, served
    from onnxplain.serve.kserving import import_kserve

    import_kserve()  # before a model is read for nothing
    settings = Settings(
        host, port, workers, max_batch, queue, timeout, given.amount(max_body, "--max-body"), read_timeout,
        grace,
    )  # fmt: skip
    chosen = method_specs(methods or ["integrated_gradients"], None, "--method")
    pair = served(
        model, chosen, name=name, explainer={"device": device, **given.budget(memory)}, output=output_name,
        wrt=wrt or None, through_softmax=through_softmax,
    )  # fmt: skip
    server = Server(pair, settings)
    say = speaker(quiet)
    for each in pair:
        say("serving", f"{server.url}/v2/models/{each.name}")
    if server.open_to_others:
        tell(f"note: whoever reaches {server.url} may use it; put what checks who they are in front")
    server.run()
    say("stopped", "what was begun is answered")
