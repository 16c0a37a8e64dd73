"""Shapley values beside Captum's and shap's: exact ones to rounding, sampled ones within standard errors.

Whose conventions differ:

* Captum's ``KernelShap`` draws coalitions with replacement and gives the empty and the full one a large,
  finite weight, so that its values sum only nearly; the mean of its draws is compared, within their spread.
* shap's ``PermutationExplainer`` and ``PartitionExplainer`` link the scores of rows before they average over
  the background, linearised; we link the mean, as its ``KernelExplainer`` does.  Compared without a link.
* shap's ``PartitionExplainer`` stops where its budget ends and shares out evenly below; compared where it
  does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

PLAYERS = 6


@pytest.fixture(scope="module")
def shap() -> Any:
    """The module shap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("shap", reason="needs shap: pip install 'onnxplain[conformance]'")


@pytest.fixture(scope="module")
def explainer(models: Any) -> ox.Explainer:
    """A network whose score is not additive."""
    model = models.make(
        """m (float[N, 6] x) => (float[N, 2] y) {
          a = MatMul(x, w) h = Relu(a) b = MatMul(h, v) y = Softmax<axis = 1>(b)
        }""",
        w=models.random(6, 8), v=models.random(8, 2, seed=1),
    )  # fmt: skip
    return ox.Explainer(model)


@pytest.fixture(scope="module")
def score(explainer: ox.Explainer) -> Callable[[Any], np.ndarray]:
    """The probability that is explained, of rows."""
    return lambda z: explainer.predict({"x": np.asarray(z, np.float32)})["y"][:, 1].astype(np.float64)


@pytest.fixture(scope="module")
def rows(models: Any) -> tuple[np.ndarray, np.ndarray]:
    """What is explained, and the background."""
    return models.random(3, PLAYERS, seed=2), models.random(5, PLAYERS, seed=3)


def ours(explainer: ox.Explainer, rows: Any, name: str, **options: Any) -> ox.Attribution:
    return explainer(rows[0], 1, ox.method(name, **options), baselines=rows[1], through_softmax=True)


def test_exact_explainer(shap, explainer, score, rows) -> None:
    peer = shap.explainers.Exact(score, shap.maskers.Independent(rows[1]))
    values = peer(rows[0], interactions=False).values
    for name in ("exact_shapley", "kernel_shap", "shapley_interactions"):
        np.testing.assert_allclose(ours(explainer, rows, name).values, values, atol=1e-6)
    pairs = ours(explainer, rows, "shapley_interactions", index="stii").extras["interactions"]
    np.testing.assert_allclose(pairs, peer(rows[0], interactions=2).values, atol=1e-6)


@pytest.mark.parametrize("link", ["identity", "logit"])
def test_kernel_explainer(link, shap, explainer, score, rows) -> None:
    """All coalitions, and links of the mean score."""
    peer = shap.KernelExplainer(score, rows[1], link=link)
    values = peer.shap_values(rows[0], nsamples=2**PLAYERS, silent=True, l1_reg=False)
    found = ours(explainer, rows, "kernel_shap", link=link)
    np.testing.assert_allclose(found.values, values, atol=2e-5)


def test_permutation_explainer(shap, explainer, score, rows) -> None:
    """Both are drawn: their differences are within our standard error, and theirs, which is as large."""
    found = ours(explainer, rows, "permutation_shapley", npermutations=40)
    peer = shap.PermutationExplainer(score, shap.maskers.Independent(rows[1]), seed=0)
    values = peer(rows[0], max_evals=40 * (2 * PLAYERS + 1), silent=True).values
    error = found.extras["standard_error"]["x"]
    assert (np.abs(found.values - values) < 4 * np.sqrt(2) * error + 1e-6).all()
    np.testing.assert_allclose(found.values.sum(1), values.sum(1), atol=1e-6)


def test_partition_explainer(shap, explainer, score, rows) -> None:
    """The same hierarchy, given as a linkage."""
    linkage = shap.utils.hclust(rows[1], metric="correlation")
    masker = shap.maskers.Partition(rows[1], clustering=linkage)
    peer = shap.PartitionExplainer(score, masker)
    values = peer(rows[0], max_evals=5000, silent=True).values
    tree = tuple(map(tuple, linkage.tolist()))
    found = ours(explainer, rows, "partition_shap", hierarchy=tree)
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    assert not found.extras["standard_error"]["x"].any()


@pytest.fixture(scope="module")
def against_one(explainer, score, rows) -> tuple[Any, Any, Any]:
    """One row against one baseline: our exact values, and what Captum calls."""
    torch = pytest.importorskip("torch")
    x, start = rows[0][:1], rows[1][:1]
    exact = explainer(x, 1, "exact_shapley", baselines=start, through_softmax=True).values[0]
    return exact, lambda z: torch.from_numpy(score(z.detach().numpy())), (x, start)


@pytest.mark.parametrize("name", ["ShapleyValueSampling", "ShapleyValues", "KernelShap"])
def test_captum(name, explainer, against_one) -> None:
    torch, attr = pytest.importorskip("torch"), pytest.importorskip("captum.attr")
    exact, forward, (x, start) = against_one
    made = getattr(attr, name)(forward)
    tensors = {"inputs": torch.from_numpy(x), "baselines": torch.from_numpy(start)}
    if name == "ShapleyValues":
        np.testing.assert_allclose(made.attribute(**tensors).numpy()[0], exact, atol=1e-5)
        return
    samples = {"ShapleyValueSampling": 50, "KernelShap": 400}[name]
    draws = []
    for seed in range(10):
        torch.manual_seed(seed)
        draws.append(made.attribute(**tensors, n_samples=samples).numpy()[0])
    spread = np.std(draws, 0, ddof=1)
    assert (np.abs(np.mean(draws, 0) - exact) < 4.5 * spread / np.sqrt(10) + 1e-3).all()
    ours = ox.method("shapley_value_sampling" if name != "KernelShap" else "kernel_shap", n_samples=samples)
    found = explainer(x, 1, ours, baselines=start, through_softmax=True)
    error = found.extras["standard_error"]["x"][0]
    assert (np.abs(found.values[0] - exact) < 4 * error + 1e-5).all()
    if name != "KernelShap":
        assert 0.5 < np.linalg.norm(error) / np.linalg.norm(spread) < 2, "the same method, the same error"
