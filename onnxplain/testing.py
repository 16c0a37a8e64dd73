"""Checking gradients: for this package's own tests, and for yours if you register an operator.

>>> from onnxplain.testing import check_gradient
>>> check_gradient("model.onnx", {"x": x}).relative_error  # doctest: +SKIP
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from onnxplain._types import Array, Arrays
from onnxplain.backward.adjoint import SEED_PREFIX, add_adjoint, needs_body
from onnxplain.graph import facts, passes
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import Normalized, normalize

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
    """

    analytic: float
    numeric: float
    scale: float
    gradients: Arrays

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
        The same with inputs ``seed/<output>`` and the gradients as further outputs.
    outputs, wrt
        Names of the float outputs, and of the inputs that are varied.
    """

    forward: Normalized
    adjoint: ir.Model
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
        symbolic: bool = False,
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
            Forget the lengths of all axes of the remaining inputs.
        """
        model = load(source)
        for value in [v for v in model.graph.inputs if v.name in (constants or {})]:
            assert constants is not None
            assert value.name is not None
            model.graph.inputs.remove(value)
            value.const_value = ir.tensor(np.asarray(constants[value.name]), name=value.name)
            value.shape = ir.Shape(np.shape(constants[value.name]))
            model.graph.register_initializer(value)
        if symbolic:
            for value in model.graph.inputs:
                if value.shape is not None:
                    value.shape = ir.Shape([f"{value.name}_{k}" for k in range(value.shape.rank())])
            for value in (v for n in model.graph for v in n.outputs):
                if value.shape is not None:
                    value.shape = ir.Shape([None] * value.shape.rank())
        if dtype == "float64":
            passes.Retype(_FLOAT, ir.DataType.DOUBLE)(model)
        forward = normalize(model, float32=dtype != "float64", expand=needs_body)
        outputs = tuple(str(v.name) for v in forward.model.graph.outputs if v.dtype and facts.is_float(v))
        names = wrt or [str(v.name) for v in forward.model.graph.inputs if v.dtype and facts.is_float(v)]
        adjoint = add_adjoint(forward.model, outputs, names, opset=forward.opset)
        return cls(forward, adjoint, outputs, tuple(names))

    def check(self, feeds: Arrays, *, seed: int = 0, step: float = 1e-5, jitter: float = 0.0) -> GradientCheck:
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
        """
        rng = np.random.default_rng(seed)
        point = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}
        run = _evaluator(self.forward.model)
        if jitter:
            moved = {k: point[k] + jitter * rng.standard_normal(point[k].shape) for k in self.wrt}
            if all(np.isfinite(run({**point, **moved})[k]).all() for k in self.outputs):
                point |= moved
        made = run(point)
        weights = {k: rng.standard_normal(np.shape(made[k])) for k in self.outputs}
        direction = {k: rng.standard_normal(np.shape(point[k])) for k in self.wrt}

        def project(sign: float) -> float:
            ahead = run({**point, **{k: point[k] + sign * step * direction[k] for k in self.wrt}})
            return float(sum(np.sum(weights[k] * ahead[k]) for k in self.outputs))

        numeric = (project(1.0) - project(-1.0)) / (2 * step)
        results = _evaluator(self.adjoint)({**point, **{SEED_PREFIX + k: w for k, w in weights.items()}})
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
        return GradientCheck(analytic, numeric, scale, gradients)


def check_gradient(
    source: ModelSource,
    feeds: Arrays,
    *,
    wrt: Sequence[str] | None = None,
    seed: int = 0,
    jitter: float = 0.0,
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
    seed, jitter
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
    return GradientProblem.of(source, wrt).check(feeds, seed=seed, jitter=jitter)


class _evaluator:  # noqa: N801  (a function that remembers its model)
    """Run a model on the reference evaluator, which calls strings, warnings and logs off."""

    def __init__(self, model: ir.Model) -> None:
        proto = ir.to_proto(model)
        assert isinstance(proto, onnx.ModelProto)
        self.names = [o.name for o in proto.graph.output]
        self.session = ReferenceEvaluator(proto)  # type: ignore[no-untyped-call]

    def __call__(self, feeds: Arrays) -> Arrays:
        wanted = {k: v for k, v in feeds.items() if k in self.session.input_names}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return dict(zip(self.names, self.session.run(None, wanted), strict=True))
