"""Every kernel through its Python entry, with arrays of every layout and type: right, or a named error."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tree_models import forest, full_trees

import onnxplain as ox
from onnxplain.data import digits_model_path
from onnxplain.kernels import grid_masks, has_core, masked_batches, path_batches, tree_dispatch, trees

TREES = forest(np.random.default_rng(3), covers=True)
COVERS = trees.count_covers(TREES, np.random.default_rng(4).normal(size=(50, 6)))


@dataclass(frozen=True)
class Entry:
    """A function with its arrays, small whole numbers; which layouts or types of an argument it refuses."""

    call: Callable[..., Any]
    arrays: dict[str, np.ndarray]
    refused: Callable[[str, str], bool] = lambda _, __: False


def whole(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.float32)


def added(acc: np.ndarray, grads: np.ndarray, weights: np.ndarray) -> np.ndarray:
    path_batches.accumulate(acc, grads, weights)
    return acc


UNWRITABLE = ("Fortran", "strided", "backwards", "misaligned", "read-only")


def masks_added(linear: np.ndarray, masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    grid_masks.sum_masks(linear, np.zeros((5, 4)), masks, scores, 0.5)
    return linear


def boxes_added(total: np.ndarray, lost: np.ndarray, starts: np.ndarray) -> np.ndarray:
    masked_batches.sum_boxes(total, lost, starts, (2,))
    return total


def of_one_type(name: str, what: str) -> bool:
    """Refuse what is moved if only one of both is of another type."""
    return name in ("x", "instead") and what in ("big-endian", "float16", "int64")


def of_floats(*coefficients: str, in_place: str = "") -> Callable[[str, str], bool]:
    """Refuse other types than floats, but for coefficients, and copies of what is written to."""

    def refused(name: str, what: str) -> bool:
        if name == in_place and what in UNWRITABLE:
            return True
        return name not in coefficients and what in ("big-endian", "float16", "int64")

    return refused


@cache
def explainer() -> ox.Explainer:
    return ox.Explainer(digits_model_path(), device="cpu")


def entries() -> dict[str, Entry]:
    table, background = whole(9, 6), whole(7, 6, seed=1)
    return {
        "interpolate": Entry(
            path_batches.interpolate, {"start": whole(3, 4), "end": whole(3, 4, seed=1), "alphas": whole(5)},
            of_floats("alphas"),
        ),
        "accumulate": Entry(
            added, {"acc": whole(3, 4), "grads": whole(15, 4, seed=1), "weights": whole(5)},
            of_floats("weights", in_place="acc"),
        ),
        "noise": Entry(
            lambda x, stdev: path_batches.noise(x, stdev, 7, n_samples=3),
            {"x": whole(3, 5), "stdev": whole(3)},
            of_floats("stdev"),
        ),
        "choose": Entry(
            masked_batches.choose,
            {
                "x": whole(3, 4), "instead": whole(3, 4, seed=1), "ids": np.array([[0, 1, -1, 2]]),
                "kept": whole(2, 1, 3, seed=2) > 2,
            },
            of_one_type,
        ),
        "cover": Entry(
            lambda x, instead, starts: masked_batches.cover(x, instead, starts, (2,)),
            {"x": whole(3, 4), "instead": whole(3, 4, seed=1), "starts": np.array([[0], [3]])},
            of_one_type,
        ),
        "fade": Entry(
            masked_batches.fade,
            {"x": whole(3, 4), "baseline": whole(3, 4, seed=1), "mask": whole(2, 1, 4, seed=2) // 3},
            lambda name, what: what == "int64" and name == "x",
        ),
        "sum_masks": Entry(
            masks_added,
            {"linear": np.zeros((3, 4)), "masks": whole(5, 4), "scores": whole(5, 2).astype(float)},
            lambda name, what: name == "linear" and what in (*UNWRITABLE, "big-endian", "float16", "int64"),
        ),
        "sum_boxes": Entry(
            boxes_added,
            {"total": np.zeros((3, 4)), "lost": whole(2, 3).astype(float), "starts": np.array([[0], [3]])},
            lambda name, what: name == "total" and what in (*UNWRITABLE, "big-endian", "float16", "int64"),
        ),
        "predict": Entry(lambda X: trees.predict(TREES, X), {"X": table}),
        "count_covers": Entry(lambda X: trees.count_covers(TREES, X), {"X": table}),
        "interventional": Entry(
            lambda X, background: trees.interventional(TREES, X, background),
            {"X": table, "background": background},
        ),
        "path_dependent": Entry(
            lambda X, covers: trees.path_dependent(TREES, X, covers=covers), {"X": table, "covers": COVERS}
        ),
        "players": Entry(
            lambda players: trees.interventional(TREES, table, background, players),
            {"players": np.array([0, 1, 1, 0, 2, 2], np.int32)},
            lambda _, what: what == "float16",
        ),
        "interactions": Entry(
            lambda X, background: trees.interactions(TREES, X, background=background),
            {"X": table, "background": background},
        ),
        "operators": Entry(lambda x: explainer()(x, 1, "lrp").values, {"x": whole(2, 1, 28, 28)}),
    }  # fmt: skip


ENTRIES = entries()


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.full([2 * n for n in array.shape], 77, array.dtype)
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def misaligned(array: np.ndarray) -> np.ndarray:
    memory = b"x" + array.tobytes() + b"x"
    return np.frombuffer(bytearray(memory), array.dtype, array.size, offset=1).reshape(array.shape)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran": lambda a: np.asfortranarray(a) if a.ndim > 1 else strided(a),
    "strided": strided,
    "backwards": lambda a: np.flip(np.flip(a).copy()),
    "misaligned": misaligned,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "float16": lambda a: a.astype(np.float16),
    "int64": lambda a: a.astype(np.int64),
}


@pytest.mark.parametrize("what", LAYOUTS)
@pytest.mark.parametrize(("name", "argument"), [(n, a) for n, e in ENTRIES.items() for a in e.arrays])
def test_another_layout_or_type(name: str, argument: str, what: str) -> None:
    entry = ENTRIES[name]
    plain = {k: v.copy() for k, v in entry.arrays.items()}
    expected = entry.call(**plain)
    given = {k: v.copy() for k, v in entry.arrays.items()}
    given[argument] = LAYOUTS[what](given[argument])
    if entry.refused(argument, what):
        with pytest.raises(ValueError, match=f"{argument} "):
            entry.call(**given)
        return
    before = given[argument].copy()
    found = entry.call(**given)
    np.testing.assert_array_equal(found, expected)
    if found is not given[argument]:
        np.testing.assert_array_equal(given[argument], before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (1, 1), (1, 3), (2, 0, 5), (3,)])
def test_sizes_of_batches(shape: tuple[int, ...], dtype: type) -> None:
    x = whole(*shape).astype(dtype)
    for steps in (0, 1, 3):
        batch = path_batches.interpolate(x, x, np.ones(steps))
        assert batch.shape == (steps * shape[0], *shape[1:])
        np.testing.assert_array_equal(batch, np.tile(x, (steps, *(1,) * (x.ndim - 1))))
        np.testing.assert_array_equal(path_batches.noise(x, 0.0, 1, n_samples=steps), batch)
        acc = np.zeros_like(x)
        path_batches.accumulate(acc, batch, np.ones(steps))
        np.testing.assert_array_equal(acc, steps * x)


needs_core = pytest.mark.skipif(not has_core(), reason="the compiled module is not there")


@needs_core
def test_compiled_kernels_refuse_what_their_python_face_would_mend() -> None:
    from onnxplain.kernels import _core

    x, out, alphas = whole(3, 4), np.zeros((6, 4), np.float32), whole(2)
    for given, said in (
        ((misaligned(x), x, alphas, out), "start is not aligned"),
        ((x, x, alphas, misaligned(out)), "out is not aligned"),
        ((x, x, alphas, read_only(out)), "not writeable"),
        ((x, x[0], alphas, out), "end must have two axes"),
        ((x, x, alphas, out[:5]), "out has the wrong shape"),
    ):
        with pytest.raises(ValueError, match=said):
            _core.interpolate(*given)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _core.interpolate(x, x.T, alphas, out)


@needs_core
def test_trees_that_are_none_are_refused() -> None:
    good = full_trees(2, 2, 3)
    for change, said in (
        ({"roots": np.zeros(2, np.int32)}, "do not describe trees"),  # two threads would count one tree
        ({"true_child": good.false_child}, "do not describe trees"),
        ({"leaf_target": good.leaf_target + 1}, "do not describe trees"),
        ({"aggregate": "MEDIAN"}, "aggregate must be SUM, AVERAGE, MIN or MAX, not MEDIAN"),
    ):
        with pytest.raises(ValueError, match=said):
            tree_dispatch.scores(replace(good, **change), np.zeros((4, 3)))


@needs_core
def test_a_long_kernel_heeds_the_user() -> None:
    ensemble = full_trees(20_000, 5, 20, different=8)  # minutes, were it not stopped
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, 20))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let jobs behind ignore it
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            trees.interventional(ensemble, X, X)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


@needs_core
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are not bound to processors here")
def test_threads_are_as_many_as_processors_that_may_be_used(tmp_path) -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from onnxplain.kernels import _core; print(_core.num_threads())"
    )
    free = {k: v for k, v in os.environ.items() if k != "ONNXPLAIN_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=free, cwd=tmp_path)
    assert done.stdout == "1\n"


def test_more_elements_than_a_counter_has() -> None:
    wide = np.broadcast_to(np.float32(0), (0, 2**34 + 1))
    with pytest.raises(ValueError, match="number of elements of a row must be at least 0 and below"):
        path_batches.noise(wide, 1.0, 0)
