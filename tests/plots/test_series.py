"""Series: panels, axes either way round, and peaks that survive shortening."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain import plots
from onnxplain.plots.series import MOST_COLUMNS, _strongest


@pytest.mark.parametrize("shape", [(3, 200), (200, 3)])
def test_one_panel_per_channel(shape: tuple[int, int]) -> None:
    sample = np.random.default_rng(0).normal(size=shape)
    figure = plots.draw(sample, sample, labels=["x", "y", "z"])
    panels = [ax for ax in figure.axes if ax.lines]
    assert [ax.get_ylabel() for ax in panels] == ["x", "y", "z"]
    lines = sample if shape[0] == 3 else sample.T
    for ax, line in zip(panels, lines, strict=True):
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), line)


def test_a_single_peak_survives_shortening() -> None:
    heat = np.zeros(44_101)
    heat[31_337] = -7.0
    short = _strongest(heat)
    assert len(short) <= MOST_COLUMNS
    assert short.min() == -7.0
    assert (short != 0).sum() == 1


def test_a_sample_with_gaps_is_drawn() -> None:
    sample = np.r_[np.nan, np.arange(200.0), np.inf]
    assert plots.draw(np.ones(202), sample).axes
