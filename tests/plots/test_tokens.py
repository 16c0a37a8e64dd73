"""Token strips, drawn and as HTML."""

from __future__ import annotations

import re

import numpy as np
import pytest

from onnxplain import plots
from onnxplain.errors import DataInputError
from onnxplain.plots.tokens import tokens_html


def test_every_token_appears_in_order() -> None:
    words = ["not", "bad", "at", "all"] * 20
    figure = plots.draw(np.linspace(-1, 1, 80), np.arange(80), labels=words)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == words
    rows = [text.get_position()[1] for text in ax.texts]
    assert rows == sorted(rows)
    assert len(set(rows)) > 1


def test_very_long_rows_are_cut_and_say_so() -> None:
    figure = plots.draw(np.ones(1300), np.arange(1300))
    assert figure.axes[0].texts[-1].get_text() == "... and 100 more"


def test_html_is_escaped_and_complete() -> None:
    html = tokens_html(np.array([1.0, -1.0, 0.0, np.nan]), np.arange(4), labels=["<b>", "a&b", "映画", ""])
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "a&amp;b" in html
    assert "映画" in html
    assert html.count("<span") == 4
    backgrounds = re.findall(r"background:(#\w{6})", html)
    assert backgrounds[0] != backgrounds[1]
    assert backgrounds[2] == backgrounds[3]


def test_ink_can_be_read_on_every_colour() -> None:
    html = tokens_html(np.linspace(-1, 1, 41), np.arange(41))

    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for ground, ink in re.findall(r"background:(#\w{6});color:(#\w{6})", html):
        low, high = sorted([light(ground), light(ink)])
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA


def test_lengths_must_agree() -> None:
    with pytest.raises(DataInputError, match="3 values for 4 tokens"):
        tokens_html(np.zeros(3), np.zeros(4, int))
