"""What the checks of random graphs let pass for a rounding error, and what they do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from fuzzing import checks
from fuzzing.drawing import Drawn


def drawn(models, slope: float) -> Drawn:
    """A norm of cosines near 1, summed up by weights near 1: parts of its gradient nearly cancel."""
    model = models.make(
        """m (float[N, 6] x0) => (float[N, 1] y)
        { a = Mul(x0, s) c = Cos(a) n = MeanVarianceNormalization<axes = [1]>(c) y = MatMul(n, w) }""",
        s=slope, w=1 + 0.01 * models.random(6, 1),
    )  # fmt: skip
    feeds = {"x0": models.random(3, 6, seed=4)}
    return Drawn(model, ("Cos",), None, feeds, feeds, (), 0)


def test_noise_of_what_nearly_cancels_is_let_pass(models, monkeypatch) -> None:
    graph = drawn(models, 0.3)
    monkeypatch.setattr(checks, "SINGLE", 1e-6)
    checks.gradients(graph)
    monkeypatch.setattr(checks, "SPREAD", 0)
    with pytest.raises(AssertionError, match="float32"):
        checks.gradients(graph)


@pytest.mark.parametrize(("slope", "error"), [(3.0, 0.002), (0.3, 0.04)])
def test_a_wrong_gradient_is_not(models, monkeypatch, slope: float, error: float) -> None:
    explain = checks.Subject.explain

    def wrong(self: checks.Subject, *args: Any) -> Any:
        arrays = explain(self, *args).arrays
        most = max(np.abs(arrays["x0"]).max(), 1e-2)
        return SimpleNamespace(arrays={"x0": arrays["x0"] + error * most})

    graph = drawn(models, slope)
    checks.gradients(graph)
    monkeypatch.setattr(checks.Subject, "explain", wrong)
    with pytest.raises(AssertionError, match="float32"):
        checks.gradients(graph)


def test_noise_of_sums_in_which_a_value_meets_itself_is_let_pass(models, monkeypatch) -> None:
    """Relevance at x - x is a million times what arrives, with either sign."""
    turn = np.linalg.qr(models.random(24, 24))[0].astype(np.float32)
    model = models.make(
        """m (float[N, 24] x0) => (float[N, 1] y)
        { a = MatMul(x0, q) b = MatMul(a, back) d = Sub(x0, b) g = Sigmoid(d) y = MatMul(g, w) }""",
        q=turn, back=turn.T, w=models.random(24, 1, seed=1),
    )  # fmt: skip
    feeds = {"x0": models.random(3, 24, seed=2)}
    graph = Drawn(model, ("Sub",), None, feeds, feeds, (), 0)
    checks.sums(graph, "epsilon")
    monkeypatch.setattr(checks, "missing_in_double", lambda *_: 0.1)
    with pytest.raises(AssertionError, match="nowhere"):
        checks.sums(graph, "epsilon")
