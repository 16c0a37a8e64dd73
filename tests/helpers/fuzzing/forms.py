"""What must hold between the forms of a walk back, one function each; they raise AssertionError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import OnnxplainError
from onnxplain.runtime import improving

if TYPE_CHECKING:
    from .drawing import Drawn

__all__ = ["METHODS", "Forms", "adopted", "alone", "changing", "differ", "portable", "targets", "threads"]

METHODS: dict[str, Callable[[], Any]] = {
    "saliency": lambda: ox.Saliency(abs=False),
    "guided_backprop": ox.GuidedBackprop,
    "deconvolution": ox.Deconvolution,
    "deep_lift": ox.DeepLift,
    "reveal_cancel": lambda: ox.DeepLift(rule="reveal_cancel"),
    "lrp": ox.LRP,
    **{
        name: (lambda name=name: ox.LRP(name))
        for name in (
            "epsilon", "epsilon_plus", "zplus", "epsilon_alpha2_beta1", "zero_epsilon_gamma", "conserving",
            "excitation_backprop", "sequential_preset_a", "deep_taylor", "epsilon_plus_flat", "attention",
        )
    },
    "integrated_gradients": lambda: ox.IntegratedGradients(n_steps=3),
    "smooth_grad": lambda: ox.SmoothGrad(n_samples=3, seed=1),
    "gradient_shap": lambda: ox.GradientShap(n_samples=3, seed=1),
}  # fmt: skip
#: How far forms may be off, as a share of the largest number; and how often another point is tried, as a
#: value next to a kink may be on either side of it.
_CLOSE, _TRIES = 2e-4, 3


@dataclass
class Forms:
    """A drawn network, explained by some method in several forms."""

    drawn: Drawn
    method: str
    _made: dict[Any, ox.Explainer] = field(default_factory=dict)

    def explainer(self, accelerate: Any) -> ox.Explainer:
        if accelerate not in self._made:
            self._made[accelerate] = ox.Explainer(
                self.drawn.model, device="cpu", threads=1, accelerate=accelerate
            )
        return self._made[accelerate]

    def __call__(
        self, accelerate: Any, feeds: dict[str, np.ndarray], target: Any = None, **options: Any
    ) -> dict[str, np.ndarray] | str:
        """Return what is found, with the score, or what is refused."""
        if self.method in ("deep_lift", "reveal_cancel", "integrated_gradients"):
            n = len(feeds["x0"])
            options.setdefault("baselines", {k: v[:n] for k, v in self.drawn.baselines.items()})
        target = self.drawn.target[0] if target is None else target
        try:
            made = self.explainer(accelerate)(
                feeds, target, METHODS[self.method](), wrt=list(self.drawn.floats), **options
            )
        except OnnxplainError as error:
            return f"{type(error).__name__}: {error}"
        return {**made.arrays, "score": made.score}

    def points(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield points to look at, one after the other."""
        rng, drawn = np.random.default_rng(self.drawn.seed), self.drawn
        for _ in range(_TRIES):
            yield drawn.feeds
            drawn = drawn.nudged(rng)


def differ(found: Any, expected: Any) -> str:
    """Say what differs; nothing where nothing does."""
    if isinstance(found, str) or isinstance(expected, str):
        return "" if found == expected else f"{found}\nagainst\n{expected}"
    for name, values in expected.items():
        made = found[name]
        if made.shape != values.shape or made.dtype != values.dtype:
            return f"{name}: {made.dtype} {made.shape} against {values.dtype} {values.shape}"
        most = np.abs(values).max(initial=1e-3)
        off = np.abs(made - values).max(initial=0.0)
        if not off <= _CLOSE * most:
            return f"{name}: off by {off} of {most}"
    return ""


def _check(
    forms: Forms, what: str, pairs: Callable[[dict[str, np.ndarray]], Iterator[tuple[Any, Any]]]
) -> None:
    """Compare pairs; a difference has to be there at several points."""
    said = []
    for feeds in forms.points():
        here = [d for a, b in pairs(feeds) if (d := differ(a, b))]
        if not here:
            return
        said += here
    raise AssertionError(f"{forms.method}, {what}: " + "; ".join(said))


