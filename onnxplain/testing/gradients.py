"""A gradient against central differences, on the ONNX reference evaluator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx.reference.op_run import OpRun

from onnxplain._types import Array, Arrays
from onnxplain.backward.adjoint import SEED_PREFIX, add_adjoint, needs_body
from onnxplain.errors import NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import Normalized, normalize
from onnxplain.graph.passes.normal import Retype
from onnxplain.testing.reference import Evaluator

__all__ = ["TOLERANCES", "GradientCheck", "GradientProblem", "check_gradient"]

#: Relative tolerance of a directional derivative by dtype, as the standards of this project ask.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3}

_FLOAT = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True)
class GradientCheck:
    """What a check found.

    Attributes
    ----------
    analytic, numeric
        Directional derivative from the backward graph, and from central differences.
    scale
        Sum of the magnitudes of the terms of ``analytic``: what the error is measured against.
    gradients
        The gradient of the random projection of the outputs, by input.
    point, weights
        Where it was taken (float32 numbers, so that float32 can repeat it), and the projection.
    """

    analytic: float
    numeric: float
    scale: float
    gradients: Arrays
    point: Arrays
    weights: Arrays

    @property
    def relative_error(self) -> float:
        """``|analytic - numeric| / scale`` (absolute where the scale is below 1e-6)."""
        return abs(self.analytic - self.numeric) / max(self.scale, 1e-6)


@dataclass(frozen=True)
class GradientProblem:
    """A model prepared for checking: in float64, with its backward pass.

    Attributes
    ----------
    forward
        The normalised model.
    adjoint
        The same with inputs ``seed/<output>`` and the gradients as further outputs; None where no
        gradient flows, which claims that it is 0.
    outputs, wrt
        Names of the float outputs, and of the inputs that are varied.
    """

    forward: Normalized
    adjoint: ir.Model | None
    outputs: tuple[str, ...]
    wrt: tuple[str, ...]

    @classmethod
    def of(
        cls,
        source: ModelSource,
        wrt: Sequence[str] | None = None,
        *,
        dtype: str = "float64",
        constants: Mapping[str, Array] | None = None,
        symbolic: bool | Collection[str] = False,
    ) -> GradientProblem:
        """Prepare a model.

        Parameters
        ----------
        source
            Model.
        wrt
            Inputs to vary (default: all float ones).
        dtype
            ``"float64"`` changes the type in which the model computes; ``"float32"`` leaves it.
        constants
            Inputs to turn into initializers.
        symbolic
            Forget the lengths of all axes of the remaining inputs, or of those named.
        """
        model = load(source)
        for value in [v for v in model.graph.inputs if v.name in (constants or {})]:
            assert constants is not None
            assert value.name is not None
            model.graph.inputs.remove(value)
            array = np.asarray(constants[value.name])
            value.const_value = ir.tensor(array, name=value.name)
            value.type, value.shape = ir.TensorType(value.const_value.dtype), ir.Shape(array.shape)
            model.graph.register_initializer(value)
        if symbolic:
            for value in model.graph.inputs:
                if value.shape is not None and (symbolic is True or value.name in symbolic):
                    value.shape = ir.Shape([f"{value.name}_{k}" for k in range(value.shape.rank())])
            for value in (v for n in model.graph for v in n.outputs):
                if value.shape is not None:
                    value.shape = ir.Shape([None] * value.shape.rank())
        forward = normalize(model, expand=needs_body)
        if dtype == "float64":  # only now: function bodies hold float32 constants
            Retype(_FLOAT, ir.DataType.DOUBLE)(forward.model)
        outputs = tuple(str(v.name) for v in forward.model.graph.outputs if v.dtype and facts.is_float(v))
        names = wrt or [str(v.name) for v in forward.model.graph.inputs if v.dtype and facts.is_float(v)]
        try:
            adjoint = add_adjoint(forward.model, outputs, names, opset=forward.opset)
        except NotExplainableError:
            adjoint = None
        return cls(forward, adjoint, outputs, tuple(names))

    def check(
        self,
        feeds: Arrays,
        *,
        seed: int = 0,
        step: float = 1e-6,
        jitter: float = 0.0,
        operators: Sequence[type[OpRun]] = (),
    ) -> GradientCheck:
        """Compare along one random direction, on the ONNX reference evaluator.

        Parameters
        ----------
        feeds
            One array per input.
        seed
            Of the random direction and the random projection of the outputs.
        step
            Of the central difference.
        jitter
            Standard deviation of noise added to the point, to leave kinks and ties.
        operators
            What the reference evaluator does not know, as classes of ``onnx.reference.op_run.OpRun``.
        """
        rng = np.random.default_rng(seed)
        point = {k: _round(v) for k, v in feeds.items()}
        run = Evaluator(self.forward.model, operators)
        if jitter:
            moved = {k: _round(point[k] + jitter * rng.standard_normal(point[k].shape)) for k in self.wrt}
            if all(np.isfinite(run({**point, **moved})[k]).all() for k in self.outputs):
                point |= moved
        made = run(point)
        weights = {k: _round(rng.standard_normal(np.shape(made[k]))) for k in self.outputs}
        direction = {k: rng.standard_normal(np.shape(point[k])) for k in self.wrt}

        def project(sign: float) -> float:
            ahead = run({**point, **{k: point[k] + sign * step * direction[k] for k in self.wrt}})
            return float(sum(np.sum(weights[k] * ahead[k]) for k in self.outputs))

        numeric = (project(1.0) - project(-1.0)) / (2 * step)
        gradients = {k: np.zeros_like(point[k]) for k in self.wrt}
        if self.adjoint is not None:
            seeds = {SEED_PREFIX + k: w for k, w in weights.items()}
            results = Evaluator(self.adjoint, operators)({**point, **seeds})
            values = list(results.values())[len(self.outputs) :]
            gradients = dict(zip(self.wrt, values, strict=True))
        for name, gradient in gradients.items():
            if np.shape(gradient) != np.shape(point[name]):
                raise AssertionError(
                    f"gradient of '{name}' has shape {np.shape(gradient)}, not {np.shape(point[name])}"
                )
        terms = [gradients[k] * direction[k] for k in self.wrt]
        analytic = float(sum(np.sum(t) for t in terms))
        scale = float(sum(np.sum(np.abs(t)) for t in terms))
        return GradientCheck(analytic, numeric, scale, gradients, point, weights)


def _round(x: Array) -> Array:
    """Float numbers that float32 holds too, as float64."""
    return np.asarray(x, np.float32).astype(np.float64) if np.asarray(x).dtype.kind == "f" else x


def check_gradient(
    source: ModelSource,
    feeds: Arrays,
    *,
    wrt: Sequence[str] | None = None,
    seed: int = 0,
    jitter: float = 0.0,
    operators: Sequence[type[OpRun]] = (),
) -> GradientCheck:
    """Compare a model's gradient with central differences, in float64.

    Parameters
    ----------
    source
        Model; small, since the reference evaluator is slow.
    feeds
        One array per input.
    wrt
        Inputs to vary (default: all float ones).
    seed, jitter, operators
        See :meth:`GradientProblem.check`.

    Returns
    -------
    GradientCheck
        Its ``relative_error`` should be below ``TOLERANCES["float64"]``.

    Raises
    ------
    UnsupportedOperatorError
        If an operator on the way has no gradient.
    """
    return GradientProblem.of(source, wrt).check(feeds, seed=seed, jitter=jitter, operators=operators)
