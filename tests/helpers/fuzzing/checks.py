"""What must hold for every graph, one function each; they raise AssertionError where it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import reject

import onnxplain as ox
from onnxplain.backward.adjoint import SEED_PREFIX
from onnxplain.errors import NotExplainableError, OnnxplainError
from onnxplain.testing import TOLERANCES, GradientProblem
from onnxplain.testing.reference import Evaluator

from .doubled import missing as missing_in_double
from .refusals import REFUSED, UNPROVEN
from .rounding import rounded
from .sketch import accepted, run

if TYPE_CHECKING:
    from pathlib import Path

    from .drawing import Drawn

__all__ = ["METHODS", "Subject", "batches", "exports", "folds", "gradients", "predicts", "sums"]

#: One-pass methods: name, and its arguments.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "saliency": ("saliency", {"abs": False}),
    "input_x_gradient": ("input_x_gradient", {}),
    "guided_backprop": ("guided_backprop", {}),
    "deconvolution": ("deconvolution", {}),
    "excitation_backprop": ("excitation_backprop", {}),
    "deep_lift": ("deep_lift", {}),
    "reveal_cancel": ("deep_lift", {"rule": "reveal_cancel"}),
    **{
        name: ("lrp", {"composite": name})
        for name in ("epsilon", "epsilon_plus", "zplus", "epsilon_alpha2_beta1", "zero_epsilon_gamma")
    },
    "lrp": ("lrp", {}),
    "zplus_scale": ("lrp", {"composite": "zplus", "bias": "scale"}),
    "epsilon_plus_spread": ("lrp", {"composite": "epsilon_plus", "bias": "spread"}),
}
#: Step of difference quotients, relative error of float32, and what rounding takes from a quotient.
STEP, SINGLE, ROUNDING = 1e-6, 1e-3, 1e-9
#: How many times what rounding each value changes float32 may be off by, and by which part at most.
SPREAD, MOST = 20, 0.03


class Refused(Exception):  # noqa: N818  (no error: refusing is right)
    """A refusal that is listed."""


#: The latest model, and what explains it: the same through all checks, with its programs.
_latest: list[tuple[onnx.ModelProto, ox.Explainer]] = []


def _explainer(model: onnx.ModelProto) -> ox.Explainer:
    if not _latest or _latest[0][0] is not model:
        _latest[:] = [(model, ox.Explainer(model, device="cpu", threads=1))]
    return _latest[0][1]


@dataclass
class Subject:
    """A drawn graph while it is checked."""

    drawn: Drawn
    _problem: GradientProblem | None = field(default=None, repr=False)

    @cached_property
    def explainer(self) -> ox.Explainer:
        return _explainer(self.drawn.model)

    @cached_property
    def problem(self) -> GradientProblem:
        return GradientProblem.of(self.drawn.model, self.drawn.floats)

    @cached_property
    def forward(self) -> Evaluator:
        """The normal form in float64."""
        return Evaluator(self.problem.forward.model)

    @property
    def batch_axes(self) -> dict[str, int] | None:
        """Where samples lie, for graphs of which the analysis cannot prove it (and says so)."""
        return dict.fromkeys(self.drawn.floats, 0) if UNPROVEN.keys() & self.drawn.kinds else None

    @property
    def target(self) -> Any:
        t = self.drawn.target
        return None if not t else t[0] if len(t) == 1 else t

    def explain(self, method: str, rows: slice = slice(None), **options: Any) -> ox.Attribution:
        """Explain rows by a method; :class:`Refused` where it refuses as listed."""
        name, parameters = METHODS[method]
        if name == "deep_lift":
            options["baselines"] = {k: v[rows] for k, v in self.drawn.baselines.items()}
        wrt = list(self.drawn.floats)
        feeds = self.drawn.rows(rows)
        try:
            return self.explainer(
                feeds, self.target, name, wrt=wrt, through_softmax=True, batch_axes=self.batch_axes,
                **parameters, **options,
            )  # fmt: skip
        except NotExplainableError as error:
            if self.problem.adjoint is not None:
                raise
            raise Refused("nothing flows, which gradients() compares with differences") from error
        except OnnxplainError as error:
            raise Refused(refusal(error, method)) from error


def refusal(error: OnnxplainError, method: str) -> str:
    """Return why a refusal is expected.

    Raises
    ------
    AssertionError
        If it is not.
    """
    for op_type in dict.fromkeys(re.findall(r"(\w+) node '", str(error))):
        for kind in (method, "deep_lift" if method == "reveal_cancel" else "relevance", "all"):
            if op_type in REFUSED.get(kind, {}):
                return f"{kind}: {op_type}"
    raise AssertionError(f"{method}: {type(error).__name__}: {error}") from error


def _chosen(drawn: Drawn, y: np.ndarray) -> np.ndarray:
    """Return where a target's scores are in the output."""
    seed = np.zeros_like(y, np.float64)
    seed[(slice(None), *drawn.target)] = 1.0
    return seed


