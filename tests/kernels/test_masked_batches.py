from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.kernels import grid_masks, masked_batches, masked_numpy

DTYPES = ("?", "i1", "f2", "f4", "i8", "f8", ">f4", "c16", "U3", "O")

seeds = st.integers(0, 2**31)
counts = st.integers(0, 5)


def bits(array):
    """Compare bits, not values; objects by value."""
    return array.dtype, array.shape, array.tolist() if array.dtype.hasobject else array.tobytes()


def some(random, shape, dtype="f8"):
    return (10 * random.standard_normal(shape)).astype(dtype)


@pytest.fixture(params=["compiled", "numpy"])
def core(request, monkeypatch):
    """Run through the compiled module, and as where none was built."""
    if request.param == "numpy":
        monkeypatch.setattr(masked_batches, "core", None)
        monkeypatch.setattr(grid_masks, "core", None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("each", "lead", "rows"), [((3,), 1, 1), ((1,), 1, 3), ((1, 1), 3, 3), ((4, 3), 3, 1)]
)
def test_choose_is_where_by_player(core, dtype, each, lead, rows):
    random = np.random.default_rng(0)
    x, instead = some(random, (3, 2, 5), dtype), some(random, (*each, 2, 5), dtype)
    ids, kept = random.integers(-1, 4, (lead, 2, 5)), random.random((4, rows, 4)) < 0.5
    made = masked_batches.choose(x, instead, ids, kept)
    expected = np.broadcast_to(instead, (4, *x.shape)).copy()
    for s, n, i, j in np.ndindex(expected.shape):
        player = ids[n % lead, i, j]
        if player < 0 or kept[s, n % rows, player]:
            expected[s, n, i, j] = x[n, i, j]
    assert bits(made) == bits(expected.reshape(made.shape))


