"""The demo: six handwritten digits, one small network, twenty methods; a table, and trees; two pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain import plots
from onnxplain.commands.demo_table import write_table_report
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.errors import OutputError
from onnxplain.explainer import Explainer
from onnxplain.files import check_destination
from onnxplain.methods import method
from onnxplain.report import grid_of, rules_of, sample_section, write_report
from onnxplain.report.wording import interface_text, prediction_text

if TYPE_CHECKING:
    import os

    from onnxplain._types import Array
    from onnxplain.attribution import Attribution

__all__ = ["run_demo"]

METHODS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("saliency", {}, "How strongly the score reacts to each pixel, whichever way: the size of its gradient."),
    ("smooth_grad", {"n_samples": 32, "seed": 0}, "The gradient, averaged over noisy copies of the input."),
    (
        "input_x_gradient",
        {},
        "Gradient times input: what each pixel would add if the network were linear around it.",
    ),
    (
        "integrated_gradients",
        {"n_steps": 50},
        "The gradient along the way from a black image to this one; adds up to the change of the score.",
    ),
    (
        "deep_lift",
        {},
        "What the difference from a black image does, unit by unit, in one walk; adds up exactly.",
    ),
    ("guided_backprop", {}, "The gradient with all negative signals stopped: sharp, but not for numbers."),
    (
        "lrp",
        {},
        "Shares the score out layer by layer, each unit to what made it fire; adds up to the score.",
    ),
)
#: More of them, which only the grid shows.
ALSO: tuple[tuple[str, dict[str, Any]], ...] = (
    ("deconvolution", {}),
    ("excitation_backprop", {}),
    ("guided_ig", {"n_steps": 30}),
    ("blur_ig", {"n_steps": 30}),
    ("gradient_shap", {"n_samples": 20}),
    ("grad_cam", {}),
    ("layer_cam", {}),
    ("score_cam", {}),
    ("guided_grad_cam", {}),
    ("occlusion", {"sliding_window_shapes": (1, 5, 5), "strides": (1, 2, 2)}),
    ("rise", {"n_masks": 1000}),
    ("kernel_shap", {"n_samples": 400}),
    ("lime", {"n_samples": 400}),
)
EASY = (0, 3, 4, 8)
CLOSE, WRONG = 10, 11
_TABLE = "table.html"
#: Players of methods that ask about coalitions: squares of 4 by 4 pixels.
SQUARES = np.kron(np.arange(49).reshape(7, 7), np.ones((4, 4), np.int64))[None, None]
_BY_SQUARES = ("kernel_shap", "lime")


def run_demo(folder: str | os.PathLike[str] = "onnxplain-demo", *, progress: bool = False) -> Path:
    """Explain digits with several methods, and a table by its trees; write two pages and some pictures.

    Parameters
    ----------
    folder
        Where to write ``report.html``, ``table.html`` and ``digit-*.png``; made if missing.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Path
        The page of the digits, which leads to that of the table.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to.
    """
    from tqdm import tqdm

    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{place}': {error.strerror}; choose another") from error
    check_destination(place / "report.html")
    check_destination(place / _TABLE)
    images, truth = digits_samples()
    chosen = [*EASY, CLOSE, WRONG]
    batch = images[chosen]
    explainer = Explainer(digits_model_path())
    methods = [method(name, **options) for name, options, _ in METHODS]
    predictions = next(iter(explainer.predict(batch).values()))
    order = np.argsort(-predictions, axis=1, kind="stable")
    true = truth[chosen]
    top = order[:, 0].tolist()
    # The right digit where the network is wrong, else the runner-up.
    rival = np.where(true == order[:, 0], order[:, 1], true).tolist()

    more = [method(name, **options) for name, options in ALSO]
    jobs = [(one, targets) for targets in (top, rival) for one in methods] + [(one, top) for one in more]
    done: list[Attribution] = [
        explainer(batch, targets, one, feature_mask=SQUARES if one.name in _BY_SQUARES else None)
        for one, targets in tqdm(jobs, desc="explaining", unit="method", disable=not progress)
    ]
    best, other = done[: len(methods)], done[len(methods) : 2 * len(methods)]

    sections = []
    for row, index in enumerate(chosen):
        label = int(truth[index])
        said = prediction_text(best[0].predictions[row])
        both = index in (CLOSE, WRONG)
        sections.append(
            sample_section(
                [*best, *(other if both else ())],
                row,
                title=_title(label, top[row], rival[row], index),
                text=f"The model says {said}."
                + (f" Below: what speaks for {top[row]}, and what for {rival[row]}." if both else ""),
            )
        )
        _picture(place / f"digit-{label}-sample-{index}.png", batch[row], best, row, said)
    facts = [
        ("model", f"{digits_model_path().name}, a small convolutional network for handwritten digits"),
        *(("input", interface_text(entry)) for entry in explainer.inputs),
        *(("output", interface_text(entry)) for entry in explainer.outputs),
        ("accuracy", "99.49 % of the 10,000 MNIST test images"),
    ]
    notes = list(dict.fromkeys((*explainer.notes, *(note for one in done for note in one.notes))))
    write_table_report(place / _TABLE, progress=progress)
    return write_report(
        place / "report.html",
        "Why does the network read these digits as it does?",
        sections,
        lead=(
            "Six images that the network has never seen: four easy ones, a 7 that it all but takes for a 2, "
            "and a 5 that it takes for a 6."
        ),
        facts=facts,
        notes=notes,
        guide=[
            (one.written_method.split("(")[0], f"{what} Here: {one.written_method}.")
            for one, (_, _, what) in zip(best, METHODS, strict=True)
        ],
        rules=rules_of(best),
        grid=grid_of(
            [*best, *done[2 * len(methods) :]],
            titles=[
                f"{label} as {said}" if label != said else str(label)
                for label, said in zip(true, top, strict=True)
            ],
        ),
        links=[(_TABLE, "The same for a table: exact values of boosted trees")],
    )


def _title(label: int, top: int, rival: int, index: int) -> str:
    if label != top:
        return f"A {label}, taken for a {top}"
    return f"A {label}, almost taken for a {rival}" if index == CLOSE else f"A {label}"


def _picture(path: Path, image: Array, results: list[Attribution], row: int, said: str) -> None:
    """One row of overlays, a panel per method."""
    from onnxplain.plots.canvas import new_figure, save

    figure = new_figure(1.9 * len(results), 2.45)
    for ax, result in zip(figure.subplots(1, len(results)), results, strict=True):
        values = next(iter(result.arrays.values()))[row]
        plots.draw(values, image, ax=ax, title=result.written_method.split("(")[0])
    figure.suptitle(f"{said}: red speaks for {int(results[0].target[row, 0])}, blue against it", fontsize=10)
    save(figure, path, dpi=120)
