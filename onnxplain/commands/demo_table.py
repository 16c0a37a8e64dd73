"""The demo's second page: a table of patients, and the trees that say how their diabetes will go."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onnxplain.data import diabetes_background, diabetes_model_path, diabetes_rows
from onnxplain.explainer import Explainer
from onnxplain.report import table_sections, write_report
from onnxplain.report.wording import interface_text

__all__ = ["write_table_report"]

_WHAT = "What a column adds to the score, averaged over all orders in which columns come; adds up exactly."


def write_table_report(place: Path, *, progress: bool = False) -> Path:
    """Explain the patients exactly, in the columns that were measured, and write a page.

    Parameters
    ----------
    place
        File to write.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    explainer = Explainer(diabetes_model_path())
    rows, became = diabetes_rows()
    result = explainer(rows, method="tree_shap", baselines=diabetes_background(), progress=progress)
    said = result.predictions.ravel()
    order = np.argsort(-said, kind="stable")
    most, middle, least = int(order[0]), int(order[len(order) // 2]), int(order[-1])
    names = {most: "the highest", middle: "one in the middle", least: "the lowest"}
    sections = table_sections(
        result,
        title="40 patients",
        row_names=[names.get(k, f"row {k}") for k in range(len(result))],
        rows=list(names),
    )
    error = round(float(np.abs(said - became).mean()))
    lowest, highest = round(float(became.min())), round(float(became.max()))
    facts = [
        ("model", f"{diabetes_model_path().name}: imputing, one-hot encoding, 40 boosted trees"),
        *(("input", interface_text(entry)) for entry in explainer.inputs),
        *(("output", interface_text(entry)) for entry in explainer.outputs),
        ("accuracy", f"off by {error} in the mean, where {lowest} to {highest} were measured"),
    ]
    return write_report(
        place,
        "Why do the trees say how far diabetes will go?",
        sections,
        lead=(
            "Exact Shapley values of boosted trees, from the .onnx file alone, in the columns that were "
            "measured: what was imputed and encoded on the way belongs to the column that it came from. What "
            "is usual is told by 100 other patients."
        ),
        facts=facts,
        notes=list(dict.fromkeys((*explainer.notes, *result.notes))),
        guide=[(result.written_method.split("(")[0], _WHAT)],
        links=[("report.html", "The same for a network that reads digits")],
    )
