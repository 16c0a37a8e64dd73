"""Masks and what is made of scores under them, beside naive replicas of the papers' formulas."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import qmc
from skimage.transform import resize
from word_models import texts

import onnxplain as ox
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.masks import Masks


def drawn(shape: tuple[int, ...], n: int, *, cells: int = 3, keep: float = 0.4, seed: int = 5) -> np.ndarray:
    """RISE's masks of a plain array, as the paper's code makes them from the same random numbers."""
    each = [-(-length // cells) for length in shape]
    masks = []
    for k in range(n):
        numbers = uniforms(seed, 0, k, 1, cells ** len(shape) + len(shape))[0]
        grid = (numbers[: cells ** len(shape)] < keep).astype(float).reshape((cells,) * len(shape))
        wide = resize(grid, [(cells + 1) * c for c in each], order=1, mode="edge", anti_aliasing=False)
        shifts = [int(u * c) for u, c in zip(numbers[cells ** len(shape) :], each, strict=True)]
        masks.append(wide[tuple(slice(s, s + d) for s, d in zip(shifts, shape, strict=True))])
    return np.stack(masks)


def signal(models, shape: tuple[int, ...]) -> tuple[ox.Explainer, np.ndarray]:
    """A score that is not additive over an input of any shape, and a sample."""
    size = int(np.prod(shape))
    dims = ", ".join(map(str, shape))
    text = f"""m (float[N, {dims}] x) => (float[N, 1] y) {{
      f = Flatten(x) a = MatMul(f, w) h = Tanh(a) y = MatMul(h, v)
    }}"""
    model = models.make(
        text, w=models.random(size, 4, seed=1) / float(np.sqrt(size)), v=models.random(4, 1, seed=2)
    )
    return ox.Explainer(model), models.random(2, *shape, seed=3)


def scores(explainer: ox.Explainer, x: np.ndarray) -> np.ndarray:
    return next(iter(explainer.predict(x.astype(np.float32)).values()))[:, 0].astype(np.float64)


@pytest.mark.parametrize("shape", [(11,), (9, 7), (1, 10, 8), (10, 8, 3), (3, 7, 7, 5)])
@pytest.mark.parametrize("contrast", [True, False])
def test_rise_beside_the_formula(shape, contrast, models) -> None:
    explainer, x = signal(models, shape)
    method = ox.RISE(40, 0.4, 3, contrast, seed=5)
    found = explainer(x, None, method, baselines=0.5, internal_batch_size=9)
    channels = {3: {1: 0, 3: 2}.get(shape[0] if shape[0] == 1 else shape[-1]), 4: 0}.get(len(shape))
    lengths = tuple(d for k, d in enumerate(shape) if k != channels)
    masks = drawn(lengths, 40)
    if channels is not None:
        masks = np.broadcast_to(np.expand_dims(masks, channels + 1), (40, *shape))
    for row in range(2):
        y = scores(explainer, masks * x[row] + (1 - masks) * 0.5)
        if contrast:
            each = np.einsum("k,k...->k...", y - y.mean(), masks - 0.4) / (0.4 * 0.6)
        else:
            each = np.einsum("k,k...->k...", y, masks) / 0.4
        scale = np.abs(each.mean(0)).max()
        np.testing.assert_allclose(found.values[row], each.mean(0), atol=2e-4 * scale)
        error = each.std(0, ddof=1) / np.sqrt(40)
        np.testing.assert_allclose(found.extras["standard_error"]["x"][row], error, atol=2e-4 * error.max())


def test_the_papers_map_is_the_contrast_at_another_level(models) -> None:
    explainer, x = signal(models, (3, 12, 12))
    one, paper = (explainer(x, None, ox.RISE(600, 0.3, contrast=c)) for c in (True, False))
    for row in range(2):
        left = paper.values[row] - 0.7 * one.values[row]
        spread = paper.extras["standard_error"]["x"][row].max()
        assert np.ptp(left) < 8 * spread


def test_axes_of_space(models) -> None:
    explainer, x = signal(models, (6, 9))
    plain = explainer(x, None, ox.RISE(50, grid_size=3, axes=(1,)))
    assert np.ptp(plain.values, axis=1).max() == 0
    same = explainer(x, None, ox.RISE(50, grid_size=3, axes=(-1,)))
    np.testing.assert_array_equal(plain.values, same.values)
    with pytest.raises(ox.errors.DataInputError, match=r"axes=\(2,\): .*'x' has the shape \(6, 9\)"):
        explainer(x, None, ox.RISE(50, axes=(2,)))


def test_masks_do_not_depend_on_blocks() -> None:
    features = {"a": np.zeros((1, 1, 20, 13), np.float32), "b": np.zeros((1, 30), np.float32)}
    here = SimpleNamespace(grouping=None, features=features)
    recipe = Masks(100, 4, 0.5, None, 3)
    whole = recipe.masks(here, slice(0, 100))
    assert whole["a"].shape == (100, 1, 20, 13)
    assert abs(whole["a"].mean() - 0.5) < 0.05
    for cut in (1, 7, 99):
        parts = [recipe.masks(here, slice(k, min(k + cut, 100))) for k in range(0, 100, cut)]
        for name, masks in whole.items():
            np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), masks)


def test_the_error_falls_like_the_root_of_the_masks(models) -> None:
    """On an additive game, where the value of each element is known; and the stated error is the real one."""
    w = models.random(1, 12)
    explainer, x = ox.Explainer(models.linear(w)), models.random(1, 12, seed=1)
    off, stated = {}, {}
    for n in (100, 1600):
        found = [explainer(x, None, ox.RISE(n, grid_size=12, seed=s)) for s in range(40)]
        off[n] = np.sqrt(np.mean([(f.values - w * x) ** 2 for f in found]))
        stated[n] = np.sqrt(np.mean([f.extras["standard_error"]["x"] ** 2 for f in found]))
        assert 0.85 < off[n] / stated[n] < 1.15
    assert 3.2 < off[100] / off[1600] < 4.8


def test_players_may_be_of_any_type(models) -> None:
    """Kept or not as a whole: texts, and segments that differ from sample to sample."""
    words = np.array([["red", "blue"], ["green", "unknown"]])
    found = ox.explain(texts(), words, method=ox.RISE(2000), feature_mask="elements")
    bound = 6 * found.extras["standard_error"]["x"] + 1e-9
    assert (np.abs(found.values - [[1, 40], [2, 0]]) < bound).all()
    explainer, x = signal(models, (6,))
    mask = np.array([[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, -1]])
    found = explainer(x, None, ox.RISE(64), feature_mask=mask)
    for row in range(2):
        alone = explainer(x[row : row + 1], None, ox.RISE(64), feature_mask=mask[row])
        np.testing.assert_allclose(found.values[row], alone.values[0], rtol=1e-5)
    assert found.values[1, 5] == 0


def jansen(explainer: ox.Explainer, x: np.ndarray, n: int, cells: np.ndarray) -> np.ndarray:
    """Total indices as Fel's code has them, from scipy's sequence, cell by cell."""
    d = int(cells.max()) + 1
    both = qmc.Sobol(2 * d, scramble=True, seed=4).random(n)
    a, b = both[:, :d], both[:, d:]
    f = scores(explainer, a[:, cells] * x)
    found = []
    for i in range(d):
        c = a.copy()
        c[:, i] = b[:, i]
        found.append(((f - scores(explainer, c[:, cells] * x)) ** 2).sum() / (2 * n * f.var(ddof=1)))
    return np.array(found)


def test_sobol_indices_beside_the_formula(models) -> None:
    explainer, x = signal(models, (3, 7, 5))
    rows, columns = np.arange(7) * 4 // 7, np.arange(5) * 4 // 5
    cells = np.broadcast_to(rows[:, None] * 4 + columns, (3, 7, 5))
    found = explainer(x, None, ox.SobolIndices(16, 4, seed=4), internal_batch_size=11)
    for row in range(2):
        wanted = jansen(explainer, x[row], 16, cells)
        np.testing.assert_allclose(found.values[row], wanted[cells], rtol=1e-3)
    mask = np.arange(3).reshape(3, 1, 1)
    found = explainer(x, None, ox.SobolIndices(16, seed=4), feature_mask=mask)
    wanted = jansen(explainer, x[1], 16, np.broadcast_to(mask, (3, 7, 5)))
    np.testing.assert_allclose(found.values[1, :, 0, 0], wanted, rtol=1e-3)


def test_sobol_indices_of_a_product(models) -> None:
    """x1 x2 with both even between 0 and 1: each takes part in 4/7 of the variance (7/144)."""
    text = "m (float[N, 2] x) => (float[N, 1] y) { y = ReduceProd(x, one) }"
    x = np.array([[2.0, 3.0]], np.float32)
    model = models.make(text, one=np.array([1]))
    found = ox.explain(model, x, method=ox.SobolIndices(4096))
    np.testing.assert_allclose(found.values, [[4 / 7, 4 / 7]], rtol=2e-2)
    assert (np.abs(found.values - 4 / 7) < 3 * found.extras["standard_error"]["x"]).all()


def test_a_score_that_does_not_move_has_no_indices(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 1] y) { z = Mul(x, nil) y = ReduceSum(z, one) }",
                        nil=0.0, one=np.array([1]))  # fmt: skip
    for method in ("sobol_indices", "hsic_indices"):
        found = ox.explain(model, models.random(2, 3), method=method)
        assert not found.values.any()


def test_hsic_indices_beside_the_formula(models) -> None:
    explainer, x = signal(models, (9,))
    found = explainer(x, None, ox.HSICIndices(64, 9, seed=4), internal_batch_size=11)
    masks = (qmc.Sobol(9, scramble=True, seed=4).random(64) >= 0.5).astype(float)
    centre = np.eye(64) - 1 / 64
    for row in range(2):
        y = scores(explainer, masks * x[row])
        apart = np.abs(y[:, None] - y)
        kernel = np.exp(-((apart / np.median(apart[np.triu_indices(64, 1)])) ** 2) / 2)
        for i in range(9):
            own = 0.5 - (masks[:, None, i] - masks[:, i]) ** 2
            wanted = np.trace(own @ centre @ kernel @ centre) / 64**2
            assert found.values[row, i] == pytest.approx(wanted, rel=1e-3, abs=1e-7)
        assert (found.values >= 0).all()


def test_hsic_indices_of_texts(models) -> None:
    words = np.array([["red", "blue"], ["green", "unknown"]])
    found = ox.explain(texts(), words, method="hsic_indices").values
    assert found[0, 1] > found[0, 0] > 0
    assert found[1, 0] > 10 * found[1, 1]


@pytest.mark.parametrize("method", [ox.SobolIndices, ox.HSICIndices])
def test_the_sequence_is_even_for_powers_of_two(method) -> None:
    with pytest.raises(ox.errors.MethodError, match=r"n_samples is 100; .* give 64 or 128"):
        method(100)


def test_too_many_players_for_the_sequence(models) -> None:
    explainer, x = signal(models, (150, 150))
    with pytest.raises(ox.errors.MethodError, match=r"too many players: they take 22500 .*grid_size"):
        explainer(x, None, ox.HSICIndices(grid_size=150))
