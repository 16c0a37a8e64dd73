"""What onnxruntime cannot run, and objects that are no arrays: one error, and nothing on the terminal."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.runtime.session import Executable

TEXTS = {
    "computed table": ("""m (int64[N, L] ids, float[20, 4] table) => (float[N, 4] y) {
        e = Gather(table, ids) one = Constant<value_ints = [1]>()
        y = ReduceMean<keepdims = 0>(e, one) }""", {}),
    "mask": ("""m (float[N, L] x, float[N, M] mask) => (float[N, 1] y) {
        k = Mul(x, mask) one = Constant<value_ints = [1]>() y = ReduceSum(k, one) }""", {}),
    "same axis": ("""m (float[N, L] x, float[N, L] mask) => (float[N, 1] y) {
        k = Mul(x, mask) one = Constant<value_ints = [1]>() y = ReduceSum(k, one) }""", {}),
    "spatial": ("""m (float[N, 2, H, W] x) => (float[N, 3] y) {
        c = Conv(x, w) r = Relu(c) f = Flatten(r) y = MatMul(f, v) }""",
                {"w": (3, 2, 3, 3), "v": (48, 3)}),
    "reshape": ("""m (float[N, L] x) => (float[N, 2] y) {
        s = Constant<value_ints = [-1, 6]>() r = Reshape(x, s) y = MatMul(r, w) }""", {"w": (6, 2)}),
}  # fmt: skip


def f(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


RUNS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "ids": ("computed table", {"ids": np.array([[1, 30]]), "table": f(20, 4)}, ("Gather", "30", "ids")),
    "mask": ("mask", {"x": f(2, 5), "mask": f(2, 7)}, ("Mul", "(2, 5)", "(2, 7)")),
    "named axis": ("same axis", {"x": f(2, 5), "mask": f(2, 7)}, ("Mul", "'L'", "5 in 'x'", "7 in 'mask'")),
    "large image": ("spatial", {"x": f(2, 2, 9, 9)}, ("MatMul", "(2, 2, 9, 9)")),
    "small image": ("spatial", {"x": f(2, 2, 2, 2)}, ("Conv", "(2, 2, 2, 2)")),
    "reshape": ("reshape", {"x": f(1, 5)}, ("Reshape", "(1, 5)")),
}


def model(models, name: str) -> onnx.ModelProto:
    text, shapes = TEXTS[name]
    return models.make(text, **{k: models.random(*s) for k, s in shapes.items()})


@pytest.mark.parametrize("what", RUNS)
@pytest.mark.parametrize("method", [None, "saliency", "lrp", "integrated_gradients"])
def test_runs_that_fail(what, method, models, capfd) -> None:
    name, inputs, words = RUNS[what]
    explainer = ox.Explainer(model(models, name))
    wrt = {"wrt": "table"} if name == "computed table" else {}

    def run() -> None:
        explainer.predict(inputs) if method is None else explainer(inputs, 0, method, **wrt)

    with pytest.raises((errors.ModelRunError, errors.DataInputError)) as caught:
        run()
    message = str(caught.value)
    assert "\n" not in message
    assert "onnxruntime_src" not in message
    for word in words if isinstance(caught.value, errors.ModelRunError) else ():
        assert word in message
    assert capfd.readouterr() == ("", ""), "onnxruntime logs nothing"
    if method is None:
        assert isinstance(caught.value, RuntimeError)


def test_the_explainer_goes_on_after_a_run_that_failed(models) -> None:
    explainer = ox.Explainer(model(models, "mask"))
    good = {"x": f(2, 5), "mask": f(2, 5)}
    expected = explainer(good, method="saliency", wrt="x").values
    with pytest.raises(errors.ModelRunError):
        explainer({"x": f(2, 5), "mask": f(2, 7)}, method="saliency", wrt="x")
    np.testing.assert_array_equal(explainer(good, method="saliency", wrt="x").values, expected)


def test_what_onnxruntime_does_not_load_is_not_logged(models, capfd) -> None:
    odd = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = odd.Thing(x) }", domain="odd")
    with pytest.raises(errors.InvalidModelError, match="Thing"):
        ox.Explainer(odd).predict(f(1, 3))
    assert capfd.readouterr() == ("", "")


def test_memory_that_is_not_there_says_what_to_do(models, capfd) -> None:
    huge = models.make("m (float[N] x, int64[1] k) => (float[M] y) { e = Expand(x, k) y = Relu(e) }")
    with pytest.raises(errors.ModelRunError, match=r"allocate.*memory_budget or internal_batch_size"):
        ox.Explainer(huge).predict({"x": f(1), "k": np.array([10**13])})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ids", [20, 10**6, -21])
@pytest.mark.parametrize("method", [None, "saliency", "integrated_gradients"])
def test_tokens_beyond_the_vocabulary_are_refused_first(ids, method, models, monkeypatch) -> None:
    explainer = ox.Explainer(models.tokens())
    monkeypatch.setattr(Executable, "run", None)
    inputs = {"ids": np.array([[1, 2, ids]]), "mask": np.ones((1, 3), np.int64)}
    words = rf"'ids' holds {ids}, .*20 rows; give numbers from 0 to 19"
    with pytest.raises(errors.DataInputError, match=words):
        explainer.predict(inputs) if method is None else explainer(inputs, 0, method)


def test_tokens_of_baselines_too(models) -> None:
    inputs = {"ids": np.array([[1, 2, 3]]), "mask": np.ones((1, 3), np.int64)}
    with pytest.raises(errors.DataInputError, match="'ids' holds 20"):
        ox.explain(models.tokens(), inputs, 0, baselines={"ids": 20}, wrt="ids")
    negative = {**inputs, "ids": np.array([[1, 2, -1]])}
    np.testing.assert_array_equal(
        ox.explain(models.tokens(), negative, 0, method="saliency", wrt="ids").values,
        ox.explain(models.tokens(), {**inputs, "ids": np.array([[1, 2, 19]])}, 0, method="saliency",
                   wrt="ids").values,
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "s = Slice(ids, a, b, one) y = Gather(table, s)",
        "c = Clip(ids, low, high) y = Gather(table, c)",
        "c = Cast<to = 3>(ids) d = Cast<to = 7>(c) y = Gather(table, d)",
        "m = Mod(ids, n) y = Gather(table, m)",
    ],
    ids=["sliced", "clipped", "narrowed", "modulo"],
)
def test_ids_that_are_changed_on_the_way_are_not_judged(body, models) -> None:
    proto = models.make(
        f"m (int64[N, 3] ids) => (float[N, L, 4] y) {{ {body} }}", table=models.random(20, 4),
        a=np.array([0]), b=np.array([2]), one=np.array([1]), low=np.array(0), high=np.array(19),
        n=np.array([20]),
    )  # fmt: skip
    assert ox.Explainer(proto).predict(np.array([[1, 2, 256 if "Cast" in body else 100]]))["y"].shape[0] == 1


class Sparse:
    """Like scipy's, which need not be there."""

    nnz = 3

    def toarray(self) -> np.ndarray:
        return np.eye(5)


