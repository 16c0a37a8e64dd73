"""Shapley values of trees on a GPU against those on the CPU: equal but for the order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pipelines
import pytest
from tree_models import deep, forest, rows, with_sets

import onnxplain as ox
from onnxplain.errors import MethodError
from onnxplain.kernels import cuda_device_count, tree_dispatch, trees

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU, or onnxplain was built without CUDA"),
]

CLOSE = {"rtol": 0, "atol": 1e-12}
#: Few players on a path, and more than have an entry for each mask.
SHAPES = {"short": {"columns": 9, "depth": 8, "trees": 20}, "long": {"columns": 40, "depth": 14, "trees": 3}}
indices = pytest.mark.parametrize("index", ["shapley", "banzhaf"])
shapes = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture(autouse=True)
def gpu_is_called(monkeypatch: Any) -> Any:
    """Fail where the CPU computed both sides."""
    core, calls = tree_dispatch.core, []
    on_gpu = core.cuda.tree_values
    monkeypatch.setattr(core.cuda, "tree_values", lambda *given: calls.append(1) or on_gpu(*given))
    yield
    assert calls


def drawn(shape: str, targets: int = 2) -> Any:
    rng = np.random.default_rng(5)
    ensemble = forest(rng, targets=targets, covers=True, **SHAPES[shape])
    columns = SHAPES[shape]["columns"]
    return ensemble, rows(rng, 300, columns), rows(rng, 200, columns)


@indices
@shapes
def test_interventional(shape: str, index: str) -> None:
    ensemble, X, background = drawn(shape)
    players = np.maximum(np.arange(X.shape[1]) - 1, 0)
    cpu, gpu = (
        trees.interventional(ensemble, X, background, players, index=index, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(gpu, cpu, **CLOSE)


@indices
@shapes
def test_path_dependent(shape: str, index: str) -> None:
    ensemble, X, _ = drawn(shape)
    cpu, gpu = (trees.path_dependent(ensemble, X, index=index, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, **CLOSE)


@shapes
@pytest.mark.parametrize("with_background", [True, False])
def test_interactions(shape: str, with_background: bool) -> None:
    ensemble, X, background = drawn(shape, targets=1)
    given = {"background": background} if with_background else {}
    cpu, gpu = (trees.interactions(ensemble, X[:50], device=device, **given) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, **CLOSE)


def test_sets_of_members() -> None:
    rng = np.random.default_rng(7)
    ensemble, X, background = with_sets(rng), rows(rng, 90, 6), rows(rng, 80, 6)
    cpu, gpu = (trees.interventional(ensemble, X, background, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, **CLOSE)


def test_depth_64() -> None:
    rng = np.random.default_rng(6)
    ensemble, X, background = deep(rng, 64, 64), rng.normal(size=(30, 64)), rng.normal(size=(50, 64))
    cpu, gpu = (trees.interventional(ensemble, X, background, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, **CLOSE)


def test_rows_in_several_blocks_have_the_same_bits() -> None:
    ensemble, X, background = drawn("short")
    many = np.tile(X, (230, 1))  # more rows than are taken together
    found = trees.interventional(ensemble, many, background, device="cuda")
    one = trees.interventional(ensemble, X, background, device="cuda")
    np.testing.assert_array_equal(found, np.tile(one, (230, 1, 1)))


def test_no_rows_and_too_many_players() -> None:
    ensemble, X = deep(np.random.default_rng(6), 65, 65), np.zeros((2, 65))
    assert trees.interventional(ensemble, X[:0], X, device="cuda").shape == (0, 65, 1)
    with pytest.raises(MethodError, match="more than 64 players"):
        trees.interventional(ensemble, X, X + 9.0, device="cuda")


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="an onnxruntime without CUDA"
)
def test_the_method_uses_the_gpu() -> None:
    given, background = (pipelines.table("columns_stacked", k) for k in ("rows", "background"))
    cpu, gpu = (
        ox.Explainer(pipelines.path("columns_stacked"), device=device)(
            given, None, "tree_shap", baselines=background
        )
        for device in ("cpu", "cuda")
    )
    for name, values in cpu.arrays.items():
        np.testing.assert_allclose(gpu.arrays[name], values, rtol=0, atol=1e-5)
