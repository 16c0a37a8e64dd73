"""The files of a page, run as they are, beside the explainer: nothing is offered that was not tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from onnxplain._types import Array, Arrays
from onnxplain.errors import CheckFailedError
from onnxplain.explainer import Explainer
from onnxplain.methods import Method
from onnxplain.page.form import Form

__all__ = ["run_file", "try_method", "try_model"]

#: Largest difference, relative to the largest number.
_TOLERANCE = 1e-4


def run_file(path: Path, feeds: Arrays) -> Arrays:
    """Return what a file gives, by name.

    Raises
    ------
    CheckFailedError
        If it does not load or run.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # onnxruntime's errors have no common base
        raise CheckFailedError(f"'{path.name}' does not run: {error}") from error


def try_model(explainer: Explainer, path: Path, form: Form, output: str) -> None:
    """Run the file of the model, and compare.

    Raises
    ------
    CheckFailedError
        If it does not run, or gives something else.
    """
    scores = explainer.predict(form.probe)[output]
    _compare(path.stem, output, run_file(path, form.probe)[output], scores)


def try_method(
    explainer: Explainer,
    path: Path,
    form: Form,
    method: Method,
    output: str,
    target: Mapping[str, Any] | None,
) -> None:
    """Run a method's file, and compare.

    Parameters
    ----------
    explainer
        Of the model that the file was made of.
    path
        The file.
    form
        With the inputs to try, and what the method was told.
    method
        What the file does.
    output
        Of the model.
    target
        ``name`` of the file's input for the target, and ``length`` of an index; None without one.

    Raises
    ------
    CheckFailedError
        If the file does not load or run, or gives something else than the explainer.
    """
    result = explainer(
        form.probe, "predicted", method=method, output=output, wrt=list(form.explained),
        **form.options_for(method),
    )  # fmt: skip
    feeds = dict(form.probe)
    if target is not None:
        index = np.asarray(result.target, np.int64).reshape(1, -1)
        feeds[target["name"]] = index[:, -1] if target["length"] == 1 else index
    found = run_file(path, feeds)
    for entry, expected in result.arrays.items():
        _compare(path.stem, f"attribution/{entry}", found[f"attribution/{entry}"], expected, result.score)


def _compare(name: str, output: str, found: Array, expected: Array, scores: Array | float = 0.0) -> None:
    """Refuse a file that gives something else, beside the largest number or score.

    Raises
    ------
    CheckFailedError
        If it does.
    """
    scale = max(float(np.abs(expected).max()), float(np.abs(scores).max()))
    if found.shape == expected.shape:
        apart = float(np.abs(found - expected).max())
        if apart <= _TOLERANCE * scale:
            return
        how = f"with a difference of {apart:.3g} of {scale:.3g} from the explainer's"
    else:
        how = f"in the shape {found.shape}, and the explainer in {expected.shape}"
    way = "report this" if name == "model" else "leave this method out"
    raise CheckFailedError(f"the file of '{name}' gives '{output}' {how}; {way}")
