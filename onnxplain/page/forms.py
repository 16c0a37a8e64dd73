"""What a page asks its visitor for: a picture, the columns of a row, or words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxplain.errors import DataInputError, NotExplainableError
from onnxplain.explainer import Explainer
from onnxplain.graph.interface import InputInfo
from onnxplain.page.form import Form
from onnxplain.page.rows import row_form
from onnxplain.page.words import token_form
from onnxplain.preprocessing import MODES, Preprocessing, preprocessing_for

__all__ = ["form_of"]


def form_of(
    explainer: Explainer,
    preprocessing: Preprocessing | None,
    examples: Any,
    background: Any,
    feature_names: Any,
    vocabulary: Sequence[str] | None,
) -> Form:
    """Find out what a model's visitor is to give.

    Parameters
    ----------
    explainer
        Of the model.
    preprocessing
        Of pictures; None: pixels are divided by 255, and brought to the model's size.
    examples
        A table for rows; texts for words; not used for pictures.
    background
        A table, or rows by input name.
    feature_names
        As :class:`~onnxplain.Explainer` takes them.
    vocabulary
        Words by number.

    Raises
    ------
    NotExplainableError
        If a page cannot ask for what the model takes; it says what can be done.
    DataInputError
        If what is given does not fit the model.
    """
    infos = explainer.inputs
    ranks = {i.name: len(i.shape) if i.shape is not None else None for i in infos}
    (first, *others) = sorted(infos, key=lambda i: not i.explained)
    images = ranks[first.name] == 4 and first.role == "float"
    words = first.token and ranks[first.name] == 2
    _refuse(
        preprocessing is not None and not images, "preprocessing is for pictures, and this model takes none"
    )
    _refuse(vocabulary is not None and not words, "a vocabulary is for token ids, and this model takes none")
    _refuse(
        (background is not None or feature_names is not None) and (images or words),
        "a background and names of columns are for tables, and this model takes none",
    )
    if images or words:
        if others:
            raise NotExplainableError(
                f"a page fills one input, and the model takes {', '.join(i.name for i in infos)}; export a "
                f"model that takes '{first.name}' alone"
            )
        return _image(first, preprocessing) if images else token_form(first, vocabulary, examples)
    wide = next((i for i in infos if ranks[i.name] not in (1, 2)), None)
    if wide is not None:
        raise NotExplainableError(
            f"a page asks for pictures, rows or token ids, and input '{wide.name}' {wide.spelled} is none of "
            "them; use ox.export, and fill it yourself"
        )
    return row_form(explainer, examples, background, feature_names)


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise DataInputError(message)


def _image(info: InputInfo, told: Preprocessing | None) -> Form:
    plan = told or Preprocessing()
    given = None if told is None else told.layout
    layout, channels, size = preprocessing_for(info.shape or (), given, plan.size)
    if size is None:
        raise DataInputError(
            f"input '{info.name}' {info.spelled} takes pictures of any size; say which one the page is to "
            "make: size=(224, 224), or --size 224x224"
        )
    if told is None:
        plan = replace(plan, layout=layout, channels=channels)
    elif plan.channels != channels:
        raise DataInputError(
            f"input '{info.name}' takes {channels} channels, and preprocessing makes {plan.channels}"
        )
    plan = replace(plan, size=size)
    shape = (1, channels, *size) if layout == "NCHW" else (1, *size, channels)
    shown = {
        "input": info.name, "mode": MODES[channels], "channels": channels, "layout": layout,
        "size": list(size), "crop": plan.crop, "most": max(1024, 2 * max(size)),
    }  # fmt: skip
    probe = np.random.default_rng(0).random(shape, np.float32)
    return Form("image", shown, (info.name,), {info.name: probe}, plan)
