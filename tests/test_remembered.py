"""What an explainer remembers of requests never answers another one: sequences of them, beside fresh ones."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.presets import preset
from onnxplain.errors import DataInputError, NotExplainableError, TargetError
from onnxplain.outcome import confirm

METHODS = (
    ox.Saliency(), ox.Saliency(abs=False), "saliency", "input_x_gradient", ox.LRP("epsilon"),
    ox.IntegratedGradients(n_steps=3), "deep_lift", ox.LayerActivation(layer="h"),
)  # fmt: skip

#: What each argument of a call may be; some of it is wrong, alone or beside others.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "target": (
        0, 1, -1, 3, True, 1.0, np.int64(1), "predicted", "best", None, (2,), [1, 0], ox.Weights([1, 0, 2.0]),
    ),
    "output": (None, None, "y", "q", "h", "nothing"),
    "wrt": (None, "x", "side", ["x", "side"], ("side", "x"), "h", iter(())),
    "through_softmax": (False, False, True, 1),
    "baselines": (None, None, 0.5, {"x": 1.0}),
    "batch_axes": (None, None, None, 0, {"x": 0, "side": None}),
    "internal_batch_size": (None, None, 1),
}  # fmt: skip
CALLS, SEEDS = 30, 2


@pytest.fixture(scope="module")
def model(models) -> Any:
    return models.make(
        """m (float[N, 3, L] x, float[M, 4] side) => (float[N, 3] y, float[N, 4] q) {
          c = Conv(x, w)
          h = Relu(c)
          g = GlobalAveragePool(h)
          f = Flatten(g)
          j = Add(f, side)
          z = MatMul(j, v)
          y = Softmax(z)
          q = MatMul(j, u)
        }""",
        w=models.random(4, 3, 2), v=models.random(4, 3, seed=1), u=models.random(4, 4, seed=2),
    )  # fmt: skip


def drawn(draw: np.random.Generator) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Return inputs, method and arguments: those of most calls are the usual ones but for two."""
    n, length = draw.integers(1, 3), 4 + 2 * draw.integers(2)
    shapes = {"x": (n, 3, length), "side": (n if draw.random() < 0.8 else 1, 4)}
    dtype = draw.choice(["float32", "float32", "float64", "int64"])
    inputs = {k: (4 * draw.standard_normal(shape)).astype(dtype) for k, shape in shapes.items()}
    if draw.random() < 0.1:
        inputs["x"] = np.where(inputs["x"] > 1, np.nan, inputs["x"])
    arguments = {"target": 1} | {k: some(draw, ARGUMENTS[k]) for k in draw.choice(list(ARGUMENTS), 2)}
    return inputs, some(draw, METHODS), arguments


def some(draw: np.random.Generator, of: tuple[Any, ...]) -> Any:
    return of[draw.integers(len(of))]


def outcome(explainer: ox.Explainer, inputs: dict[str, Any], method: Any, arguments: dict[str, Any]) -> Any:
    """Return all that a call brings, as one comparable value."""
    try:
        found = explainer(inputs, method=method, **arguments)
    except ox.errors.OnnxplainError as error:
        return type(error), str(error)
    arrays = [*found.arrays.values(), *found.inputs.values(), found.target, found.score, found.predictions]
    told = (found.output, found.rule_table, found.notes, repr(found.method), repr(found.check))
    return told, [(a.dtype, a.shape, a.tobytes()) for a in arrays]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_call_of_a_sequence_is_answered_as_a_first_one_would_be(seed, model) -> None:
    draw, fresh = np.random.default_rng(seed), ox.Explainer(model)
    explainer = ox.Explainer(model)
    answered = 0
    for _ in range(CALLS):
        request = drawn(draw)
        forget(fresh)
        expected = outcome(fresh, *request)
        assert outcome(explainer, *request) == expected, request
        answered += isinstance(expected[1], list)
    assert answered > CALLS // 3, "most requests should be answered, or little is compared"


def forget(explainer: ox.Explainer) -> None:
    """Make an explainer as good as new, but for its compiled programs."""
    kept = explainer._answering
    explainer._answering = type(kept)(kept.normal, *explainer._options)
    explainer._answering.programs = kept.programs


def test_results_do_not_share_memory_with_later_ones(model, models) -> None:
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    first = explainer(inputs, 1, "saliency", wrt=["x", "side"])
    kept = {k: v.copy() for k, v in first.arrays.items()}
    more = first.target, first.score, first.predictions
    for array in (*first.arrays.values(), *first.inputs.values(), *more):
        assert array.flags.writeable
        array[...] = 7
    again = explainer(inputs, 1, "saliency", wrt=["x", "side"])
    assert all(np.array_equal(again.arrays[k], kept[k]) for k in kept)
    assert again.target.tolist() == [[1], [1]]


