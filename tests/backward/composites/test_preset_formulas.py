"""What comes out of the composites of relevance rules with a name, against NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from composite_tables import named
from relevance_formulas import EPSILON, close, mlp_by_hand, neg, pos, stab

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.stabilizer import Stabilizer
from onnxplain.errors import UnsupportedRuleError

if TYPE_CHECKING:
    from collections.abc import Callable

BOX = {"low": -4.0, "high": 4.0}


def test_simple_lrp_gamma(models) -> None:
    """W = 2 but for W00 = -2, V = 3: gamma 1 in the first layer, then gamma 0.25."""
    rules = ((Match(first=True), lrp.gamma(1.0)), (Match(last=True), lrp.gamma(0.25)), *preset("zero").rules)
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    found = ox.explain(models.lrp_layers(w00=-2.0), x, method=ox.LRP(Composite("two gammas", rules)))
    np.testing.assert_allclose(found.values, [[28 / 3, 104 / 3, 52]], rtol=1e-5)
    np.testing.assert_allclose(found.score, [96.0])


def residual(models) -> onnx.ModelProto:
    """The residual network without biases, and with scores of the other sign, which are mostly positive."""
    model = models.conv(bias=False)
    (last,) = [t for t in model.graph.initializer if t.name == "v"]
    last.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(last), "v"))
    return model


NETWORKS: dict[str, Callable[..., Any]] = {
    "residual": lambda models: (residual(models), (2, 8, 8), 4),
    "vgg": lambda models: (models.vgg(bias=False), (3, 8, 8), 4),
    "dense": lambda models: (models.mlp(bias=False), (5,), 3),
}


@pytest.fixture(params=NETWORKS)
def network(request, models) -> tuple[ox.Explainer, np.ndarray, int]:
    model, shape, classes = NETWORKS[request.param](models)
    return ox.Explainer(model), models.random(12, *shape, seed=4), classes


@pytest.mark.parametrize("options", [{}, BOX, {"winner_take_all": False}], ids=["free", "box", "shared"])
def test_deep_taylor_sums_to_positive_scores(options, network) -> None:
    explainer, x, classes = network
    found = [explainer(x, target=k, method=ox.LRP("deep_taylor", **options)) for k in range(classes)]
    scores = np.stack([f.score for f in found])
    sums = np.stack([f.values.reshape(len(x), -1).sum(1) for f in found])
    positive = scores > 0.05 * np.abs(scores).max()
    assert positive.sum() > 5
    np.testing.assert_allclose(sums[positive], scores[positive], rtol=1e-3)
    for f in found:
        assert (f.values[f.score > 0] >= 0).all()


def test_excitation_is_a_distribution(network) -> None:
    explainer, x, classes = network
    found = explainer(x, target=classes - 1, method="excitation_backprop").values
    assert (found >= 0).all()
    np.testing.assert_allclose(found.reshape(len(x), -1).sum(1), 1, rtol=1e-3)


def test_contrastive_excitation_sums_to_nothing(network) -> None:
    explainer, x, _ = network
    rules = preset("excitation_backprop", contrastive=True, stabilizer=1e-9)  # some sums are almost 0
    found = explainer(x, target=0, method=ox.LRP(rules)).values.reshape(len(x), -1)
    sizes = np.abs(found).sum(1)
    assert np.median(sizes) > 0.1
    assert (np.abs(found.sum(1)) < 1e-3 * sizes + 1e-4).all()


def test_contrastive_excitation_is_the_difference_of_two_walks(models) -> None:
    """From the last layer's positive weights, and from its negated negative ones."""
    w, v = models.random(5, 8, seed=1), models.random(8, 3, seed=2)
    x = models.random(4, 5, seed=3)
    h = pos(x @ w)

    def walk(last: np.ndarray) -> np.ndarray:
        R = h * last / (h * last).sum(1, keepdims=True)
        supporting = pos(x[:, :, None] * w)
        return (supporting * (R / stab(supporting.sum(1)))[:, None]).sum(2)

    expected = walk(pos(v[:, 1])) - walk(-neg(v[:, 1]))
    model = models.mlp(bias=False)
    close(ox.explain(model, x, 1, method=ox.ExcitationBackprop(contrastive=True)).values, expected)


