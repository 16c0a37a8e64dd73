"""Files of trained models in OpenVINO, compared with onnxruntime."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from decisions import given, told
from node_by_node import worst_node
from runtimes import run_in_openvino

import onnxplain as ox
from onnxplain.errors import OnnxplainError

__all__ = ["LIMIT", "METHODS", "ROUNDINGS", "Compared", "compare", "runs_plain"]

METHODS: dict[str, ox.Method] = {
    "saliency": ox.Saliency(),
    "lrp": ox.LRP(composite="epsilon_plus"),
    "deep_lift": ox.DeepLift(),
    "integrated_gradients": ox.IntegratedGradients(n_steps=4),
    "grad_cam": ox.GradCam(),
}

#: Largest difference of the same numbers in two runtimes, relative to the largest: a thousand roundings.
LIMIT = 1e-4

#: How many roundings of an input two runtimes may be apart, where that is more: each rounds at every node.
ROUNDINGS = 5

_TYPES = {"tensor(bool)": np.bool_, "tensor(int64)": np.int64, "tensor(float)": np.float32}


@dataclass(frozen=True)
class Compared:
    """What OpenVINO makes of a file.

    Attributes
    ----------
    verdict
        "equal"; "equal, given the same decisions"; "equal up to rounding, given the same decisions"; "equal
        node by node"; "wrong"; "refused by OpenVINO", "no file", "no numbers in onnxruntime".
    difference
        From onnxruntime, relative to the largest number.
    decided
        The same, where onnxruntime takes OpenVINO's decisions.
    flips
        How many decisions differ.
    node
        The largest difference that a single node makes, given the same inputs.
    shaken
        How far onnxruntime's run with its own decisions is from itself where each input is off by a rounding.
    itself
        How far onnxruntime's optimised run is from its plain one.
    why
        Of a refusal.
    """

    verdict: str
    difference: float | None = None
    decided: float | None = None
    flips: int | None = None
    node: float | None = None
    shaken: float | None = None
    itself: float | None = None
    why: str | None = None

    def told(self) -> dict[str, Any]:
        """Return what there is, for JSON; numbers rounded."""
        values = {k: v for k, v in asdict(self).items() if v is not None}
        return {k: float(f"{v:.1e}") if isinstance(v, float) else v for k, v in values.items()}


def runs_plain(real: Any) -> str | None:
    """Return why OpenVINO does not run a model itself; None where it does."""
    try:
        run_in_openvino(real.path, dict(real.feeds))
    except Exception as error:  # of whatever part of OpenVINO
        return _reason(error)
    return None


def compare(real: Any, method: str, folder: Path) -> Compared:
    """Run a model's file in both runtimes."""
    path = folder / "made.onnx"
    try:
        made = ox.export(real.path, path, method=METHODS[method], output=real.output)
    except OnnxplainError as error:
        return Compared("no file", why=str(error))
    feeds = dict(real.feeds)
    index = real.target[1:] if len(real.target) > 2 else real.target[-1]
    if "target" in made.inputs:
        feeds["target"] = np.array([index] * len(next(iter(feeds.values()))))
    names = [n for n in made.outputs if n.startswith("attribution/")]
    try:
        expected = _onnxruntime(path, feeds)
    except Exception as error:  # the sample's shape is none that the file takes
        return Compared("no numbers in onnxruntime", why=_reason(error))
    if not all(np.isfinite(expected[n]).all() for n in names):
        return Compared("no numbers in onnxruntime", why="not finite")
    try:
        found = run_in_openvino(path, feeds)
    except Exception as error:  # of whatever part of OpenVINO
        return Compared("refused by OpenVINO", why=_reason(error))
    apart = _apart(found, expected, names)
    if apart <= LIMIT:
        return Compared("equal", apart)
    model, decisions = told(path)
    onnx.save(model, folder / "told.onnx")
    theirs, ours = (run(folder / "told.onnx", feeds) for run in (run_in_openvino, _onnxruntime))
    flips = sum(int((theirs[d] != ours[d]).sum()) for d in decisions)
    unchanged = _apart(theirs, found, names) <= LIMIT / 10  # it is the same computation as before
    onnx.save(given(path, {d: theirs[d] for d in decisions}), folder / "given.onnx")
    own = {f"given/{d.removeprefix('told/')}": theirs[d] for d in decisions}
    decided = _apart(_onnxruntime(folder / "given.onnx", {**feeds, **own}), theirs, names)
    itself = _apart(_onnxruntime(path, feeds, optimise=False), expected, names)
    if decided <= LIMIT and unchanged:
        return Compared("equal, given the same decisions", apart, decided, flips, itself=itself)
    if unchanged:
        mine = {f"given/{d.removeprefix('told/')}": ours[d] for d in decisions}
        moved = _onnxruntime(folder / "given.onnx", {**_shaken(feeds), **mine})
        shaken = _apart(moved, ours, names)
        if decided <= ROUNDINGS * shaken:
            verdict = "equal up to rounding, given the same decisions"
            return Compared(verdict, apart, decided, flips, shaken=shaken, itself=itself)
    node, _ = worst_node(path, feeds, run_in_openvino, _onnxruntime)
    verdict = "equal node by node" if node <= LIMIT else "wrong"
    return Compared(verdict, apart, None, flips, node, itself=itself)


def _shaken(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return inputs each number of which is off by half a unit in its last place, up or down."""
    draw = np.random.default_rng(0)
    return {
        k: (v * (1 + 6e-8 * draw.choice([-1, 1], v.shape))).astype(v.dtype) if v.dtype == np.float32 else v
        for k, v in feeds.items()
    }


def _onnxruntime(path: Path, feeds: dict[str, np.ndarray], *, optimise: bool = True) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    taken = {i.name: _TYPES.get(i.type) for i in session.get_inputs()}  # OpenVINO has some types of its own
    given = {k: v.astype(taken[k] or v.dtype, copy=False) for k, v in feeds.items() if k in taken}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, given), strict=True))


def _apart(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], names: list[str]) -> float:
    """Return the largest difference of several values, each relative to its largest number."""
    worst = 0.0
    for name in names:
        a, b = found[name].astype(np.float64), expected[name].astype(np.float64)
        assert a.shape == b.shape, f"{name}: {a.shape} and {b.shape}"
        if b.size:
            apart = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-30)
            worst = apart if not apart <= worst else worst  # NaN stays
    return worst


def _reason(error: Exception) -> str:
    """Return the last line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check", "Summary", "--"))]
    return (said or lines or [type(error).__name__])[-1][:200]
