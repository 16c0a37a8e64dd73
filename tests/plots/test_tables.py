"""Pictures of tables: what is drawn is what was found, whatever columns are called and hold."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from onnxplain import plots
from onnxplain.errors import DataInputError
from onnxplain.plots import TABLE_KINDS, TableView, draw_table, table_view
from onnxplain.plots.tables.many import _place, _spread
from onnxplain.plots.tables.view import cell_text, numbers_of, shortened
from onnxplain.plots.tables.waterfall import steps_of


def view(rows: int = 40, columns: int = 30, *, base: bool = True) -> TableView:
    """Make a table with long names, texts, missing and constant values."""
    rng = np.random.default_rng(0)
    long = "a_column_name_$_that_a_pipeline_made_up_out_of_many_words_漢\n"
    names = tuple(f"{long * (i % 3 == 0)}feature {i}" for i in range(columns))
    data = rng.normal(size=(rows, columns)).astype(object)
    data[:, 1] = [f"city {i % 15}" for i in range(rows)]
    data[::4, 2] = np.nan
    if columns > 4:
        data[:, 3] = np.nan
        data[:, 4] = 7
    values = rng.normal(size=(rows, columns)) * np.exp(-np.arange(columns) / 6)
    start = np.full(rows, 0.5)
    return TableView(names, values, data, start + values.sum(1), start if base else None)


def drawn(figure: Figure) -> None:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=40)
        assert file.tell() > 1500


def texts(figure: Figure) -> list[str]:
    (ax, *_) = figure.axes
    return [t.get_text() for t in ax.get_yticklabels()]


@pytest.mark.parametrize("kind", TABLE_KINDS)
@pytest.mark.parametrize(("rows", "columns"), [(40, 30), (1, 5), (600, 6)])
def test_every_kind_is_drawn_without_a_warning(kind: str, rows: int, columns: int) -> None:
    pairs = np.random.default_rng(1).normal(size=(rows, columns, columns))
    one = view(rows, columns)
    drawn(draw_table(one, kind, interactions=pairs, title="why $x_1$ & 漢\n?"))
    figure = Figure()
    assert draw_table(one, kind, interactions=pairs, ax=figure.subplots()) is figure
    drawn(draw_table(TableView(one.names, 0 * one.values, one.data, one.score), kind, interactions=0 * pairs))


def test_a_waterfall_goes_from_the_base_to_the_score() -> None:
    one = view()
    start, steps = steps_of(one, 3, 10)
    assert start == 0.5
    assert len(steps) == 10
    assert start + sum(length for _, length in steps) == pytest.approx(one.score[3])
    assert "21 others together" in [text for text, _ in steps]
    sizes = [abs(length) for text, length in steps if "others" not in text]
    assert sizes == sorted(sizes)
    bars = draw_table(one, "waterfall", sample=3, most=10).axes[0].patches
    assert bars[0].get_x() == pytest.approx(0.5)
    assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(one.score[3])


def test_what_is_not_shared_out_is_a_step_of_its_own() -> None:
    one = view(columns=5)
    off = TableView(one.names, one.values, one.data, one.score + 2, one.base)
    start, steps = steps_of(off, 0, 20)
    assert (start, steps[0]) == (0.5, ("not shared out", pytest.approx(2.0)))
    start, steps = steps_of(TableView(one.names, one.values, one.data, one.score + 2), 0, 20)
    assert start == pytest.approx(2.5)
    assert len(steps) == 5


def test_bars_of_the_mean_size() -> None:
    one = view()
    figure = draw_table(one, "mean_bar", most=4)
    size = np.abs(one.values).mean(0)
    order = np.argsort(-size)[:3]
    bars = figure.axes[0].patches
    np.testing.assert_allclose([b.get_width() for b in bars[:3]], size[order])
    rest = np.delete(one.values, order, axis=1).sum(1)
    assert bars[3].get_width() == pytest.approx(np.abs(rest).mean())
    assert texts(figure)[3] == "27 others together"


def test_dots_of_a_swarm_lie_at_their_attributions_and_apart() -> None:
    one = view(columns=3)
    ax = draw_table(one, "beeswarm").axes[0]
    found = np.concatenate([c.get_offsets() for c in ax.collections])
    np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(one.values.ravel()))
    assert np.abs(found[:, 1] - np.round(found[:, 1])).max() <= 0.4
    same = _spread(np.zeros(5), -1.0, 1.0)
    assert len(set(same.tolist())) == 5
    np.testing.assert_array_equal(_spread(np.array([-1.0, 0.0, 1.0]), -1.0, 1.0), 0)
    assert np.abs(_spread(np.zeros(1000), 0.0, 0.0)).max() <= 1


def test_colours_are_places_among_a_columns_values() -> None:
    place = _place(np.array([0.0, 1.0, 2.0, np.nan], object))
    assert place[0] == 0
    assert place[1] == pytest.approx(0.5)
    assert place[2] == 1
    assert np.isnan(place[3])
    assert np.isnan(_place(np.array(["a", 1.0], object))).all()
    assert np.isnan(_place(np.array([None], object))).all()
    np.testing.assert_array_equal(_place(np.array([5, 5], object)), 0)


def test_dependence_on_numbers_texts_and_what_is_missing() -> None:
    one = view()
    for feature, label in ((one.names[5], "feature 5"), (5, "feature 5"), (1, "feature 1"), (2, "feature 2")):
        ax = draw_table(one, "dependence", feature=feature).axes[0]
        assert ax.get_xlabel() == label
    points = draw_table(one, "dependence", feature=5).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([one.data[:, 5].astype(float), one.values[:, 5]], 1))
    ax = draw_table(one, "dependence", feature=1).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()][-1] == "4 others"
    ax = draw_table(one, "dependence", feature=2, colour_by=1).axes[0]
    assert "missing" in [t.get_text() for t in ax.texts]
    left = np.concatenate([c.get_offsets() for c in ax.collections])[:, 0]
    known = np.asarray(one.data[:, 2], float)
    assert (left < np.nanmin(known)).sum() == 10
    drawn(draw_table(one, "dependence", feature=3, colour_by=5))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("dependence", {"feature": "featur"}, "no column 'featur'; there are"),
        ("dependence", {"feature": 30}, "no column 30"),
        ("dependence", {"colour_by": "z"}, "no column 'z'"),
        ("waterfall", {"sample": 40}, "no sample 40; there are 40"),
        ("beeswarm", {"most": 0}, "most must be at least 1"),
        ("interactions", {}, "holds no interactions"),
        ("interactions", {"interactions": np.ones((2, 3, 3))}, "do not fit 30 columns"),
        ("pie", {}, "kind must be one of 'waterfall'"),
    ],
)
def test_what_cannot_be_drawn_is_said(kind: str, options: Any, message: str) -> None:
    with pytest.raises(DataInputError, match=message):
        draw_table(view(), kind, **options)


def test_inputs_side_by_side() -> None:
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "age": np.array([[7.0], [8.0]]),
        "one": np.array([9.0, 10.0]),
    }
    inputs = {"x": np.ones((2, 3)), "age": np.array([["a"], ["b"]], object), "one": np.array([1, 2])}
    groups = {"x": np.array(["", "g", "g"]), "age": np.array([""])}
    found = table_view(arrays, inputs, {"x": (("p", "q", "r"),)}, groups, np.zeros(2), None)
    assert found.names == ("p", "g", "age", "one")
    np.testing.assert_array_equal(found.values, [[0, 1, 7, 9], [3, 4, 8, 10]])
    assert found.data.tolist() == [[1.0, "2 columns", "a", 1], [1.0, "2 columns", "b", 2]]
    plain = table_view({"x": arrays["x"]}, inputs, {}, {}, np.zeros(2), None)
    assert plain.names == ("feature 0", "feature 1", "feature 2")
    with pytest.raises(DataInputError, match=r"'z' have shape \(1, 2, 2\), and are no table"):
        table_view({"z": np.ones((1, 2, 2))}, {"z": np.ones((1, 2, 2))}, {}, {}, np.zeros(1), None)


def test_cells_and_names_as_text() -> None:
    assert [cell_text(v) for v in (1.23456789, float("nan"), "a", 3, np.float32(0.5))] == [
        "1.235", "missing", "a", "3", "0.5",
    ]  # fmt: skip
    assert shortened("short") == "short"
    assert len(shortened("x" * 90)) == 40
    assert numbers_of(np.array(["1"], object)) is None
    assert plots.KINDS  # pictures of single samples are known by other names
    assert not set(plots.KINDS) & set(TABLE_KINDS)