@pytest.mark.parametrize("each", [True, False])
def test_bounds_per_channel(each, models) -> None:
    """z^B of a convolution with kernels of 1 pixel, in NumPy; numbers hold for all channels."""
    low, high = ([-3.0, -4.0], np.array([3.5, 4.5], np.float32)) if each else (-3.0, 3.5)
    w, v = models.random(3, 2, 1, 1, seed=1), models.random(12, 2, seed=2)
    model = models.make(
        """m (float[N, 2, 2, 2] x) => (float[N, 2] y) {
          c = Conv(x, w) r = Relu(c) f = Flatten(r) y = MatMul(f, v)
        }""",
        w=w, v=v,
    )  # fmt: skip
    x = models.random(3, 2, 2, 2, seed=3)
    W, X = w[:, :, 0, 0], x.reshape(3, 2, 4)
    c = pos(np.einsum("oi,nip->nop", W, X))
    R = c * v[:, 1].reshape(3, 4)
    least, most = (np.broadcast_to(np.asarray(b, float).reshape(-1, 1), (2, 1)) for b in (low, high))
    parts = np.einsum("oi,nip->noip", W, X) - (pos(W) * least[:, 0] + neg(W) * most[:, 0])[None, :, :, None]
    expected = (parts * (R / stab(parts.sum(2)))[:, :, None]).sum(1)
    method = ox.LRP("epsilon_gamma_box", low=low, high=high)
    hash(method)
    close(ox.explain(model, x, 1, method=method).values, expected.reshape(x.shape))


def test_bounds_that_do_not_fit_the_channels(models) -> None:
    method = ox.LRP("epsilon_gamma_box", low=(-1.0, -2.0, -3.0), high=1.0)
    with pytest.raises(
        UnsupportedRuleError, match=r"have 3 values, but .* Conv node 'c1' has 2 channels; give"
    ):
        ox.explain(named(models.conv()), models.random(1, 2, 8, 8), 0, method=method)


@pytest.mark.parametrize("zero_params", [(), ("bias",), ["bias"], "bias", np.array(["bias"])])
def test_zero_params_leave_the_bias_out(zero_params, models) -> None:
    x = models.random(6, 5, seed=1)
    w, b, v, c, _, h = mlp_by_hand(models, x)
    score = (h @ v + c)[:, 1:2]
    kept = float(len(zero_params) == 0)
    R = h * v[:, 1] * score / stab(h @ v[:, 1:2] + kept * c[1])
    expected = x * ((R / stab(x @ w + kept * b)) @ w.T)
    method = ox.LRP("epsilon", zero_params=zero_params, bias=None if len(zero_params) else "keep")
    found = ox.explain(models.mlp(), x, 1, method=method)
    close(found.values, expected, 1e-3)


def test_without_weights_nothing_is_left(models) -> None:
    x = models.random(2, 5)
    method = ox.LRP("epsilon", zero_params="weight", bias="keep")
    assert not ox.explain(models.mlp(), x, 1, method=method).values.any()


def shared_by_windows(x: np.ndarray, R: np.ndarray, size: int, step: int) -> np.ndarray:
    out = np.zeros_like(x)
    for i in range(R.shape[2]):
        for j in range(R.shape[3]):
            window = np.s_[:, :, i * step : i * step + size, j * step : j * step + size]
            part = pos(x[window])
            out[window] += part * (R[:, :, i, j] / (part.sum((2, 3)) + EPSILON))[:, :, None, None]
    return out


@pytest.mark.parametrize(("size", "step"), [(2, 2), (3, 1), (2, 1)])
@pytest.mark.parametrize("rectified", [True, False])
def test_max_pooling_shared_in_proportion(size, step, rectified, models) -> None:
    n = (6 - size) // step + 1
    v = models.random(2 * n * n, 3, seed=1)
    before = "Relu" if rectified else "Identity"
    model = models.make(
        f"""m (float[N, 2, 6, 6] x) => (float[N, 3] y) {{
          r = {before}(x) p = MaxPool<kernel_shape = [{size}, {size}], strides = [{step}, {step}]>(r)
          f = Flatten(p) y = MatMul(f, v)
        }}""",
        v=v,
    )  # fmt: skip
    x = models.random(4, 2, 6, 6, seed=2)
    r = (pos(x) if rectified else x).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(r, (size, size), axis=(2, 3))[:, :, ::step, ::step]
    R = windows.max((4, 5)) * v[:, 1].reshape(2, n, n)
    found = ox.explain(model, x, 1, method=ox.LRP("epsilon", winner_take_all=False)).values
    close(found, shared_by_windows(r, R, size, step), 1e-3)