def portable(forms: Forms) -> None:
    """Our operators find what the standard's do."""
    _check(forms, "forms", lambda feeds: iter([(forms("auto", feeds), forms(False, feeds))]))


@contextlib.contextmanager
def _believed() -> Iterator[None]:
    """Take what was compiled anew whatever it makes of the first inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(improving.np, "array_equal", lambda *_, **__: True)
        yield


def adopted(forms: Forms) -> None:
    """What was compiled anew finds the same at inputs on which it was not tried."""
    first = {k: -v if v.dtype == np.float32 else v for k, v in forms.drawn.feeds.items()}
    with _believed():
        forms(True, first)
    _check(forms, "compiled anew", lambda feeds: iter([(forms(True, feeds), forms(False, feeds))]))


def targets(forms: Forms) -> None:
    """Targets of one sample, whose forward pass is run once, are those of it alone."""
    count = 4
    classes = forms.drawn.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    several = [k % classes for k in range(count)]

    def pairs(feeds: dict[str, np.ndarray]) -> Iterator[tuple[Any, Any]]:
        one = {k: v[:1] if v.ndim else v for k, v in feeds.items()}
        many = {k: np.repeat(v, count, 0) if v.ndim else v for k, v in one.items()}
        start = {k: np.repeat(v[:1], count, 0) for k, v in forms.drawn.baselines.items()}
        options = {"baselines": start} if forms.method in ("deep_lift", "reveal_cancel") else {}
        for accelerate in ("auto", True):
            found = forms(accelerate, many, several, **options)
            yield found, forms(False, many, several, **options)

    _check(forms, "several targets", pairs)


def alone(forms: Forms) -> None:
    """Samples explained together get what they get one by one."""

    def pairs(feeds: dict[str, np.ndarray]) -> Iterator[tuple[Any, Any]]:
        together = forms("auto", feeds)
        n = len(feeds["x0"])
        each = []
        for k in range(n):
            one = {name: v[k : k + 1] if v.ndim else v for name, v in feeds.items()}
            start = {name: v[k : k + 1] for name, v in forms.drawn.baselines.items()}
            with_start = forms.method in ("deep_lift", "reveal_cancel", "integrated_gradients")
            each.append(forms("auto", one, **({"baselines": start} if with_start else {})))
        if isinstance(together, str) or any(isinstance(e, str) for e in each):
            return
        yield together, {k: np.concatenate([e[k] for e in each]) for k in together}

    if forms.method not in ("smooth_grad", "gradient_shap"):
        _check(forms, "one by one", pairs)


def changing(forms: Forms) -> None:
    """Calls with other numbers of samples, one after the other, change nothing."""
    sizes = (1, 3, 2, 0, 1, 3)

    def pairs(feeds: dict[str, np.ndarray]) -> Iterator[tuple[Any, Any]]:
        for n in sizes:
            some = {k: v[:n] if v.ndim else v for k, v in feeds.items()}
            # not contiguous, too
            some = {k: np.asfortranarray(v) if v.ndim and n == 2 else v for k, v in some.items()}
            yield forms("auto", some), forms(False, some)

    _check(forms, "numbers of samples", pairs)


def threads(forms: Forms) -> None:
    """Nor do calls of several threads at once."""
    feeds = forms.drawn.feeds
    some = [{k: v[:n] if v.ndim else v for k, v in feeds.items()} for n in (1, 3, 2, 1, 3, 2)]
    expected = [forms("auto", each) for each in some]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda each: forms("auto", each), some))
    for a, b in zip(found, expected, strict=True):
        if not isinstance(b, str):
            assert not isinstance(a, str), a
            for name, values in b.items():
                np.testing.assert_array_equal(a[name], values, err_msg=f"{forms.method}, threads")