def test_what_a_run_shows_replaces_what_was_remembered(model, models, monkeypatch) -> None:
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    batching = explainer._answering._batching
    explainer(inputs, 1, "saliency")
    known = next(iter(batching._outputs))
    known["y"] = replace(known["y"], shape=(2,))
    batching.learned += 1  # as if shape inference had been wrong from the start
    assert explainer(inputs, 1, "saliency").predictions.shape == (2, 3)
    assert explainer(inputs, 2, "saliency").target.tolist() == [[2], [2]]
    with pytest.raises(TargetError, match="out of range"):
        explainer(inputs, 3, "saliency")


def test_a_method_that_changes_is_asked_anew(model, models) -> None:
    class Changing(ox.Saliency):
        """Whose rules are not what they were."""

        def needs(self) -> Any:
            return ox.LRP("epsilon").needs() if state else super().needs()

        attribute = ox.LRP.attribute

    state: list[int] = []
    explainer, method = ox.Explainer(model), Changing()
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    np.testing.assert_array_equal(
        explainer(inputs, 1, method).arrays["x"], explainer(inputs, 1, "saliency").arrays["x"]
    )
    state.append(1)
    np.testing.assert_array_equal(
        explainer(inputs, 1, method).arrays["x"], explainer(inputs, 1, ox.LRP("epsilon")).arrays["x"]
    )


class Signed(ox.Saliency):
    """A saliency that walks and combines as it is told meanwhile."""

    told: ClassVar[dict[str, Any]] = {}

    def rules(self) -> Any:
        return self.told.get("rules", super().rules())

    def combination(self) -> Any:
        return self.told.get("combination", "raw")


@pytest.mark.parametrize(
    ("told", "instead"),
    [
        ({"rules": ox.Deconvolution().rules()}, ox.Deconvolution()),
        ({"combination": "times_value"}, ox.InputXGradient()),
        ({"combination": "abs"}, ox.Saliency()),
    ],
)
def test_what_a_subclass_says_is_not_what_its_base_said_before(told, instead, model, models) -> None:
    assert ox.Saliency.steady
    assert not Signed.steady
    explainer, method = ox.Explainer(model), Signed()
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    plain = explainer(inputs, 1, ox.Saliency(abs=False)).arrays["x"]
    np.testing.assert_array_equal(explainer(inputs, 1, method).arrays["x"], plain)
    Signed.told.update(told)
    try:
        found = explainer(inputs, 1, method).arrays["x"]
    finally:
        Signed.told.clear()
    np.testing.assert_array_equal(found, explainer(inputs, 1, instead).arrays["x"])
    assert not np.array_equal(found, plain)


def test_methods_that_were_asked_travel(model, models) -> None:
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    for method in (ox.Saliency(), ox.LRP("epsilon"), ox.DeepLift(), ox.GuidedBackprop()):
        found = explainer(inputs, 1, method)
        for again in (pickle.loads(pickle.dumps(method)), copy.copy(method), copy.deepcopy(method)):
            assert again == method
            np.testing.assert_array_equal(explainer(inputs, 1, again).arrays["x"], found.arrays["x"])


def test_a_composite_has_its_hash_in_every_process() -> None:
    told = (
        "import pickle, sys; composite = pickle.loads(sys.stdin.buffer.read());"
        "from onnxplain.backward.composites.presets import preset;"
        "print(composite in {preset('epsilon')})"
    )
    composite = preset("epsilon")
    hash(composite)
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", told], input=pickle.dumps(composite), capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert ran.stdout.strip() == b"True"


def test_what_runs_showed_of_inner_values_outlives_what_is_remembered(model, models) -> None:
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    first = explainer(inputs, 1, "saliency", wrt="h")
    explainer._answering._batching._outputs.clear()
    again = explainer(inputs, 1, "saliency", wrt="h")
    np.testing.assert_array_equal(again.arrays["h"], first.arrays["h"])
    assert again.sample_axes == first.sample_axes


@pytest.mark.parametrize("other", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("prediction", [1.0, 5.0, np.nan, np.inf])
def test_scores_that_are_not_the_predictions_are_refused(prediction, other) -> None:
    for target in (np.zeros((1, 1), np.int64), np.array([[1.0, 0.0]])):
        given = np.array([5.0], np.float32), np.array([[prediction, other]], np.float32), target, "y"
        if prediction == 5 and (target.dtype.kind == "i" or np.isfinite(other)):
            confirm(*given)
        else:
            with pytest.raises(NotExplainableError, match="is not the prediction"):
                confirm(*given)


def test_inputs_are_checked_each_time(model, models) -> None:
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(2, 3, 4), "side": models.random(2, 4)}
    explainer(inputs, 1, "saliency")
    inputs["x"][1, 2, 3] = np.nan
    with pytest.raises(DataInputError, match="1 values that are NaN"):
        explainer(inputs, 1, "saliency")


def test_threads_with_different_requests_are_answered_each_their_own(model) -> None:
    draw = np.random.default_rng(7)
    requests = [r for r in (drawn(draw) for _ in range(24)) if "wrt" not in r[2]]  # iterators serve once
    fresh, shared = ox.Explainer(model), ox.Explainer(model)
    expected = [outcome(fresh, *request) for request in requests]
    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(lambda request: outcome(shared, *request), requests * 2)) == expected * 2