def test_global_max_pooling_shared_in_proportion(models) -> None:
    x = models.random(4, 3, 4, 4, seed=2)
    model = models.make(
        "m (float[N, 3, 4, 4] x) => (float[N, 3, 1, 1] y) { r = Relu(x) y = GlobalMaxPool(r) }"
    )
    found = ox.explain(model, x, (1, 0, 0), method=ox.LRP("epsilon", winner_take_all=False)).values
    r = pos(x[:, 1])
    expected = np.zeros_like(x)
    expected[:, 1] = r * (r.max((1, 2)) / r.sum((1, 2)))[:, None, None]
    close(found, expected)


def function(op: Any, z: Any) -> Any:
    """A stabiliser of one's own: away from 0 by 2, never to the other side."""
    return op.Where(op.Less(z, 0.0), op.Sub(z, 2.0), op.Add(z, 2.0))


def clip(z: np.ndarray) -> np.ndarray:
    return np.where(z < 0, np.minimum(z, -0.5), np.maximum(z, 0.5))


def norm_scale(z: np.ndarray) -> np.ndarray:
    size = 0.5 * np.sqrt((z**2).mean(1, keepdims=True))
    return z + np.where(z < 0, -size, size)


def clipped_norm_scale(z: np.ndarray) -> np.ndarray:
    size = 0.5 * np.sqrt((z**2).mean(1, keepdims=True))
    return np.where(z < 0, np.minimum(z, -size), np.maximum(z, size))


STABILIZERS: dict[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]] = {
    "number": (0.5, lambda z: stab(z, 0.5)),
    "NumPy's number": (np.float32(0.5), lambda z: stab(z, 0.5)),
    "plain": (Stabilizer(0.5), lambda z: stab(z, 0.5)),
    "clip": (Stabilizer(0.5, clip=True), clip),
    "norm_scale": (Stabilizer(0.5, norm_scale=True), norm_scale),
    "both": (Stabilizer(0.5, clip=True, norm_scale=True), clipped_norm_scale),
    "function": (function, lambda z: stab(z, 2.0)),
}


@pytest.mark.parametrize("kind", STABILIZERS)
def test_stabilizers_of_epsilon(kind, models) -> None:
    chosen, by_hand = STABILIZERS[kind]
    x = models.random(6, 5, seed=1)
    w, _, v, c, a, h = mlp_by_hand(models, x)
    y = h @ v + c
    R = h * v[:, 1] * (y / by_hand(y))[:, 1:2]
    expected = x * ((R / by_hand(a)) @ w.T)
    found = ox.explain(models.mlp(), x, 1, method=ox.LRP("epsilon", epsilon=chosen, bias="keep")).values
    close(found, expected)


@pytest.mark.parametrize("kind", STABILIZERS)
def test_stabilizers_of_other_rules(kind, models) -> None:
    """Of z+, whose sums are known never to be negative in the last layer, and not in the first."""
    chosen, by_hand = STABILIZERS[kind]
    x = models.random(6, 5, seed=1)
    w, b, v, c, _, h = mlp_by_hand(models, x)
    y = h @ v + c
    R = h * pos(v[:, 1]) * (y / by_hand(h @ pos(v) + pos(c)))[:, 1:2]
    z = pos(x) @ pos(w) + neg(x) @ neg(w) + pos(b)
    r = R / by_hand(z)
    expected = pos(x) * (r @ pos(w).T) + neg(x) * (r @ neg(w).T)
    close(
        ox.explain(models.mlp(), x, 1, method=ox.LRP("zplus", stabilizer=chosen, bias="keep")).values,
        expected,
    )