def _smooth(subject: Subject, point: dict[str, np.ndarray], weights: np.ndarray) -> float | None:
    """Return the slope along a random direction by central differences; None where a kink is near."""
    drawn, rng = subject.drawn, np.random.default_rng(subject.drawn.seed)
    direction = {k: rng.standard_normal(point[k].shape) for k in drawn.floats}

    def score(step: float) -> float:
        moved = {k: point[k] + step * direction[k] for k in drawn.floats}
        return float(np.sum(weights * subject.forward({**point, **moved})["y"]))

    here = score(0.0)
    slack = ROUNDING * max(1.0, float(np.abs(weights).sum()))
    for step in (3e-4, STEP):  # a kink within the first would not show in float32 either
        ahead, behind = (score(step) - here) / step, (here - score(-step)) / step
        if not abs(ahead - behind) <= 200 * step * (1 + abs(ahead) + abs(behind)) + slack:
            return None
    slope = (score(STEP) - score(-STEP)) / (2 * STEP)
    subject.direction = direction
    return slope


def _at_a_smooth_point(drawn: Drawn) -> tuple[Subject, dict[str, np.ndarray], np.ndarray, float]:
    """Nudge the point until it is away from kinks."""
    rng = np.random.default_rng(drawn.seed)
    subject = Subject(drawn)
    for _ in range(4):
        rows = drawn.rows(slice(0, drawn.batch))
        point = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in rows.items()}
        subject.drawn = drawn
        y = subject.forward(point)["y"]
        weights = rng.standard_normal(y.shape)
        slope = _smooth(subject, point, weights)
        if slope is not None and np.isfinite(slope):
            return subject, point, weights, slope
        drawn = drawn.nudged(rng)
    return reject()


def gradients(drawn: Drawn) -> None:
    """The gradient is the central difference in float64, and onnxruntime's in float32 is that."""
    subject, point, weights, slope = _at_a_smooth_point(drawn)
    drawn, adjoint = subject.drawn, subject.problem.adjoint
    given = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in point.items()}
    here, single = subject.forward(point)["y"], run(drawn.model, given)[0]
    np.testing.assert_allclose(single, here, rtol=SINGLE, atol=1e-4, err_msg="evaluator against onnxruntime")

    def walk(model: ir.Model | None, seed: np.ndarray) -> dict[str, np.ndarray]:
        if model is None:
            return {k: np.zeros_like(point[k]) for k in drawn.floats}
        made = list(Evaluator(model)({**point, f"{SEED_PREFIX}y": seed}).values())[1:]
        return dict(zip(drawn.floats, made, strict=True))

    found = walk(adjoint, weights)
    for name, gradient in found.items():
        assert gradient.shape == point[name].shape, f"shape of the gradient of {name}"
    terms = [found[k] * subject.direction[k] for k in drawn.floats]
    scale = sum(np.abs(t).sum() for t in terms)
    slack = ROUNDING * np.abs(weights * here).sum() + 1e-9
    analytic = sum(t.sum() for t in terms)
    assert abs(analytic - slope) <= TOLERANCES["float64"] * scale + slack, (
        f"float64: gradient {analytic}, central difference {slope}"
    )
    expected = walk(adjoint, _chosen(drawn, here))
    try:
        made = subject.explain("saliency", slice(0, drawn.batch)).arrays
    except Refused:
        return
    for name in drawn.floats:
        most = max(np.abs(expected[name]).max(initial=0.0), 1e-2)
        worst = np.abs(made[name] - expected[name]).max(initial=0.0)
        if worst > SINGLE * most and adjoint is not None:
            single = walk(rounded(adjoint), _chosen(drawn, here))[name]
            worst -= min(SPREAD * np.abs(single - expected[name]).max(), MOST * most)
        assert worst <= SINGLE * most, f"float32: gradient of {name} off by {worst} of {most}"


