"""What is raced: by name a method, what explains by it, and what it is compared by."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import onnxplain as ox
from benchmarks.compare.agreement import Alike
from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.settings import BARE, FILE, OURS, Entrant, Setting
from benchmarks.timing import session
from onnxplain.runtime import operators

__all__ = ["ERROR", "TOLERANCE", "WORKS", "Work", "forward", "ours"]

#: What integrated gradients may miss of the difference of the scores.
TOLERANCE = 0.01
#: What sampled Shapley values may be off: the root mean square over that of the exact values.
ERROR = 0.02
_BUDGETS = (64, 128, 256, 512, 1024, 2048, 4096, 8190)
_STEPS = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)


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


def forward(case: Case, setting: Setting) -> Entrant:
    """Return onnxruntime's forward pass of the model as it is."""
    content = case.once("content", case.model.SerializeToString)
    plain = session(content, setting.threads)
    return Entrant(lambda: plain.run([case.output], case.feeds)[0])


def ours(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return our own ways: by the Explainer, and for one walk back as an exported file in onnxruntime.

    Raises
    ------
    LeftOut
        If integrated gradients or Shapley values do not get as exact as they are raced to.
    """
    work = WORKS[setting.work]
    threads = setting.threads
    explainer = case.once(
        f"explainer, {threads} threads",
        lambda: ox.Explainer(case.model, device="cpu", threads=threads),
    )
    given = case.feeds if len(case.feeds) > 1 else case.x

    def call(method: ox.Method, **options: Any) -> Any:
        return explainer(given, case.targets, method, **options)

    if setting.work == "integrated_gradients" and setting.size is None:
        return _to_tolerance(call)
    if setting.work == "kernel_shap":
        return {OURS: _to_error(case, call, setting.size)}
    method = work.method(setting.size or work.size or 0, case)
    if setting.work == "overhead":
        return {BARE: Entrant(_bare(lambda: call(method))), OURS: Entrant(lambda: call(method).values)}
    if setting.work == "grad_cam":
        return {OURS: Entrant(lambda: scaled(call(method).values[:, 0]))}
    found = {OURS: Entrant(lambda: call(method).values)}
    if work.one_walk:
        found[FILE] = _file(case, method, threads)
    return found


def scaled(maps: Any) -> Any:
    """Return maps (N, H, W) from 0 to 1, each by itself."""
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return np.asarray((maps - low) / np.maximum(high - low, 1e-12))


def first_within(steps: tuple[int, ...], error: Callable[[int], float], limit: float) -> tuple[int, float]:
    """Return the first number that keeps an error within a limit, and that error.

    Raises
    ------
    LeftOut
        If none does.
    """
    for n in steps:
        off = error(n)
        if off <= limit:
            return n, off
    raise LeftOut(f"{steps[-1]} are not enough: the error is {off:.1%}, and {limit:.1%} was asked")


def steps_to_tolerance(error: Callable[[int], float]) -> tuple[int, float]:
    """Return the fewest steps, and what is missing then."""
    return first_within(_STEPS, error, TOLERANCE)


def samples_to_error(case: Case, values: Callable[[int], Any], size: int | None = None) -> tuple[int, float]:
    """Return the fewest samples for Shapley values, and how far they are off; of one size, that alone."""
    exact = case.once("exact", lambda: _exact(case))
    at = _BUDGETS if size is None else (size,)
    spread = np.sqrt((exact**2).mean())
    limit = ERROR if size is None else np.inf
    return first_within(at, lambda n: float(np.sqrt(((values(n) - exact) ** 2).mean()) / spread), limit)


def _exact(case: Case) -> Any:
    found = ox.explain(
        case.model, case.x, case.targets, ox.ExactShapley(), baselines=ox.Background(case.background)
    )
    return found.values.astype(np.float64)


def _to_tolerance(call: Callable[..., Any]) -> dict[str, Entrant]:
    """Return adaptive points, and evenly spread ones as others take them."""
    adaptive = ox.IntegratedGradients(n_steps=_STEPS[-1], tol=TOLERANCE)
    found = call(adaptive)
    off = _missing(found)
    if off > TOLERANCE:
        raise LeftOut(f"{_STEPS[-1]} gradients are not enough: {off:.1%} of the difference is missing")
    taken = int(np.max(found.extras["gradients"]))

    def plain(n: int) -> ox.Method:
        return ox.IntegratedGradients(n_steps=n)

    n, even = steps_to_tolerance(lambda n: _missing(call(plain(n))))
    return {
        OURS: Entrant(lambda: call(adaptive).values, f"{taken} gradients, {off:.2%} missing"),
        "onnxplain, points chosen before": Entrant(
            lambda: call(plain(n)).values, f"{n} steps, {even:.2%} missing"
        ),
    }


def _missing(found: Any) -> float:
    """Return the greatest part, over samples, of the difference of scores that attributions miss."""
    return float(np.max(np.abs(found.delta / found.reference)))


def _to_error(case: Case, call: Callable[..., Any], size: int | None) -> Entrant:
    rows = ox.Background(case.background)

    def values(n: int) -> Any:
        return call(ox.KernelShap(n_samples=n), baselines=rows).values

    n, off = samples_to_error(case, values, size)
    return Entrant(lambda: values(n), f"{n} samples, {off:.1%} of error")


def _file(case: Case, method: ox.Method, threads: int) -> Entrant:
    """Return the exported file in a session of onnxruntime, with our operators where these load."""
    own = operators.why_not() is None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "explained.onnx")
        form = "accelerated" if own else "portable"
        made = ox.export(case.model, path, method=method, form=form)
        opened = session(str(path), threads, register=operators.register if own else None)
    feeds = {**case.feeds}
    if "target" in made.inputs:
        feeds["target"] = np.asarray(case.targets)
    name = f"attribution/{case.input}"
    return Entrant(lambda: opened.run([name], feeds)[0], f"{form} form")


def _bare(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return what runs the session that a call runs, with what it is given, and nothing else."""
    call()
    seen: list[tuple[Any, tuple[Any, ...]]] = []
    run, bound = ort.InferenceSession.run, ort.InferenceSession.run_with_iobinding

    def spy(kept: Any) -> Any:
        def watched(self: Any, *arguments: Any) -> Any:
            seen.append((kept, (self, *arguments)))
            return kept(self, *arguments)

        return watched

    ort.InferenceSession.run, ort.InferenceSession.run_with_iobinding = spy(run), spy(bound)
    try:
        call()
    finally:
        ort.InferenceSession.run, ort.InferenceSession.run_with_iobinding = run, bound
    if len(seen) != 1:
        raise LeftOut(f"the call ran {len(seen)} sessions by onnxruntime's Python methods, and not one")
    kept, arguments = seen[0]
    if kept is run:
        return lambda: run(*arguments)

    def again() -> Any:
        bound(*arguments)
        return arguments[1].copy_outputs_to_cpu()

    return again
