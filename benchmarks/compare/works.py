"""What is raced: by name a method, and what it is compared by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnxplain as ox
from benchmarks.compare.agreement import Alike
from benchmarks.compare.cases import Case
from benchmarks.compare.exactness import ERROR, TOLERANCE

__all__ = ["WORKS", "Work", "noise", "windows"]


@dataclass(frozen=True)
class Work:
    """A method that is raced.

    Attributes
    ----------
    says
        In words.
    method
        From a size (of steps, samples or masks), and a case.
    size
        The usual one; None where there is nothing to count.
    kinds
        Of inputs that it is raced on.
    alike
        How answers are compared.
    one_walk
        Whether it is one walk back, which is raced as an exported file, too.
    batches
        How many samples.
    peers
        Whether others take part.
    """

    says: str
    method: Callable[[int, Case], ox.Method]
    size: int | None = None
    kinds: tuple[str, ...] = ("image",)
    alike: Alike = "equal"
    one_walk: bool = False
    batches: tuple[int, ...] = (1, 8)
    peers: bool = True


def _walk(says: str, make: Callable[[], ox.Method], kinds: tuple[str, ...] = ("image",)) -> Work:
    return Work(says, lambda size, case: make(), kinds=kinds, one_walk=True)


def _gradient(size: int, case: Case) -> ox.Method:
    return ox.Saliency(abs=case.kind == "tokens")  # signed sums over an embedding cancel


def _occlusion(size: int, case: Case) -> ox.Method:
    return ox.Occlusion(*windows(case))


def windows(case: Case) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of an image's windows, an eighth of a side, and how far they move, half as much."""
    channels, height, width = case.x.shape[1:]
    shape = max(height // 8, 2), max(width // 8, 2)
    return (channels, *shape), (channels, *(s // 2 for s in shape))


def noise(case: Case) -> float:
    """Return the deviation of SmoothGrad's noise: 15 % of the range."""
    return float(0.15 * (case.x.max() - case.x.min()))


_EVERY = ("image", "tokens", "table")
WORKS: dict[str, Work] = {
    "gradient": Work("gradient of the score by the input", _gradient, kinds=_EVERY, one_walk=True),
    "guided": _walk("guided backpropagation", ox.GuidedBackprop),
    "lrp_epsilon": _walk("LRP, epsilon everywhere", lambda: ox.LRP("epsilon")),
    "lrp_epsilon_plus": _walk("LRP, epsilon and z+", lambda: ox.LRP("epsilon_plus")),
    "lrp_alpha2_beta1": _walk("LRP, alpha 2, beta 1", lambda: ox.LRP("epsilon_alpha2_beta1")),
    "deep_lift": _walk("DeepLIFT (rescale), the same baseline each time", ox.DeepLift),
    "grad_cam": Work("Grad-CAM", lambda size, case: ox.GradCam(), alike="map"),
    "integrated_gradients": Work(
        f"integrated gradients to {TOLERANCE:.0%} of completeness, or of a number of steps",
        lambda size, case: ox.IntegratedGradients(n_steps=size), 1000, ("image", "table"), "points",
    ),
    "smooth_grad": Work(
        "SmoothGrad", lambda size, case: ox.SmoothGrad(n_samples=size, stdevs=noise(case)), 25, alike="draws"
    ),
    "rise": Work("RISE", lambda size, case: ox.RISE(size, grid_size=8), 2000, alike="draws"),
    "occlusion": Work("occlusion by windows", _occlusion),
    "kernel_shap": Work(
        f"KernelSHAP with the samples that {ERROR:.0%} of error take",
        lambda size, case: ox.KernelShap(n_samples=size), None, ("table",), "points", batches=(100,),
    ),
    "overhead": Work("one call over a bare run of the same graph", _gradient, kinds=_EVERY, peers=False),
}  # fmt: skip
