"""Pictures of what was measured: curves at the same places, bands around means, dots of samples."""

from __future__ import annotations

import io
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics.bootstrap import bootstrap

M = ox.metrics
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=12)
WAY = np.linspace(0, 1, 9)
CURVES = VALUES[:, None] + WAY**2


def measured(**besides) -> M.Measured:
    return M.Measured(VALUES, M.PixelFlipping(), **besides)


def rendered(figure: Figure) -> bytes:
    assert isinstance(figure, Figure)
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=40)
        return file.getvalue()


def test_curves_at_the_same_places_stay_as_they_are() -> None:
    for at in (WAY, np.tile(WAY, (12, 1))):
        found = M.Curve(at, CURVES).aligned()
        np.testing.assert_array_equal(found[0], WAY)
        np.testing.assert_array_equal(found[1], CURVES)
    holes = CURVES.copy()
    holes[3, 4] = np.nan
    np.testing.assert_array_equal(M.Curve(WAY, holes).aligned()[1], np.delete(CURVES, 3, 0))
    assert M.Curve(WAY, CURVES * np.nan).aligned()[1].shape == (0, 9)


def test_curves_at_other_places_are_straight_between_them() -> None:
    at = np.sort(RNG.uniform(0.1, 0.9, (12, 9)), axis=1)
    at[:, 0], at[:, -1] = np.linspace(0, 0.1, 12), np.linspace(0.9, 1, 12)
    slopes = RNG.normal(size=(12, 1))
    for way in (slice(None), slice(None, None, -1)):  # rising and falling
        grid, values = M.Curve(at[:, way], (slopes * at)[:, way]).aligned()
        assert (grid[0], grid[-1]) == (0.1, 0.9)
        np.testing.assert_allclose(values, slopes * grid, atol=1e-12)
    long = np.linspace(0, 1, 5000)
    grid, values = M.Curve(long, slopes * long).aligned()
    assert len(grid) == 101
    np.testing.assert_allclose(values, slopes * grid, atol=1e-12)


def test_bands_are_intervals_of_means() -> None:
    low, high = bootstrap(CURVES, 0.9, n_resamples=500, seed=3)
    for k in range(9):
        one = M.Measured(CURVES[:, k], M.PixelFlipping()).interval(0.9, n_resamples=500, seed=3)
        np.testing.assert_allclose((low[k], high[k]), one)


def test_curves_are_drawn_with_their_bands() -> None:
    found = measured(curves={"flipping": M.Curve(WAY, CURVES, "way", "fall of the score")})
    figure = found.plot()
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.stack([WAY, CURVES.mean(0)], 1))
    low, high = bootstrap(CURVES, 0.95, n_resamples=1000)
    drawn = ax.collections[0].get_paths()[0].vertices
    assert drawn[:, 1].min() == pytest.approx(low.min())
    assert drawn[:, 1].max() == pytest.approx(high.max())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("way", "fall of the score")
    ends = found.interval()
    assert ax.get_title() == f"pixel_flipping: {found.mean:.3g}, 95 % of [{ends[0]:.3g}, {ends[1]:.3g}]"
    assert not figure.legends
    rendered(figure)
    both = {"lif": M.Curve(WAY, CURVES), "mif": M.Curve(WAY, -CURVES)}
    figure = measured(curves=both).plot(title="$x")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["lif", "mif"]
    assert len(figure.axes[0].collections) == 2
    rendered(figure)
    one = measured(curves=both).plot(curve="mif")
    np.testing.assert_allclose(one.axes[0].lines[0].get_ydata(), -CURVES.mean(0))
    assert measured(curves=both).plot(ax=Figure().subplots()).axes[0].get_legend() is not None


def test_places_with_names() -> None:
    names = ("(none)", "$fc", "a_convolution_with_a_name_that_never_ends")
    curve = M.Curve(np.arange(3.0), CURVES[:, :3], "layers drawn anew", "ssim", names)
    figure = measured(curves={"layers": curve}).plot()
    texts = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert texts == ["(none)", "$fc", "a_convolution_with_a_..."]
    rendered(figure)
    many = M.Curve(np.arange(100.0), np.ones((2, 100)), "layers", "ssim", tuple(map(str, range(100))))
    ticks = measured(curves={"layers": many}).plot().axes[0].get_xticklabels()
    assert [t.get_text() for t in ticks] == [str(k) for k in range(0, 100, 5)]


def test_values_are_dots() -> None:
    values = VALUES.copy()
    values[5] = np.nan
    found = replace(measured(curves={"flipping": M.Curve(WAY, CURVES)}), values=values)
    (ax,) = found.plot("values", level=0.8).axes
    dots = ax.collections[0].get_offsets()
    np.testing.assert_array_equal(np.asarray(dots)[:, 0], np.delete(VALUES, 5))
    np.testing.assert_allclose(ax.lines[0].get_xdata(), found.mean)
    low, high = found.interval(0.8)
    band = ax.patches[0].get_bbox()
    np.testing.assert_allclose((band.x0, band.x1), (low, high))
    assert ax.get_xlabel() == "pixel_flipping (lower is better)"
    assert "80 % of" in ax.get_title()
    rendered(found.plot("values"))
    rendered(M.Measured(VALUES, M.AUC()).plot())
    own = Figure()
    assert M.Measured(VALUES, M.AUC()).plot(ax=own.subplots()) is own
    many = M.Measured(RNG.normal(size=5000), M.AUC())
    rendered(many.plot())


def test_one_sample_has_no_band() -> None:
    one = M.Measured(VALUES[:1], M.AUC(), curves={"roc": M.Curve(WAY, CURVES[:1])})
    assert not one.plot().axes[0].collections
    assert one.plot().axes[0].get_title() == f"auc: {VALUES[0]:.3g}"
    assert not one.plot("values").axes[0].patches


def test_no_global_state() -> None:
    before = dict(mpl.rcParams)
    measured().plot()
    assert dict(mpl.rcParams) == before


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(MethodError, match="kind is 'bars'"):
        measured().plot("bars")
    with pytest.raises(MethodError, match="has no curves; choose kind='values'"):
        measured().plot("curves")
    found = measured(curves={"lif": M.Curve(WAY, CURVES), "other": M.Curve(WAY, CURVES, what="IoU")})
    with pytest.raises(MethodError, match=r"no curve 'lift'; it has 'lif', 'other' \(did you mean 'lif'"):
        found.plot(curve="lift")
    with pytest.raises(
        MethodError, match="of different quantities; choose one with curve=, 'lif' or 'other'"
    ):
        found.plot()
    found.plot(curve="other")
    with pytest.raises(MethodError, match="leave it out"):
        found.plot("values", curve="lif")
    with pytest.raises(MethodError, match="level"):
        found.plot(level=1.0)
    nothing = M.Measured(VALUES * np.nan, M.AUC(), curves={"roc": M.Curve(WAY, CURVES * np.nan)})
    with pytest.raises(DataInputError, match="no curve of any sample"):
        nothing.plot()
    with pytest.raises(DataInputError, match="says nothing of any sample"):
        nothing.plot("values")
