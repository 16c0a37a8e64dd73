"""Models and samples at which methods keep axioms or break them, and how far they are from keeping them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import attention_models
import detector_models
import numpy as np
import onnx
import tree_models
from kinds import PARTICULAR, facts, made

import onnxplain as ox
from onnxplain import metrics

#: The axioms, and what each asks.
AXIOMS = {
    "completeness": "the attributions sum to the score's difference from that at the baseline, 0",
    "sensitivity": "a feature that alone makes the score another than at the baseline gets something",
    "dummy": "what the model does not use gets nothing",
    "implementation invariance": "two models that compute the same are explained the same",
    "linearity": "`a f + b g` gets `a` times what f gets plus `b` times what g gets",
    "symmetry": "features that the model treats alike, and that have the same value, get the same",
    "input invariance": "a shift of the inputs that the model takes off again changes nothing",
}

#: How far off a method is: the largest value of a metric over samples.
Witness = Callable[[str, ox.Method], float]

#: Methods that look at cells of a grid over the input, which hold several elements of a long one.
COARSE = ("rise", "sobol_indices", "hsic_indices")

#: What is told besides, so that what methods compare with is what the axioms do.
TOLD: dict[str, dict[str, Any]] = {
    "tree_shap": {"baselines": {"x": 0.0}},
    "linear_shap": {"baselines": {"x": 0.0}},
}


#: Parameters by which draws are no complete designs, which would be exact here alone.
FEW: dict[str, dict[str, Any]] = {"hsic_indices": {"n_samples": 64}}


class Witnesses:
    """The models, made once; ``models`` is the zoo of all tests."""

    def __init__(self, models: Any) -> None:
        self.models = models

    def off(self, name: str, axiom: str, **parameters: Any) -> float:
        """Return how far a method is from keeping an axiom, at the worst of its witnesses."""
        method = made(name, **{**FEW.get(name, {}), **parameters})
        return max(witness(name, method) for witness in self._witnesses(name, axiom))

    def gives(self, name: str) -> bool:
        """Tell whether a method gives something at all at its first witness."""
        explainer, x, target = self._world(name)
        found = explainer(x, target, made(name), **TOLD.get(name, {}))
        return all(v.any() for v in found.arrays.values())

    def _world(self, name: str) -> tuple[ox.Explainer, Any, Any]:
        only = PARTICULAR.get(name, "")
        world: tuple[ox.Explainer, Any, Any] = getattr(
            self, "images" if only and facts(name).on_images else only or "layers"
        )
        return world

    def _witnesses(self, name: str, axiom: str) -> list[Witness]:
        found = [self._by(axiom, *self._world(name))]
        if facts(name).on_images and axiom in ("sensitivity", "dummy"):
            found.append(self._by(axiom, *self.residual))
        if name == "meaningful_perturbation" and axiom == "dummy":  # its masks are smooth in space
            found.append(self._by(axiom, *self.images))
        if name in PARTICULAR:
            return found
        if axiom in ("completeness", "sensitivity"):
            found += [self._by(axiom, *self.saturated), self._by(axiom, *self.product)]
        elif axiom == "implementation invariance":
            found.append(self._pair)
        elif axiom == "symmetry":
            found.append(self._alike)
        return found

    def _by(self, axiom: str, explainer: ox.Explainer, x: Any, target: Any) -> Witness:
        def off(name: str, method: ox.Method) -> float:
            metric = {
                "completeness": metrics.Completeness(),
                "sensitivity": metrics.SensitivityAxiom(n_features=6),
                "dummy": metrics.Dummy(width=11 if name in COARSE else 5 if x.ndim == 2 else 1),
                "implementation invariance": metrics.ImplementationInvariance(),
                "linearity": metrics.Linearity(),
                "symmetry": metrics.Symmetry(),
                "input invariance": metrics.InputInvariance(),
            }[axiom]
            found = metric(explainer, x, target, method, explain_options=TOLD.get(name)).values
            return float(np.nanmax(found)) if not np.isnan(found).all() else float("nan")

        return off

    @cached_property
    def layers(self) -> tuple[ox.Explainer, Any, Any]:
        """Two hidden layers of ReLUs, (N, 5) to (N, 3)."""
        random = self.models.random
        model = self.models.make(
            """m (float[N, 5] x) => (float[N, 3] y) {
              a = Gemm(x, w, b) h = Relu(a) c = Gemm(h, u, d) k = Relu(c) y = Gemm(k, v, e)
            }""",
            w=random(5, 6, seed=1), u=random(6, 6, seed=2), v=random(6, 3, seed=3),
            b=random(6, seed=4), d=random(6, seed=5), e=random(3, seed=6),
        )  # fmt: skip
        return ox.Explainer(model), random(3, 5, seed=7), 1

    @cached_property
    def saturated(self) -> tuple[ox.Explainer, Any, Any]:
        """``sum_i w_i (1 - relu(1 - x_i))`` of two inputs, flat above 1."""
        model = self.models.make(
            """m (float[N, 2] x) => (float[N, 2] y) {
              a = Sub(one, x) r = Relu(a) c = Sub(one, r) y = MatMul(c, w)
            }""",
            one=1.0, w=[[1.0, 2.0], [0.5, -1.0]],
        )  # fmt: skip
        return ox.Explainer(model), np.array([[3.0, 2.0], [2.0, 0.5]], np.float32), 1

    @cached_property
    def product(self) -> tuple[ox.Explainer, Any, Any]:
        """``x1 x2 + relu(x3) x4``."""
        model = self.models.make(
            """m (float[N, 4] x) => (float[N, 2] y) {
              a, b, c, d = Split<axis = 1, num_outputs = 4>(x)
              p = Mul(a, b) r = Relu(c) q = Mul(r, d) j = Concat<axis = 1>(p, q) y = MatMul(j, w)
            }""",
            w=[[1.0, 1.0], [2.0, 1.0]],
        )  # fmt: skip
        return ox.Explainer(model), np.array([[1.0, 2.0, 3.0, 4.0], [2, -1, 1, 0.5]], np.float32), 1

    @cached_property
    def images(self) -> tuple[ox.Explainer, Any, Any]:
        """Two convolutions, (N, 2, 8, 8) to (N, 3), all classes for all channels: every map has something."""
        random = self.models.random
        model = self.models.make(
            """m (float[N, 2, 8, 8] x) => (float[N, 3] y) {
              c1 = Conv<pads = [1, 1, 1, 1]>(x, w1, b1) r1 = Relu(c1)
              p1 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
              c2 = Conv<pads = [1, 1, 1, 1]>(p1, w2, b2) r2 = Relu(c2)
              g = GlobalAveragePool(r2) f = Flatten(g) y = Gemm(f, v, e)
            }""",
            w1=random(4, 2, 3, 3, seed=1), b1=random(4, seed=2),
            w2=random(6, 4, 3, 3, seed=3, scale=0.3), b2=random(6, seed=4),
            v=np.abs(random(6, 3, seed=5)), e=random(3, seed=6),
        )  # fmt: skip
        return ox.Explainer(model), random(2, 2, 8, 8, seed=11), 1

    @cached_property
    def residual(self) -> tuple[ox.Explainer, Any, Any]:
        """Convolutions with a residual branch, (N, 2, 8, 8) to (N, 4), some channels against the class."""
        return ox.Explainer(self.models.conv()), self.models.random(2, 2, 8, 8, seed=8), 1

    @cached_property
    def trees(self) -> tuple[ox.Explainer, Any, Any]:
        """Three trees of four columns, the last of which none asks about."""
        rng = np.random.default_rng(0)
        attrs = tree_models.classic(
            rng, tree_models.REGRESSOR, columns=3, modes=("BRANCH_LEQ",), covers=True
        )  # fmt: skip
        model = tree_models.model_of(tree_models.REGRESSOR, attrs, 4)
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1]))
        x = np.array([[1.0, 2.0, 3.0, 0.5], [2.0, 1.0, 0.4, 3.0]], np.float32)
        return ox.Explainer(model), x, None

    @cached_property
    def linear(self) -> tuple[ox.Explainer, Any, Any]:
        """One layer, (N, 6) to (N, 3)."""
        random = self.models.random
        explainer = ox.Explainer(self.models.linear(random(3, 6), bias=[1.0, 2.0, 3.0]))
        return explainer, random(2, 6, seed=1), 1

    @cached_property
    def attention(self) -> tuple[ox.Explainer, Any, Any]:
        """A transformer of two layers, (N, 5, 8) to (N, 3)."""
        return ox.Explainer(attention_models.encoder(self.models)), self.models.random(2, 5, 8, seed=3), 1

    @cached_property
    def detection(self) -> tuple[ox.Explainer, Any, Any]:
        """Four boxes of three classes, (N, 6)."""
        explainer = ox.Explainer(detector_models.detector(self.models))
        box = ox.Detection(detector_models.WANTED, 1)
        return explainer, self.models.random(2, 6, seed=4), box

    @cached_property
    def pair(self) -> tuple[ox.Explainer, ox.Explainer, Any]:
        """The pair of Sundararajan et al.: equal functions, whose forms DeepLIFT and LRP tell apart."""
        end = "m (float[N, 2] x) => (float[N, 1] y)"
        weights = {"w": [[1.0], [-1.0]], "shift": [1.0, 0.0], "one": 1.0}
        first = f"{end} {{ r = Relu(x) d = MatMul(r, w) e = Sub(d, one) y = Relu(e) }}"
        second = f"{end} {{ s = Sub(x, shift) r = Relu(s) e = MatMul(r, w) y = Relu(e) }}"
        x = np.array([[3.0, 1.0], [2.5, 0.5]], np.float32)
        one, two = (ox.Explainer(self.models.make(g, **weights)) for g in (first, second))
        np.testing.assert_allclose(one.predict(x)["y"], two.predict(x)["y"])
        return one, two, x

    def _pair(self, name: str, method: ox.Method) -> float:
        one, two, x = self.pair
        a, b = (e(x, None, method).values for e in (one, two))
        return _relative(a, b)

    @cached_property
    def sums(self) -> tuple[ox.Explainer, Any]:
        """``relu(x1 + x2 + x3 - 1) + x1 x2 x3 + x4``, where the first three are equal."""
        model = self.models.make(
            """m (float[N, 4] x) => (float[N, 1] y) {
              a = MatMul(x, w) b = Sub(a, one) r = Relu(b)
              c, d, e, g = Split<axis = 1, num_outputs = 4>(x)
              f = Mul(c, d) p = Mul(f, e) s = Add(r, p) y = Add(s, g)
            }""",
            w=[[1.0], [1], [1], [0]], one=1.0,
        )  # fmt: skip
        return ox.Explainer(model), np.array([[1.0, 1, 1, 3], [2, 2, 2, -1]], np.float32)

    def _alike(self, name: str, method: ox.Method) -> float:
        explainer, x = self.sums
        found = explainer(x, None, method).values[:, :3]
        return _relative(found, np.roll(found, 1, axis=1))


def _relative(a: Any, b: Any) -> float:
    """Return the largest difference of a row over the larger magnitude."""
    top = np.maximum(np.abs(a).max(1), np.abs(b).max(1))
    return float((np.abs(a - b).max(1) / np.where(top > 0, top, 1)).max())
