"""What all activation maps share: a layer, a map of it, and the input that it lies over."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Arrays, FloatArray
from onnxplain.backward.asks import Ask, Probe
from onnxplain.features.lifting import Interpolation
from onnxplain.methods.base import Method
from onnxplain.methods.cams.layers import Layer, Lifted, find_layers
from onnxplain.runtime.driver import Answer
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["ActivationMap", "AtLayer", "GradientMap"]


class ActivationMap(Method, abc.ABC):
    """A map over the places of a layer, made as large as the input.

    Subclasses have the parameters ``interpolate_mode`` and ``relu_attributions``.
    """

    interpolate_mode: Interpolation
    relu_attributions: bool

    def needs(self) -> Ask:
        """Ask for values inside; which, the graph tells."""
        return Probe(gradients=False)

    @abc.abstractmethod
    def lifted(self, problem: Problem) -> dict[str, Lifted]:
        """Find the layer of each feature."""

    @abc.abstractmethod
    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Return the maps, (n, *grid), of all rows, signed.

        Parameters
        ----------
        problem
            The rows.
        layer
            Where to look.
        features
            Those that the layer's map lies over.
        """

    def attribute(self, problem: Problem) -> Found:
        """Make the map of each layer, and lay it over the features."""
        found = self.lifted(problem)
        made: dict[Layer, FloatArray] = {}
        for layer in dict.fromkeys(one.layer for one in found.values()):
            signed = self.maps(problem, layer, {k: v for k, v in found.items() if v.layer == layer})
            made[layer] = np.maximum(signed, 0) if self.relu_attributions else signed
        values: Arrays = {}
        for name, x in problem.features.items():
            one = found.get(name)
            values[name] = np.zeros(x.shape, float_like(x))
            if one is not None:
                values[name][...] = one.over(made[one.layer], x.shape, self.interpolate_mode)
        maps = {one.input: made[one.layer] for one in found.values()}
        return Found(values, extras={"map": maps}, notes=tuple(self._notes(problem, found, made)))

    def blocks(self, problem: Problem, ask: Probe) -> Iterator[tuple[Problem, Answer]]:
        """Ask about the layer, one block of samples at a time: of all of them, activations might not fit."""
        blocks = list(problem.driver.blocks(problem.n, ask))
        for block in blocks:
            part = problem if len(blocks) == 1 else problem.take(block)
            yield part, part.ask(ask)

    def _notes(
        self, problem: Problem, found: dict[str, Lifted], made: dict[Layer, FloatArray]
    ) -> Iterator[str]:
        for layer in dict.fromkeys(one.layer for one in found.values()):
            tokens = f", without {layer.extra} in front" if layer.extra else ""
            places = " x ".join(map(str, layer.grid))
            yield f"the map is that of '{layer.name}', of {places} places{tokens}"
            if self.relu_attributions and not made[layer].any():
                yield "the map is nowhere above 0; relu_attributions=False shows what is below"
        for name in problem.features:
            if name not in found:
                yield f"no map lies over '{name}', which gets 0"


@dataclass(frozen=True)
class AtLayer(ActivationMap):
    """An activation map at a layer that the user may name.

    Parameters
    ----------
    layer
        Name of a value inside the model, or of the node that makes it; None takes the last one with space.
    interpolate_mode
        How the map becomes as large as the input: ``"bilinear"`` (linear along each axis, however many) or
        ``"nearest"``.
    relu_attributions
        Whether negative places of the map count as 0.
    """

    layer: str | None = None
    interpolate_mode: Interpolation = "bilinear"
    relu_attributions: bool = True

    def lifted(self, problem: Problem) -> dict[str, Lifted]:
        """Find the layer by name, or the last one with space."""
        return find_layers(problem, self.layer)


@dataclass(frozen=True)
class GradientMap(AtLayer):
    """An activation map made of activations A and the score's gradient G at one layer."""

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Ask for activations and gradients, one block of samples at a time."""
        made = []
        for _, answer in self.blocks(problem, Probe((layer.name,))):
            a, g = (layer.maps(of[layer.name]) for of in (answer.probed, answer.values))
            made.append(self.drawn(a, g))
        return np.concatenate(made)

    @abc.abstractmethod
    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Make the map, (n, ...), of activations and gradients, (n, C, ...)."""
