"""What a page offers: a file for each method, tried, and described for the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxplain.errors import MethodError, OnnxplainError
from onnxplain.explainer import Explainer
from onnxplain.export import export
from onnxplain.graph.load import ModelSource
from onnxplain.methods import Method
from onnxplain.page.form import Form
from onnxplain.page.methods import about, title_of
from onnxplain.page.models import index_length
from onnxplain.page.trial import try_method

__all__ = ["write_offers"]


def write_offers(
    model: ModelSource,
    explainer: Explainer,
    folder: Path,
    chosen: Mapping[str, Method],
    form: Form,
    output: str,
    *,
    strict: bool,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write a file for each method, and try it.

    Parameters
    ----------
    model, explainer
        What is explained.
    folder
        Where the files go.
    chosen
        The methods, by the name that their file has.
    form
        What is asked for, and what the methods are told.
    output
        What is explained.
    strict
        Whether each must work; else what does not is left out.

    Returns
    -------
    offers : list of dict
        What the page needs to know of each, as JSON holds it.
    left : list of str
        Which were left out, and why.

    Raises
    ------
    OnnxplainError
        If a method that must work does not, or none does.
    """
    offers: list[dict[str, Any]] = []
    left: list[str] = []
    for name, method in chosen.items():
        path = folder / f"{name}.onnx"
        made = _offer(model, explainer, path, method, form, output, strict=strict)
        if isinstance(made, str):
            path.unlink(missing_ok=True)
            left.append(f"{name} is left out: {made}")
        else:
            offers.append(made)
    if not offers:
        raise MethodError(f"none of the usual methods can be written for this model ({'; '.join(left)})")
    return offers, left


def _offer(
    model: ModelSource,
    explainer: Explainer,
    path: Path,
    method: Method,
    form: Form,
    output: str,
    *,
    strict: bool,
) -> dict[str, Any] | str:
    """Write a method's file, and return what the page needs to know of it; or why it cannot be, if it may."""
    try:
        made = export(
            model, path, method=method, output=output, wrt=list(form.explained), steps_at_once=form.at_once,
            **form.options_for(method),
        )  # fmt: skip
        values = {i: f"attribution/{i}" for i in form.explained}
        if not set(values.values()) <= set(made.outputs):
            raise MethodError(
                f"method '{method.name}' does not explain the inputs, and a page shows nothing else"
            )
        name = next((i for i in made.inputs if i not in form.probe), None)
        target = None if name is None else {"name": name, "length": index_length(path, name)}
        try_method(explainer, path, form, method, output, target)
    except OnnxplainError as error:
        if strict:
            raise
        return str(error)
    own = path.stem == method.name
    return {
        "name": path.stem, "title": title_of(method) if own else path.stem.replace("_", " "),
        "about": about(method), "written": repr(method), "sums": method.sums_to or "",
        "against": form.compared(method), "target": target, "values": values,
    }  # fmt: skip
