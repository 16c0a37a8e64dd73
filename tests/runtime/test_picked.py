"""Scores of many rows are picked in the least time, with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward.asks import Combine, Scores, Walk
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.runtime import driver
from onnxplain.runtime.driver import Rows

ROWS = 700
MANY: tuple[ox.Method, ...] = (
    ox.KernelShap(n_samples=24),
    ox.FeatureAblation(),
    ox.IntegratedGradients(n_steps=4),
    ox.ShapleyValueSampling(n_samples=12),
)


def kinds(explainer: ox.Explainer) -> set[str]:
    """Return how the programs that were made pick scores."""
    return {key.target for key in explainer._programs._compiled._entries if isinstance(key, Question)}


def told(case: str) -> tuple[Any, set[str]]:
    """Return targets of many rows, and how they are picked among others."""
    mixed = (np.arange(ROWS) % 3).tolist()
    return {
        "one": (1, {"shared"}),
        "last": (-1, {"shared"}),
        "mixed": (mixed, {"given"}),
        "all but one": ([*mixed[:1], *[2] * (ROWS - 1)], {"given"}),
        "predicted": ("predicted", set()),
    }[case]


@pytest.mark.parametrize("case", ["one", "last", "mixed", "all but one", "predicted"])
@pytest.mark.parametrize("name", ["mlp", "soft"])
@pytest.mark.parametrize("method", MANY, ids=lambda m: m.name)
def test_scores_have_the_same_bits_however_they_are_picked(method, name, case, models, monkeypatch) -> None:
    model, x = models.mlp(softmax=name == "soft"), models.random(ROWS, 5)
    target, picked = told(case)
    explainer = ox.Explainer(model)
    found = explainer(x, target, method)
    with monkeypatch.context() as patched:
        patched.setattr(driver, "_PICKED", 10**9)
        plain = ox.Explainer(model)
        expected = plain(x, target, method)
    assert kinds(plain) == {"predicted"}
    if isinstance(method.needs(), Scores) and case != "predicted":
        assert kinds(explainer) >= picked
    for name_, values in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name_], values)
    for of in ("target", "score", "predictions"):
        np.testing.assert_array_equal(getattr(found, of), getattr(expected, of))


@pytest.mark.parametrize("batch", ["N", "1", "700"])
def test_fixed_batches_are_picked_from_as_others(batch, models) -> None:
    x, method = models.random(ROWS, 5), ox.FeatureAblation()
    found = ox.explain(models.mlp(batch=batch), x, 2, method)
    some = ox.explain(models.mlp(), x[:9], 2, method)
    np.testing.assert_allclose(found.values[:9], some.values, rtol=1e-5, atol=1e-6)


def test_a_row_whose_target_is_to_be_predicted_is_not_picked_by_what_stands_there(models) -> None:
    x = models.random(ROWS, 5)
    explainer = ox.Explainer(models.mlp())
    problem = explainer.pose(x, 1, ox.FeatureAblation(), settled=False).problem
    outputs = explainer.predict(x)["y"]
    target = np.ones((ROWS, 1), np.int64)
    target[[3, 600]] = -1
    rows = Rows(problem.features, problem.rows, target, problem.baselines)
    expected = np.where(target[:, 0] < 0, outputs.max(1), outputs[:, 1])
    np.testing.assert_array_equal(problem.driver.ask(Scores(), rows).score, expected)
    assert kinds(explainer) == {"predicted"}


def test_maps_and_other_axes_are_picked_from_as_before(models) -> None:
    rows = models.random(ROWS, 3)
    swapped = models.make(
        "m (float[N, 3] x) => (float[4, N] y) { z = MatMul(x, w) y = Transpose<perm=[1, 0]>(z) }",
        w=models.random(3, 4, seed=1),
    )
    explainer = ox.Explainer(swapped)
    found = explainer(rows, 1, "feature_ablation")
    np.testing.assert_allclose(found.values, rows * models.random(3, 4, seed=1)[:, 1], rtol=1e-4, atol=1e-5)
    assert kinds(explainer) == {"predicted"}


@pytest.mark.parametrize("kind", ["shared", "given"])
@pytest.mark.parametrize(
    ("composite", "combine"), [("gradient", "raw"), ("gradient", "times_value"), ("epsilon", "raw")]
)
def test_walks_from_picked_scores_are_walks(composite: str, combine: Combine, kind, models) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(4, 5)
    ask = Walk(preset(composite), combine)
    made = {}
    for name, target in (("index", [2] * 4), (kind, [2] if kind == "shared" else [2] * 4)):
        program = build(explainer.normal, Question("y", ("x",), ask, target=name))
        session = ort.InferenceSession(ir.to_proto(program.model).SerializeToString())
        outputs = [*program.attributions, program.score]
        made[name] = session.run(outputs, {"x": x, program.target: np.array(target, np.int64)})
    for one, other in zip(made["index"], made[kind], strict=True):
        np.testing.assert_array_equal(one, other)