class Refuses:
    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise RuntimeError("detach\nme first")


class Frame:
    """Like pandas': columns of any dtype."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def masked(some: bool) -> np.ma.MaskedArray:
    return np.ma.MaskedArray(f(2, 5), np.full((2, 5), some))


OBJECTS: list[tuple[Any, str]] = [
    (masked(True), r"masked array.*\.filled\(value\)"),
    ([masked(True)[0], masked(False)[1]], "masked array"),
    (Sparse(), r"sparse matrix; give \.toarray\(\)"),
    (Refuses(), r"a Refuses that is no array \(RuntimeError: detach me first\)"),
    (Frame(np.array([["a", 1.0]], object)), "objects"),
    ({1, 2}, "objects"),
    (None, "objects"),
    (object(), "objects"),
    (np.zeros((2, 5), "M8[s]"), "datetime64"),
    (np.zeros((2, 5), [("a", "f4")]), "dtype"),
]


@pytest.mark.parametrize(("given", "words"), OBJECTS, ids=lambda v: type(v).__name__)
def test_objects_that_are_no_arrays(given, words, models, monkeypatch) -> None:
    explainer = ox.Explainer(models.mlp())
    monkeypatch.setattr(Executable, "run", None)
    calls = (
        lambda: explainer.predict(given),
        lambda: explainer(given, 0),
        lambda: explainer({"x": given}, 0),
    )
    for call in calls:
        with pytest.raises(errors.DataInputError) as caught:
            call()
        assert re.search(words, str(caught.value))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [g for g, _ in OBJECTS[:5]], ids=lambda v: type(v).__name__)
def test_baselines_that_are_no_arrays(given, models) -> None:
    with pytest.raises(errors.DataInputError, match="baseline of 'x'"):
        ox.explain(models.mlp(), f(2, 5), 0, method="ig", baselines=given)


def test_objects_that_are_arrays(models) -> None:
    explainer, x = ox.Explainer(models.mlp()), f(2, 5)
    expected = explainer.predict(x)["y"]
    alike = (Frame(x), x.tolist(), list(x), np.ma.MaskedArray(x), np.asfortranarray(x), x.astype(float))
    for given in alike:
        np.testing.assert_allclose(explainer.predict(given)["y"], expected, rtol=1e-5)


@pytest.mark.parametrize("target", [2**63, -(2**63) - 1, 2**64, np.uint64(2**63), [0, 2**63], np.inf, "0"])
def test_targets_beyond_all_bounds(target, models) -> None:
    with pytest.raises(errors.TargetError):
        ox.explain(models.mlp(), f(2, 5), target, method="saliency")