@given(seeds, counts, counts, st.integers(0, 3000), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_choose_equals_numpy(seed, rows, steps, cols, players):
    random = np.random.default_rng(seed)
    x, instead = some(random, (rows, cols), "f4"), some(random, (rows, cols), "f4")
    ids, kept = random.integers(-1, players, (1, cols)), random.random((steps, 1, players)) < 0.5
    out = np.empty((steps * rows, cols), np.float32)
    assert masked_batches.choose(x, instead, ids, kept, out) is out
    assert bits(out) == bits(masked_numpy.choose(x, instead[None], ids, kept).reshape(out.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_choose_takes_rows_of_a_background(core, dtype):
    random = np.random.default_rng(2)
    x, background = some(random, (2, 5), dtype), some(random, (3, 1, 5), dtype)
    ids, kept = random.integers(-1, 4, (1, 5)), random.random((6, 1, 4)) < 0.5
    which = np.array([2, 0, 0, 1, 2, 2])
    made = masked_batches.choose(x, background, ids, kept, None, which[::-1])
    assert bits(made) == bits(masked_batches.choose(x, background[which[::-1]], ids, kept))
    with pytest.raises(ValueError, match="which is no row"):
        masked_batches.choose(x, background, ids, kept, None, which + 1)


@given(seeds, st.integers(0, 5), st.integers(0, 9), st.integers(0, 3), st.integers(0, 10**9))
@settings(deadline=None, max_examples=40)
def test_cells_are_drawn_as_numpy_draws_them(seed, steps, cells, axes, first):
    lengths = np.arange(1, axes + 1)
    words = (2**64 - 1 - seed, 7, first, steps, cells, 0.3, lengths)
    for dtype in (np.dtype(np.float32), np.dtype(bool)):
        made, shifts = grid_masks.draw_cells(*words, dtype=dtype)
        expected, far = masked_numpy.draw_cells(*words, dtype)
        assert bits(made) == bits(expected)
        assert bits(shifts) == bits(far)
    assert ((shifts >= 0) & (shifts < lengths[:, None])).all()


@given(seeds, counts, counts, st.lists(st.integers(1, 6), min_size=0, max_size=4))
@settings(deadline=None, max_examples=60)
def test_boxes_equal_numpy(seed, rows, steps, shape):
    random = np.random.default_rng(seed)
    sample = tuple(shape) or (1,)
    x, instead = some(random, (rows, *shape), "f4"), some(random, (rows, *shape), "f4")
    starts = random.integers(-2, 8, (steps, len(sample)))
    window = tuple(random.integers(0, 5, len(sample)).tolist())
    made = masked_batches.cover(x, instead, starts, window)
    flat = x.reshape(rows, -1) if rows else x.reshape(0, int(np.prod(sample)))
    other = instead.reshape(flat.shape)
    assert bits(made) == bits(masked_numpy.cover(flat, other, starts, window, sample).reshape(made.shape))
    total, lost = some(random, (rows, *shape)), some(random, (steps, rows))
    expected = total.copy().reshape(flat.shape)
    masked_numpy.sum_boxes(expected, lost, starts, window, sample)
    masked_batches.sum_boxes(total, lost, starts, window)
    assert bits(total) == bits(expected.reshape(total.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cover_hides_a_box_of_any_dtype(core, dtype):
    random = np.random.default_rng(1)
    x, instead = some(random, (2, 3, 4), dtype), some(random, (2, 3, 4), dtype)
    made = masked_batches.cover(x, instead, np.array([[1, 2], [3, 0]]), (2, 9))
    expected = np.stack([x, x]).astype(dtype)
    expected[0, :, 1:3, 2:] = instead[:, 1:3, 2:]  # the second one begins beyond the end
    assert bits(made) == bits(expected.reshape(made.shape))


def test_texts_may_be_of_several_lengths(core):
    short, long = np.array([["a", "b"]]), np.array([["longer", "text"]])
    made = masked_batches.choose(short, long, np.array([[0, -1]]), np.zeros((1, 1, 1), bool))
    assert made.tolist() == [["longer", "b"]]
    made = masked_batches.cover(short, long.astype(object), np.array([[1]]), (1,))
    assert made.tolist() == [["a", "text"]]


def test_boxes_of_many_axes(core):
    x = np.arange(2.0**9).reshape(1, *(2,) * 9)
    made = masked_batches.cover(x, -x, np.ones((1, 9), np.int64), (1,) * 9)
    assert made.ravel()[-1] == -x.max()
    assert (made.ravel()[:-1] == x.ravel()[:-1]).all()
    total = np.zeros_like(x)
    masked_batches.sum_boxes(total, np.array([[3.0]]), np.ones((1, 9), np.int64), (1,) * 9)
    assert (total.sum(), total.ravel()[-1]) == (3, 3)


@given(seeds, counts, counts, st.sampled_from(["f2", "f4", "f8"]), st.data())
@settings(deadline=None, max_examples=60)
def test_fade_equals_numpy(seed, rows, steps, dtype, data):
    random = np.random.default_rng(seed)
    shape = tuple(data.draw(st.lists(st.integers(1, 40), max_size=3)))
    own = [d if data.draw(st.booleans()) else 1 for d in shape]
    x, b = some(random, (rows, *shape), dtype), some(random, (rows, *shape), dtype)
    x[random.random(x.shape) < 0.1] = np.nan
    b[random.random(x.shape) < 0.1] = np.inf
    mask = random.random((steps, data.draw(st.sampled_from([1, rows])), *own)).astype(np.float32)
    mask[random.random(mask.shape) < 0.3] = 1
    made = masked_batches.fade(x, b, mask)
    weight = mask.astype(dtype)
    with np.errstate(all="ignore"):
        between = weight * (x - b) + b
    between = np.where(np.isnan(x) | np.isnan(b), np.where(weight >= 0.5, x, b), between)
    expected = np.where(weight == 1, x, between).astype(dtype)
    np.testing.assert_array_equal(made, np.broadcast_to(expected, (steps, *x.shape)).reshape(made.shape))
    assert made.dtype == x.dtype


@given(seeds, st.integers(0, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_stretch_equals_numpy(seed, steps, before, cells, length, after):
    random = np.random.default_rng(seed)
    places = length + 3
    left = random.integers(0, cells, places)
    first, second = random.random((2, places)).astype(np.float32)
    shift, grid = random.integers(0, 4, steps), some(random, (steps, before, cells, after), "f4")
    made = grid_masks.stretch(grid, left, first, second, shift, length)
    assert bits(made) == bits(masked_numpy.stretch(grid, left, first, second, shift, length))


@given(seeds, counts, counts, st.integers(0, 300))
@settings(deadline=None, max_examples=40)
def test_sum_masks_equals_numpy_whatever_the_blocks(seed, rows, steps, cols):
    random = np.random.default_rng(seed)
    masks, scores = random.random((steps, cols)).astype(np.float32), some(random, (steps, rows))
    sums = [(np.zeros((1 + rows, cols)), np.zeros((1 + 2 * rows, cols))) for _ in range(3)]
    grid_masks.sum_masks(*sums[0], masks, scores, 0.5)
    for part in (slice(0, 1), slice(1, None)):
        grid_masks.sum_masks(*sums[1], masks[part], scores[part], 0.5)
    masked_numpy.sum_masks(*sums[2], masks, scores, 0.5)
    for linear, square in sums[1:]:
        assert bits(linear) == bits(sums[0][0])
        assert bits(square) == bits(sums[0][1])
    u = masks.astype(float) - 0.5
    np.testing.assert_allclose(sums[0][1][1 + rows :], scores.T**2 @ u**2, atol=1e-9)


def test_large_enough_for_several_threads():
    random = np.random.default_rng(0)
    x, b = some(random, (3, 2, 200, 150), "f4"), some(random, (3, 2, 200, 150), "f4")
    flat, other = x.reshape(3, -1), b.reshape(3, -1)
    mask = random.random((5, 1, 1, 200, 150)).astype(np.float32)
    made = masked_batches.fade(x, b, mask)
    cells = mask.reshape(5, 1, -1)
    assert bits(made) == bits(masked_numpy.fade(flat, other, cells, 1).reshape(made.shape))
    ids, kept = random.integers(0, 7, (1, 2, 200, 150)), random.random((5, 1, 7)) < 0.5
    made = masked_batches.choose(x, b, ids, kept)
    assert bits(made) == bits(
        masked_numpy.choose(flat, other[None], ids.reshape(1, -1), kept).reshape(made.shape)
    )


X = np.zeros((2, 3), np.float32)
IDS, KEPT = np.zeros((1, 3), np.int64), np.ones((4, 1, 1), bool)
START = np.zeros((1, 1), np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masked_batches.choose(X, X, IDS + 1, KEPT), "not below the number of players"),
        (lambda: masked_batches.choose(X, X, IDS, KEPT, X), r"shape \(8, 3\), not float32 and \(2, 3\)"),
        (lambda: masked_batches.choose(X, X, IDS, KEPT, np.empty((3, 8), "f4").T), "must be C-contiguous"),
        (lambda: masked_batches.choose(X, X.astype(int), IDS, KEPT), "same dtype, not float32 and int64"),
        (lambda: masked_batches.fade(X, X, np.zeros((1, 1, 2))), "does not broadcast"),
        (lambda: masked_batches.sum_boxes(np.zeros((3, 2)).T, np.zeros((1, 2)), START, (1,)), "in place"),
        (
            lambda: grid_masks.draw_cells(0, 0, 0, 1, 1, 0.5, START[0], dtype=int),
            "float32 or bool, not int64",
        ),
    ],
)
def test_refuses(core, call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(masked_batches.core is None, reason="checks of the compiled module")
def test_the_compiled_module_refuses_what_does_not_fit():
    core = masked_batches.core
    grid, place = np.zeros((1, 1, 2, 1), np.float32), np.zeros(3, np.int64)
    share, out = np.zeros(3, np.float32), np.zeros((1, 1, 3, 1), np.float32)
    with pytest.raises(ValueError, match="left is no cell"):
        core.stretch(grid, place + 2, share, share, place[:1], out)
    with pytest.raises(ValueError, match="shift leads beyond"):
        core.stretch(grid, place, share, share, place[:1] + 1, out)
    with pytest.raises(ValueError, match="shape is not that of a row"):
        core.sum_boxes(np.zeros((1, 3)), np.zeros((1, 1)), START, np.array([1]), np.array([4]))
    with pytest.raises(ValueError, match="masks has the wrong shape"):
        core.sum_masks(np.zeros((2, 3)), np.zeros((3, 3)), np.zeros((2, 3), "f4"), np.zeros((1, 1)), 0.0)
