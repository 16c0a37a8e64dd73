"""What a result can be held to, and what it says when it fails."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.checks import Completeness, Conservation, StandardError, Unchecked
from onnxplain.errors import CheckFailedError, OptionError


@pytest.fixture
def explained(models):
    explainer, x = ox.Explainer(models.mlp()), models.random(4, 5)
    return lambda method: explainer(x, target=1, method=method)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (ox.IntegratedGradients(), Completeness),
        (ox.IntegratedGradients(multiply_by_inputs=False), Unchecked),
        (ox.DeepLift(), Completeness),
        (ox.LRP(), Conservation),
        (ox.SmoothGrad(ox.LRP()), StandardError),
        (ox.Saliency(), Unchecked),
        (ox.ExcitationBackprop(), Unchecked),
    ],
    ids=str,
)
def test_each_method_has_its_check(method, kind, explained) -> None:
    found = explained(method)
    assert type(found.check) is kind
    assert found.method is method
    if kind in (Completeness, Conservation):
        np.testing.assert_allclose(found.values.sum(1) - found.reference, found.delta, atol=1e-5)
        assert found.reference is found.check.reference
        assert found.delta is found.check.delta
        np.testing.assert_array_equal(found.relative_delta, np.abs(found.delta) / np.abs(found.reference))
        if kind is Conservation:
            np.testing.assert_array_equal(found.reference, found.score)
    else:
        assert found.reference is found.delta is found.relative_delta is None
    if isinstance(found.check, StandardError):
        assert found.check.errors is found.extras["standard_error"]
        np.testing.assert_allclose(found.check.norms, np.linalg.norm(found.values, axis=1), rtol=1e-6)


def test_verify_gives_the_result(explained) -> None:
    for method in (ox.DeepLift(), ox.LRP()):
        found = explained(method)
        assert found.verify(rtol=1e-3) is found
    noisy = explained(ox.SmoothGrad(ox.LRP(), n_samples=64, noise_level=0.01))
    assert noisy.verify(rtol=0.5) is noisy


def test_few_steps_fail_with_the_way_out(explained) -> None:
    found = explained(ox.IntegratedGradients(n_steps=2))
    worst = int(np.argmax(found.relative_delta))
    assert found.relative_delta[worst] > 0.05
    words = (
        rf"sample {worst} sum to .* score less that of the baseline, {found.reference[worst]:.6g}: .*n_steps"
    )
    with pytest.raises(CheckFailedError, match=words):
        found.verify()
    assert found.verify(rtol=2 * found.relative_delta[worst]) is found
    assert found.verify(rtol=0, atol=np.abs(found.delta).max()) is found


def test_biases_that_keep_relevance_fail_with_the_way_out(explained) -> None:
    with pytest.raises(CheckFailedError, match=r"must sum to the score, .*bias=\"scale\".*account=True"):
        explained(ox.LRP("epsilon", bias="keep")).verify()


def test_too_few_samples_fail_with_the_way_out(explained) -> None:
    found = explained(ox.SmoothGrad(n_samples=4, noise_level=0.5))
    worst = int(np.argmax(found.check.relative_error))
    with pytest.raises(CheckFailedError, match=rf"sample {worst} have a norm of .*raise n_samples"):
        found.verify(rtol=0.01)
    assert found.verify(rtol=1.01 * found.check.relative_error[worst]) is found
    with pytest.raises(CheckFailedError, match=r"a norm of .* nan"):
        explained(ox.SmoothGrad(n_samples=1)).verify(rtol=1e9)


def test_what_promises_nothing_cannot_be_verified(explained) -> None:
    with pytest.raises(CheckFailedError, match="nothing that could be verified; integrated_gradients"):
        explained("saliency").verify()


@pytest.mark.parametrize("kind", [Completeness, Conservation])
def test_numbers(kind) -> None:
    check = kind(np.array([1.0, -10.0, 0.0]), np.array([0.05, 1.0, 0.0]))
    np.testing.assert_array_equal(check.relative_delta, [0.05, 0.1, 0.0])
    check.verify(0.1)
    check.verify(0.0, atol=1.0)
    with pytest.raises(CheckFailedError, match=r"sample 1 sum to -9, .*, -10: off by 1, .* allows 0\.6;"):
        check.verify(0.06)
    with pytest.raises(CheckFailedError, match=r"sample 2 .* off by nan"):
        kind(np.ones(3), np.array([0.5, 0.1, np.nan])).verify(0.01)
    with pytest.raises(CheckFailedError, match=r"sample 0 .* 0: off by 1e-06, .* allows 0;"):
        kind(np.zeros(1), np.full(1, 1e-6)).verify(0.5)
    kind(np.zeros(0), np.zeros(0)).verify(0.0)


@pytest.mark.parametrize("options", [{"rtol": -1}, {"rtol": "much"}, {"atol": float("nan")}, {"rtol": True}])
def test_tolerances_are_checked(options, explained) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(options))} is"):
        explained("lrp").verify(**options)
