"""The files of a page, run as they are, beside the explainer: nothing is offered that was not tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from onnxplain._types import Array, Arrays
from onnxplain.errors import CheckFailedError
from onnxplain.explainer import Explainer
from onnxplain.methods import Method
from onnxplain.page.form import Form

__all__ = ["run_file", "try_files"]

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


def try_files(
    explainer: Explainer,
    folder: Path,
    form: Form,
    methods: Mapping[str, Method],
    output: str,
    targets: Mapping[str, tuple[str, int] | None],
) -> None:
    """Run every file, and compare.

    Parameters
    ----------
    explainer
        Of the model that the files were made of.
    folder
        Where they lie.
    form
        With the inputs to try, and what the methods were told.
    methods
        By the name of their file.
    output
        Of the model.
    targets
        By file: its input for the target, and how many numbers an index has; None without one.

    Raises
    ------
    CheckFailedError
        If a file does not load or run, or gives something else than the explainer.
    """
    found = run_file(folder / "model.onnx", form.probe)
    scores = explainer.predict(form.probe)[output]
    scale = float(np.abs(scores).max())
    _compare("model", output, found[output], scores, scale)
    for name, method in methods.items():
        result = explainer(
            form.probe, "predicted", method=method, output=output, wrt=list(form.explained),
            **form.options_for(method),
        )  # fmt: skip
        feeds = dict(form.probe)
        if (target := targets[name]) is not None:
            index = np.asarray(result.target, np.int64).reshape(1, -1)
            feeds[target[0]] = index[:, -1] if target[1] == 1 else index
        found = run_file(folder / f"{name}.onnx", feeds)
        for entry, expected in result.arrays.items():
            _compare(name, f"attribution/{entry}", found[f"attribution/{entry}"], expected, scale)


def _compare(name: str, output: str, found: Array, expected: Array, scale: float) -> None:
    """Refuse a file that gives something else, beside the largest number or the scores' scale.

    Raises
    ------
    CheckFailedError
        If it does.
    """
    scale = max(scale, float(np.abs(expected).max()))
    if found.shape == expected.shape:
        apart = float(np.abs(found - expected).max())
        if apart <= _TOLERANCE * scale:
            return
        how = f"with a difference of {apart:.3g} of {scale:.3g} from the explainer's"
    else:
        how = f"in the shape {found.shape}, and the explainer in {expected.shape}"
    way = "report this" if name == "model" else "leave this method out"
    raise CheckFailedError(f"the file of '{name}' gives '{output}' {how}; {way}")
