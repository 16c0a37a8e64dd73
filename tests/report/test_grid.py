"""Methods by samples: the table of the page, and the figure."""

from __future__ import annotations

import re

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.plots.grid import draw_grid
from onnxplain.report import grid_of, write_report


@pytest.fixture(scope="module")
def results() -> list[ox.Attribution]:
    explainer, x = ox.Explainer(digits_model_path()), digits_samples()[0][:3]
    methods = ("saliency", "input_x_gradient", "lrp", "deep_lift")
    return [explainer(x, "predicted", name) for name in methods] * 5


def test_twenty_methods_in_a_page(results, tmp_path) -> None:
    grid = grid_of(results, titles=["zero", "one", "<two>"])
    assert grid is not None
    assert [row.title for row in grid.rows[:3]] == ["image", "Saliency", "InputXGradient"]
    assert all(len(row.pictures) == 3 for row in grid.rows)
    write_report(tmp_path / "page.html", "Many", [], grid=grid)
    page = (tmp_path / "page.html").read_text()
    assert "&lt;two&gt;" in page
    assert len(re.findall('<th scope="row"', page)) == 21
    assert len(re.findall("<td>", page)) == 3 * 21 + 1
    assert len(page) < 1_500_000
    assert 'alt="LRP, zero"' in page


def test_no_images_make_no_grid(models) -> None:
    found = ox.explain(models.mlp(), models.random(3, 5), 1, "saliency")
    assert grid_of([found, found]) is None
    assert grid_of([]) is None


def test_the_figure(results) -> None:
    x = list(results[0].inputs["image"])
    rows = [(f"m{k}", list(r.values)) for k, r in enumerate(results[:6])]
    figure = draw_grid(x, rows, titles=["a", "b", "c"])
    assert len(figure.axes) == 7 * 3
    assert figure.axes[0].get_title() == "a"
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["input", *(f"m{k}" for k in range(6))]
    shown = np.asarray(figure.axes[3].images[0].get_array())
    assert shown.shape == (28, 28, 3)
    with pytest.raises(ox.errors.DataInputError, match="2 pictures for 3"):
        draw_grid(x, [("short", x[:2])])
    with pytest.raises(ox.errors.DataInputError, match="there are none"):
        draw_grid(x, [])