def predicts(drawn: Drawn) -> None:
    """The normal form gives what onnxruntime gives on the model as it is."""
    made = Subject(drawn).explainer.predict(drawn.feeds)["y"]
    np.testing.assert_allclose(made, _predicted(drawn, drawn.feeds), rtol=1e-4, atol=1e-5)


def folds(drawn: Drawn) -> None:
    """The same with inputs made constant, so that what hangs on them is computed ahead."""
    rng = np.random.default_rng(drawn.seed)
    rows = drawn.rows(slice(0, drawn.batch))
    model = onnx.ModelProto()
    model.CopyFrom(drawn.model)
    kept = [i for i in model.graph.input if len(drawn.floats) > 1 and rng.random() < 0.5]
    for info in model.graph.input:
        if info not in kept:
            model.graph.initializer.append(onnx.numpy_helper.from_array(rows[info.name], info.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    # something has to be explained: it is added to the output
    shape = [d.dim_value or len(rows["x0"]) for d in model.graph.output[0].type.tensor_type.shape.dim]
    model.graph.input.append(onnx.helper.make_tensor_value_info("free", onnx.TensorProto.FLOAT, shape))
    model.graph.output[0].name = "sum"
    model.graph.node.append(onnx.helper.make_node("Add", ["y", "free"], ["sum"]))
    for info in (*model.graph.input, *model.graph.output):
        dims = info.type.tensor_type.shape.dim
        if dims and dims[0].dim_param:
            dims[0].dim_value = len(rows["x0"])
    feeds = {k: v for k, v in rows.items() if k in {i.name for i in kept}}
    feeds["free"] = rng.standard_normal(shape).astype(np.float32)
    if not accepted(model, feeds):
        reject()
    expected = run(model, feeds)[0]
    made = ox.Explainer(model, device="cpu", threads=1).predict(feeds)["sum"]
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def sums(drawn: Drawn, method: str) -> None:
    """What arrives and what nodes keep is the score; DeepLIFT's is the difference of the scores."""
    subject = Subject(drawn)
    kind = METHODS[method][0]
    try:
        made = subject.explain(method)
    except Refused:
        return
    for name, values in made.arrays.items():
        assert np.isfinite(values).all(), f"{method}: attributions of {name} are not finite"
    if kind not in ("lrp", "deep_lift"):
        return  # their sums say nothing
    arrays = [v.astype(np.float64) for v in made.arrays.values()]
    if kind == "lrp":
        account = ox.LRP(**METHODS[method][1], account=True)
        made = subject.explainer(
            drawn.feeds, subject.target, wrt=list(drawn.floats), through_softmax=True,
            batch_axes=subject.batch_axes, method=account,
        )  # fmt: skip
        kept = np.array(list(made.extras["kept"].values()), np.float64)
        scale = sum(np.abs(a).sum() for a in arrays) + np.abs(kept).sum() + np.abs(made.score).sum()
        missing = sum(a.sum() for a in arrays) + kept.sum() - made.score.sum()
        if 1e-4 * scale + 1e-5 < abs(missing) < MOST * scale:  # where much cancels, as in x - x
            missing = missing_in_double(drawn, account)
        assert abs(missing) <= 1e-4 * scale + 1e-5, f"{method}: {missing} of {scale} is nowhere"
        return
    here, there = (_scores(drawn, f) for f in (drawn.feeds, {**drawn.feeds, **drawn.baselines}))
    total = sum(a.reshape(len(a), -1).sum(1) for a in arrays)
    scale = sum(np.abs(a).reshape(len(a), -1).sum(1) for a in arrays) + np.abs(here) + np.abs(there)
    missing = np.abs(total - (here - there)) / np.maximum(scale, 1e-2)
    assert missing.max() <= 2e-3, f"{method}: sums miss {missing} of the difference {here - there}"


def _predicted(drawn: Drawn, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Return the output by onnxruntime on the model as it is, as many rows at once as it takes."""
    count = len(drawn.feeds["x0"])
    size = drawn.batch or count
    parts = [
        {k: v[start : start + size] if v.ndim else v for k, v in feeds.items()}
        for start in range(0, count, size)
    ]
    return np.concatenate([run(drawn.model, part)[0] for part in parts])


def _scores(drawn: Drawn, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Return the target's score of each row."""
    y = _predicted(drawn, feeds)
    return y[(slice(None), *drawn.target)].reshape(len(y)).astype(np.float64)


def batches(drawn: Drawn, method: str) -> None:
    """Rows explained together get what they get one by one."""
    subject = Subject(drawn)
    try:
        together = subject.explain(method)
        again = subject.explain(method, internal_batch_size=2)
        alone = [subject.explain(method, slice(k, k + 1)) for k in range(len(drawn.feeds["x0"]))]
    except Refused:
        return
    for name, values in together.arrays.items():
        single = np.concatenate([a.arrays[name] for a in alone])
        _alike(single, values, f"{method}: {name} one by one")
        _alike(again.arrays[name], values, f"{method}: {name} two by two")


def _alike(made: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert made.shape == expected.shape, what
    most = max(np.abs(expected).max(initial=0.0), 1e-2)
    np.testing.assert_allclose(made / most, expected / most, rtol=0, atol=1e-4, err_msg=what)


def exports(drawn: Drawn, method: str, folder: Path) -> None:
    """The exported file gives what the explainer gives, on the model's own inputs."""
    subject = Subject(drawn)
    try:
        expected = subject.explain(method)
    except Refused:
        return
    name, parameters = METHODS[method]
    size = drawn.batch or len(drawn.feeds["x0"])
    if name == "deep_lift":  # a file holds one reference for all
        start = {k: v[:1] for k, v in drawn.baselines.items()}
        expected = subject.explainer(
            drawn.feeds, subject.target, name, wrt=list(drawn.floats), through_softmax=True,
            baselines=start, batch_axes=subject.batch_axes, **parameters,
        )  # fmt: skip
        parameters = {**parameters, "baselines": start}
    path = folder / "explained.onnx"
    ox.export(drawn.model, path, method=name, wrt=list(drawn.floats), through_softmax=True, **parameters)
    model = onnx.load(path)
    outputs = [o.name for o in model.graph.output]
    parts: dict[str, list[np.ndarray]] = {o: [] for o in outputs}
    for first in range(0, len(drawn.feeds["x0"]), size):
        made: dict[str, np.ndarray] = {}
        for target in _targets(model, drawn, size):
            answers = run(model, drawn.rows(slice(first, first + size)) | target)
            for output, array in zip(outputs, answers, strict=True):
                summed = output in made and output.startswith("attribution/")
                made[output] = made[output] + array if summed else array
        for output, array in made.items():
            parts[output].append(array)
    found = {k: np.concatenate(v) for k, v in parts.items()}
    _alike(found["y"], expected.predictions.reshape(found["y"].shape), f"{method}: predictions")
    for key in drawn.floats:
        _alike(found[f"attribution/{key}"], expected.arrays[key], f"{method}: {key} exported")


def _targets(model: onnx.ModelProto, drawn: Drawn, count: int) -> list[dict[str, np.ndarray]]:
    """Return an exported file's targets: an index for each row; where rows are not proven samples one a run.

    Each run's attributions then are those of one row, and 0 at the others.
    """
    info = next((i for i in model.graph.input if i.name == "target"), None)
    if info is None:
        return [{}]
    dims = info.type.tensor_type.shape.dim
    rank = len(drawn.model.graph.output[0].type.tensor_type.shape.dim)
    index = np.zeros((count, rank), np.int64)
    index[:, 0] = np.arange(count)
    index[:, 1 : 1 + len(drawn.target)] = drawn.target
    if len(dims) == 1 and rank > 1:
        return [{"target": index[:, 1]}]
    if len(dims) == 1:
        return [{"target": index[k : k + 1, 0]} for k in range(count)]
    if dims[1].dim_value == rank:
        return [{"target": index[k : k + 1]} for k in range(count)]
    return [{"target": index[:, 1:]}]


def load(text: str) -> ir.Model:
    """Read back what a failure printed."""
    return ir.from_proto(onnx.parser.parse_model(text))
