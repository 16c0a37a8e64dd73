"""Requests are answered together only where each gets what it would get alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import OnnxplainError, TargetError
from onnxplain.methods import METHODS
from onnxplain.serve.asked import Answer, Asked
from onnxplain.serve.company import Company, Trial
from onnxplain.serve.explaining import Explaining, Way
from onnxplain.serve.predicting import Predicting
from onnxplain.serve.together import answer_together

ALONE = {"feature_permutation"}
#: These need more than a target, or seconds.
NEEDS_MORE = {"auto", "d_rise", "layer_activation", "xrai"}
OF_IMAGES = {m for m in METHODS if "cam" in m} | {"blur_ig", "visual_backprop"}
#: Solves least squares whose rounding shows in company: seen by running, and answered alone.
ROUNDS = {"lime"}


def explaining(model: Any, *methods: Any) -> Explaining:
    return Explaining("m", ox.Explainer(model), [Way.of(m) for m in methods])


def asked(x: np.ndarray, served: Any, **fields: Any) -> Asked:
    return served.prepare(Asked({"x": x}, **fields))


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ALONE | NEEDS_MORE])
def test_every_method_gives_in_company_what_it_gives_alone(models: Any, method: str) -> None:
    images = method in OF_IMAGES
    served = explaining(models.conv() if images else models.mlp(), method)
    x = models.random(4, 2, 8, 8) if images else models.random(4, 5)
    x[1] = 0  # as its baseline
    x[2, ..., 2:] = 0
    try:
        requests = [asked(x[k : k + 1], served, target=k % 3) for k in range(4)]
        alone = [served.answer(r) for r in requests]
    except OnnxplainError as error:
        pytest.skip(f"not of this model: {error}")
    assert len({r.company.key for r in requests if r.company}) == 1
    for _ in range(2):  # both ways, and then together alone
        found = answer_together(served, requests)
        if found is None:
            assert method in ROUNDS
            return
        for one, other in zip(found, alone, strict=True):
            assert one.outputs.keys() == other.outputs.keys()
            for name, array in one.outputs.items():
                wanted = other.outputs[name]
                assert array.shape == wanted.shape
                scale = max(np.abs(v).max() for v in (wanted, other.outputs["y"]))
                np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5 * scale)
    assert requests[0].company is not None
    assert requests[0].company.trial.passed or method in ROUNDS


@pytest.mark.parametrize("method", ["feature_permutation", ("integrated_gradients", {"tol": 0.01}), "auto"])
def test_methods_that_look_at_all_samples_or_stop_by_them_are_answered_alone(
    models: Any, method: Any
) -> None:
    served = explaining(models.mlp(), method)
    assert asked(models.random(2, 5), served).company is None


def test_methods_inside_others_count(models: Any) -> None:
    inside = ox.SmoothGrad(ox.IntegratedGradients(tol=0.01), n_samples=2)
    assert asked(models.random(2, 5), explaining(models.mlp(), inside)).company is None


def test_a_fixed_batch_is_answered_alone(models: Any) -> None:
    model = models.mlp(batch="1")
    assert asked(models.random(1, 5), explaining(model, "lrp")).company is None
    assert asked(models.random(1, 5), Predicting("m", ox.Explainer(model))).company is None


def test_rows_that_touch_one_another_are_answered_alone(models: Any) -> None:
    graph = """m (float[N, 4] x) => (float[N, 4] y) {
      zero = Constant<value_ints = [0]>() mean = ReduceMean(x, zero) y = Sub(x, mean)
    }"""
    served = explaining(models.make(graph), "saliency")
    assert asked(models.random(2, 4), served, target=[(0, 1)]).company is None
    with pytest.raises(TargetError, match="2 targets for 1 samples"):
        asked(models.random(2, 4), served, target=[0, 1])


def test_targets_of_different_kinds_do_not_meet(models: Any) -> None:
    served = explaining(models.mlp(), "lrp", "saliency")
    x = models.random(1, 5)
    kinds = [{}, {"target": 1}, {"method": "saliency"}, {"target": [1]}, {"target": "predicted"}]
    keys = [asked(x, served, **kind).company.key for kind in kinds]
    assert keys[0] == keys[4]
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3


class Counting:
    """Tells each sample how many there are: wrong in company."""

    name, explains, inputs, outputs = "m", False, (), ()

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def prepare(self, asked: Asked) -> Asked:
        return asked

    def answer(self, asked: Asked) -> Answer:
        n = len(asked.arrays["x"])
        self.sizes.append(n)
        return Answer({"y": np.full((n, 1), float(n))}, {"y": 0})


def test_what_differs_in_company_is_seen_by_running_and_never_joined_again() -> None:
    served, company = Counting(), Company("k", {"x": 0}, 1, Trial())
    requests = [Asked({"x": np.zeros((1, 2))}, company=company) for _ in range(3)]
    found = answer_together(served, requests)
    assert found is not None
    assert [a.outputs["y"].item() for a in found] == [1.0, 1.0, 1.0]
    assert served.sizes == [3, 1, 1, 1]
    assert answer_together(served, requests) is None
    assert served.sizes == [3, 1, 1, 1]


def test_outputs_of_all_samples_are_not_cut() -> None:
    class Whole(Counting):
        def answer(self, asked: Asked) -> Answer:
            return replace(super().answer(asked), axes={"y": None})

    company = Company("k", {"x": 0}, 1, Trial())
    assert answer_together(Whole(), [Asked({"x": np.zeros((1, 2))}, company=company)] * 2) is None
