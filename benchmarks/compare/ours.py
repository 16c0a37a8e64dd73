"""Our own part in a race, and onnxruntime's forward pass, which is the measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import onnxplain as ox
from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.exactness import (
    MOST_STEPS,
    TOLERANCE,
    samples_to_error,
    scaled,
    steps_to_tolerance,
)
from benchmarks.compare.settings import BARE, FILE, OURS, Entrant, Setting
from benchmarks.compare.works import WORKS
from benchmarks.timing import session
from onnxplain.runtime import operators

__all__ = ["File", "exported", "forward", "ours"]


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
        # as it runs once it has run for a while
        lambda: ox.Explainer(
            case.model, device="cpu", threads=threads, accelerate="auto" if operators.why_not() else True
        ),
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


def _to_tolerance(call: Callable[..., Any]) -> dict[str, Entrant]:
    """Return adaptive points, and evenly spread ones as others take them."""
    adaptive = ox.IntegratedGradients(n_steps=MOST_STEPS, tol=TOLERANCE)
    found = call(adaptive)
    off = _missing(found)
    if off > TOLERANCE:
        raise LeftOut(f"{MOST_STEPS} gradients are not enough: {off:.1%} of the difference is missing")
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


@dataclass(frozen=True)
class File:
    """An exported file: what it is asked and given, and what registers our operators, if it has any."""

    path: Path
    output: str
    feeds: dict[str, Any]
    register: Callable[[ort.SessionOptions], None] | None


def exported(case: Case, method: ox.Method, path: Path) -> File:
    """Export a walk back, with our operators where these load."""
    own = operators.why_not() is None
    made = ox.export(case.model, path, method=method, form="accelerated" if own else "portable")
    feeds = {**case.feeds}
    if "target" in made.inputs:
        feeds["target"] = np.asarray(case.targets)
    return File(path, f"attribution/{case.input}", feeds, operators.register if own else None)


def _file(case: Case, method: ox.Method, threads: int) -> Entrant:
    """Return the exported file in a session of onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        file = exported(case, method, Path(folder, "explained.onnx"))
        opened = session(str(file.path), threads, register=file.register)
    form = "portable form" if file.register is None else "accelerated form"
    return Entrant(lambda: opened.run([file.output], file.feeds)[0], form)


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
