"""Tasks of known truth: it is what they say it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.testing.tasks import TASKS, Task, tasks

N, CONTEXTS = 6, 40


@pytest.fixture(scope="module")
def all_tasks() -> dict[str, Task]:
    return {task.name: task for task in tasks(N)}


def game(task: Task) -> tuple[ox.Explainer, np.ndarray, np.ndarray]:
    """The model as a function of floats; what is taken away there becomes 0."""
    if task.name != "negation":
        return ox.Explainer(task.model), task.inputs, np.broadcast_to(task.masks, task.inputs.shape)
    model = onnx.ModelProto()
    model.CopyFrom(task.model)
    table = onnx.numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == "table"))
    del model.graph.node[0]
    del model.graph.input[:]
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("e", onnx.TensorProto.FLOAT, ["N", *task.inputs.shape[1:], 6])
    )
    e = table[task.inputs]
    return ox.Explainer(model), e, np.broadcast_to(task.masks[..., None], e.shape)


@pytest.mark.parametrize("name", TASKS)
def test_null_players_are_those_outside_the_masks(name: str, all_tasks: Any) -> None:
    task = all_tasks[name]
    explainer, x, masks = game(task)
    target = np.zeros(N, int) if task.target is None else np.array(task.target)
    draw = np.random.default_rng(1)
    moved = np.zeros(masks.shape, bool)
    places = task.masks.ndim  # tokens are taken away with their whole embedding
    for _ in range(CONTEXTS):
        share = draw.choice([0.05, 0.3, 0.5])
        shape = np.broadcast_shapes(task.masks.shape, x.shape[:places])
        gone = np.broadcast_to(_spread(draw.random(shape) < share, x), x.shape)
        score = explainer.predict(np.where(gone, 0, x))["y"][np.arange(N), target]
        outside = explainer.predict(np.where(gone | ~masks, 0, x))["y"][np.arange(N), target]
        np.testing.assert_allclose(outside, score, rtol=1e-5, atol=1e-6)
        moved |= _changes(explainer, x, gone, masks, score, target, draw)
    assert moved.any(axis=tuple(range(1, moved.ndim))).all()


def _spread(places: np.ndarray, x: np.ndarray) -> np.ndarray:
    return places.reshape(*places.shape, *(1,) * (x.ndim - places.ndim))


def _changes(explainer, x, gone, masks, score, target, draw) -> np.ndarray:
    """What matters, as far as taking away one more of it is seen to move the score."""
    found = np.zeros(masks.shape, bool)
    for row in range(N):
        inside = np.argwhere(masks[row] & ~gone[row])
        if not len(inside):
            continue
        chosen = inside[draw.integers(len(inside))]
        points = np.where(gone[row], 0, x[row])[None].copy()
        points[(0, *chosen[: 1 if x.ndim == 3 else None])] = 0
        if explainer.predict(points)["y"][0, target[row]] != score[row]:
            found[(row, *chosen)] = True
    return found


@pytest.mark.parametrize("name", ["xor", "product", "saturated", "interactions"])
def test_every_column_of_the_masks_matters(name: str, all_tasks: Any) -> None:
    task = all_tasks[name]
    explainer = ox.Explainer(task.model)
    (chosen,) = np.nonzero(task.masks[0])
    x = task.inputs
    for row in range(N):
        for k in chosen:
            moved = False
            for code in range(2 ** len(chosen)):
                kept = [c for b, c in enumerate(chosen) if code >> b & 1 and c != k]
                without = np.zeros_like(x[row])
                without[kept] = x[row, kept]
                given = without.copy()
                given[k] = x[row, k]
                pair = explainer.predict(np.stack([without, given]))["y"][:, 0]
                moved = moved or pair[0] != pair[1]
            assert moved, (row, k)


def test_every_pixel_of_the_pattern_matters(all_tasks: Any) -> None:
    task = all_tasks["patch"]
    explainer = ox.Explainer(task.model)
    found = explainer(task.inputs, task.target, ox.Saliency()).values
    np.testing.assert_array_equal((found > 0).all(1, keepdims=True), task.masks)
    np.testing.assert_array_equal((found > 0).any(1, keepdims=True), task.masks)
    scores = explainer.predict(task.inputs)["y"]
    assert (scores > 0).all()  # the other patterns are there, and fire for their own classes


def test_no_other_pattern_fires_whatever_is_taken_away(all_tasks: Any) -> None:
    """Without what speaks against a pattern, it is nowhere else there by the share that fires."""
    task = all_tasks["patch"]
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in task.model.graph.initializer}
    grey = (task.inputs * weights["mixed"].reshape(1, 3, 1, 1)).sum(1)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (5, 5), (1, 2))
    best = np.einsum("nhwij,cij->nchw", windows, np.maximum(weights["patterns"][:, 0], 0))
    for row, kind in enumerate(task.target):
        at = np.argwhere(task.masks[row, 0]).min(0)
        assert best[row, kind][tuple(at)] > 0.96
        best[row, kind][tuple(at)] = 0
        assert best[row, kind].max() < -weights["least"][kind] - 0.03


def test_exact_shapley_values_are_where_the_masks_are(all_tasks: Any) -> None:
    for name in ("saturated", "interactions"):
        task = all_tasks[name]
        found = ox.explain(task.model, task.inputs, task.target, "exact_shapley").values
        masks = np.broadcast_to(task.masks, found.shape)
        np.testing.assert_allclose(found[~masks], 0, atol=1e-6)
        assert (np.abs(found[masks]) > 1e-4).all()


def test_saturation_has_no_gradient_and_copies_are_alike(all_tasks: Any) -> None:
    task = all_tasks["saturated"]
    assert not ox.explain(task.model, task.inputs, None, "saliency").values.any()
    x = all_tasks["interactions"].inputs
    assert np.abs(x[:, 5:10] - x[:, :5]).max() < 0.5


def test_tokens_by_integrated_gradients(all_tasks: Any) -> None:
    task = all_tasks["negation"]
    found = ox.explain(task.model, task.inputs, None, "integrated_gradients", n_steps=32).values
    assert found.shape == task.masks.shape
    np.testing.assert_allclose(found[~task.masks], 0, atol=1e-5)


def test_seeds() -> None:
    first, again, other = tasks(2, seed=3), tasks(2, seed=3), tasks(2, seed=4)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.inputs, b.inputs)
        assert a.model == b.model
        assert not np.array_equal(a.inputs, c.inputs)
