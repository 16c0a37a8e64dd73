"""Pictures: the right kind, no warning, no global state, honest errors."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from onnxplain import plots
from onnxplain.errors import DataInputError
from onnxplain.features.places import channel_axis
from onnxplain.plots.canvas import limit_of, paint, printable
from onnxplain.plots.kinds import guess_kind

RNG = np.random.default_rng(0)


def rendered(figure: Figure) -> np.ndarray:
    """Save as PNG and read back."""
    from PIL import Image

    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=50)
        file.seek(0)
        return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((3, 8, 9), "f4", "image"),
        ((8, 9, 3), "f4", "image"),
        ((1, 28, 28), "f4", "image"),
        ((28, 28, 1), "f4", "image"),
        ((4, 7, 7), "f4", "image"),
        ((64, 7, 7), "f4", "image"),
        ((1, 3, 8, 9), "f4", "image"),
        ((20, 30), "f4", "image"),
        ((4,), "f4", "bars"),
        ((100,), "f4", "bars"),
        ((), "f4", "bars"),
        ((101,), "f4", "series"),
        ((28, 1), "f4", "series"),
        ((1, 300), "f4", "series"),
        ((3, 300), "f4", "series"),
        ((12,), "i8", "tokens"),
        ((1, 12), "u1", "tokens"),
    ],
)
def test_kind_is_guessed_and_drawn(shape: tuple[int, ...], dtype: str, kind: str) -> None:
    sample = (RNG.normal(size=shape) * 40).astype(dtype)
    values = RNG.normal(size=shape)
    from onnxplain.plots.kinds import without_batch_of_one

    assert guess_kind(without_batch_of_one(values, sample)[1]) == kind
    picture = rendered(plots.draw(values, sample, title="why $x_1$ & 漢\n?"))
    assert picture.std() > 5
    np.testing.assert_array_equal(
        picture, rendered(plots.draw(values, sample, kind=kind, title="why $x_1$ & 漢\n?"))
    )


def test_long_rows_with_labels_are_bars() -> None:
    assert guess_kind(np.zeros(300), has_labels=True) == "bars"
    figure = plots.draw(np.arange(300.0), np.zeros(300), labels=[f"gene {i}" for i in range(300)])
    texts = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert texts[0] == "gene 299 = 0"
    assert texts[-1] == "281 others together"
    assert sum(p.get_width() for p in figure.axes[0].patches) == pytest.approx(np.arange(300).sum())


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((3, 8, 9), 0),
        ((8, 9, 3), 2),
        ((3, 3, 3), 0),
        ((4, 28, 3), 2),
        ((28, 28, 1), 2),
        ((64, 7, 7), 0),
        ((5, 5), None),
    ],
)
def test_channel_axis(shape: tuple[int, ...], axis: int | None) -> None:
    assert channel_axis(shape) == axis


@pytest.mark.parametrize("shape", [(3, 6, 7), (6, 7), (12,), (300,), (3, 50)])
def test_draws_into_given_axes(shape: tuple[int, ...]) -> None:
    figure = Figure()
    ax = figure.add_subplot(1, 2, 1)
    assert plots.draw(RNG.normal(size=shape), RNG.normal(size=shape), ax=ax, title="here") is figure
    assert figure.axes == [ax]
    assert ax.has_data()


def test_tokens_into_given_axes() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    assert plots.draw(np.ones(5), np.arange(5), ax=ax) is figure
    assert [t.get_text() for t in ax.texts] == list("01234")


@pytest.mark.parametrize("kind", plots.KINDS)
@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, 1e38, -1e-40])
def test_extreme_values_raise_no_warning(kind: str, fill: float) -> None:
    shape = (6, 7) if kind == "image" else (12,)
    values = np.full(shape, fill, np.float32)
    sample = np.zeros(shape, np.int64) if kind == "tokens" else np.full(shape, fill, np.float32)
    rendered(plots.draw(values, sample, kind=kind))


def test_colours_are_symmetric_around_zero() -> None:
    colours = paint(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 1.0)
    np.testing.assert_allclose(colours[0], colours[1])
    np.testing.assert_allclose(colours[3], colours[4])
    assert colours[2].min() > 0.95
    assert colours[4][0] > colours[4][2]  # red speaks for
    assert colours[0][2] > colours[0][0]  # blue against


def test_scale_is_robust_and_never_zero() -> None:
    values = np.concatenate([np.linspace(-1, 1, 1000), [1e6]])
    assert limit_of(values) < 1.1
    assert limit_of(values, 100) == 1e6
    assert limit_of(np.r_[np.zeros(1000), 5.0]) == 5.0
    assert limit_of(np.zeros(4)) == 1.0
    assert limit_of(np.array([np.nan])) == 1.0


def test_letters_without_glyph_become_boxes() -> None:
    assert printable(["a漢\n"]) == ["a\u25a1\u21b5"]


def test_input_is_untouched() -> None:
    values, sample = RNG.normal(size=(3, 5, 5)), RNG.normal(size=(3, 5, 5))
    before = values.copy(), sample.copy()
    plots.draw(values, sample)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(sample, before[1])


@pytest.mark.parametrize(
    ("values", "sample", "options", "words"),
    [
        (np.zeros(3), np.zeros(4), {}, "do not fit"),
        (np.zeros((2, 3, 5, 5)), np.zeros((2, 3, 5, 5)), {}, "at most three axes"),
        (np.zeros((0, 5)), np.zeros((0, 5)), {}, "nothing to draw"),
        (np.zeros(3), np.zeros(3), {"kind": "pie"}, "kind must be.*'image'.*'waterfall'"),
        (np.zeros(3), np.zeros(3), {"labels": ["a"]}, "1 labels for 3 features"),
        (np.zeros(3), np.zeros(3), {"percentile": 0}, "percentile"),
        (np.zeros((5, 6)), np.zeros((5, 6)), {"cmap": "nope"}, "no colour map"),
        (np.zeros((20, 30)), np.zeros((20, 30)), {"kind": "series"}, "more than 12 lines"),
    ],
)
def test_errors(values: np.ndarray, sample: np.ndarray, options: dict[str, object], words: str) -> None:
    with pytest.raises(DataInputError, match=words):
        plots.draw(values, sample, **options)


def test_matplotlib_is_loaded_late_and_without_pyplot() -> None:
    script = (
        "import sys, numpy as np; from onnxplain import plots;"
        "assert 'matplotlib' not in sys.modules;"
        "plots.draw(np.ones((4, 5, 6)), np.ones((4, 5, 6)))._repr_png_();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
