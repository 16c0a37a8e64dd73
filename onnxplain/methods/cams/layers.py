"""Where activation maps are taken, and how they lie over the inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, FloatArray, Shape
from onnxplain.backward.question import explained_value
from onnxplain.errors import NotExplainableError
from onnxplain.features.lifting import Interpolation, stretched, token_grid
from onnxplain.features.places import spatial_axes
from onnxplain.graph import facts
from onnxplain.graph.interface import inputs_of
from onnxplain.graph.last_space import last_space, way
from onnxplain.runtime.opened import Opened, behind, opened
from onnxplain.runtime.problem import Problem

__all__ = ["Layer", "Lifted", "find_layers", "scored_value"]


@dataclass(frozen=True)
class Layer:
    """A value inside the model, as an array with samples first.

    Attributes
    ----------
    name
        Of the value.
    samples
        The axis of samples of the value; None where that is not known, and rows are run one by one.
    channel, space
        Axes of the array.
    extra
        Tokens in front that belong to no place.
    grid
        Lengths of the map's axes, as which its places are read.
    """

    name: str
    samples: int | None
    channel: int
    space: tuple[int, ...]
    extra: int
    grid: Shape

    def maps(self, array: Array) -> FloatArray:
        """Return (n, C, *grid), float64, of an array of the layer.

        Raises
        ------
        NotExplainableError
            If it has other axes than samples, channels and space.
        """
        front = np.moveaxis(array, (self.channel, *self.space), range(1, 2 + len(self.space)))
        lead, rest = front.shape[: 2 + len(self.space)], front.shape[2 + len(self.space) :]
        if math.prod(rest) != 1:
            raise NotExplainableError(
                f"'{self.name}' has shape {array.shape}, samples first, with axes that are neither channels "
                "nor space, such as several images for one sample; name another layer (layer=...)"
            )
        made = front.reshape(lead).astype(np.float64)
        return made[:, :, self.extra :].reshape(*lead[:2], *self.grid) if self.grid != lead[2:] else made

    def without(self, array: Array, channels: slice) -> Array:
        """Return copies of an array (n, ...), (m n, ...): in each, one of m channels is 0 at all places."""
        copies = np.repeat(array[None], channels.stop - channels.start, axis=0)
        turned = np.moveaxis(copies, self.channel + 1, 1)
        for k in range(len(copies)):
            turned[k, channels.start + k] = 0
        return copies.reshape(-1, *array.shape[1:])


@dataclass(frozen=True)
class Lifted:
    """How the maps of a layer lie over a feature.

    Attributes
    ----------
    layer
        Where they are taken.
    axes
        Axes of the feature, samples first, along which the map lies.
    parts
        In how many parts each place's number is shared (the entries of a token's embedding are summed up).
    input
        Name of the input that the feature belongs to.
    """

    layer: Layer
    axes: tuple[int, ...]
    parts: int
    input: str

    def over(self, maps: FloatArray, shape: Shape, mode: Interpolation) -> FloatArray:
        """Spread maps, (n, *grid), over a feature of shape (n, ...)."""
        made = stretched(maps, tuple(shape[a] for a in self.axes), mode)
        wide = made.reshape(
            tuple(d if a == 0 or a in self.axes else 1 for a, d in enumerate((len(maps), *shape[1:])))
        )
        return np.broadcast_to(wide / self.parts, (len(maps), *shape[1:]))


def scored_value(problem: Problem, model: Opened) -> ir.Value:
    """Return the explained value."""
    return model.values[explained_value(problem.driver.programs.source, problem.driver.question)]


def find_layers(problem: Problem, name: str | None) -> dict[str, Lifted]:
    """Find the layer of each feature, and how its maps lie over it.

    Parameters
    ----------
    problem
        What is explained.
    name
        A value whose map is asked for; None finds each feature's last value with space.

    Returns
    -------
    By feature; those that no map fits are left out.

    Raises
    ------
    NotExplainableError
        If no feature has a map.
    """
    model = opened(problem)
    key = name, tuple(problem.features), scored_value(problem, model)
    if key not in model.found:
        model.found[key] = _found(problem, model, name)
    found: dict[str, Lifted] = model.found[key]
    return found


def _found(problem: Problem, model: Opened, name: str | None) -> dict[str, Lifted]:
    chosen = None if name is None else model.values.get(name)
    if name is not None and chosen is None:
        raise NotExplainableError(f"'{name}' is the same whatever the inputs; name another layer (layer=...)")
    found: dict[str, Lifted] = {}
    reasons: list[str] = []
    scored = scored_value(problem, model)
    for feature in problem.features:
        between = way(model.graph, model.values[feature], scored)
        value = chosen or last_space(between, model.spaces, partial(_fits, problem, model, feature))
        if value is None:
            reasons.append(
                f"no value with channels and a spatial extent (or tokens) that lies over '{feature}' is "
                "between it and the score"
            )
        elif value not in between.values:
            reasons.append(f"'{value.name}' does not lie between '{feature}' and the score")
        else:
            made = _lifted(problem, model, value, feature)
            if isinstance(made, str):
                reasons.append(made)
            else:
                found[feature] = made
    if not found:
        raise NotExplainableError(
            f"{reasons[0]}; name a layer (layer=...) or an inner value to explain (wrt=...), or use "
            "integrated_gradients or lrp"
        )
    return found


def _fits(problem: Problem, model: Opened, feature: str, value: ir.Value) -> bool:
    """Tell whether a value has samples, channels and space only, and lies over a feature."""
    made = _lifted(problem, model, value, feature)
    shape, space = facts.static_shape(value), model.spaces[value]
    if isinstance(made, str) or shape is None:
        return False
    rest = [d for a, d in enumerate(shape) if a not in (made.layer.samples, space.channel, *space.axes)]
    return math.prod(rest) == 1


def _lifted(problem: Problem, model: Opened, value: ir.Value, feature: str) -> Lifted | str:
    """Lay a layer over a feature, or say why it does not fit."""
    layout, space, shape = problem.driver.layout, model.spaces.get(value), facts.static_shape(value)
    if space is None or shape is None or space.channel is None or not space.axes:
        return f"'{value.name}' has no channels and space that the graph tells of"
    if not facts.is_float(value):
        return f"'{value.name}' holds no floats"
    name = str(value.name)
    axis = layout.axes[name] if name in problem.features else layout.axis_of(name, shape)
    lengths = tuple(shape[a] for a in space.axes)
    own = model.spaces.get(model.values[feature])
    x = problem.features[feature].shape
    if own is not None:
        over = tuple(behind(a, layout.axes[feature]) for a in own.axes)
    else:  # the graph does not tell (a body hides it, say), but images are images
        over = spatial_axes(x, feature) if len(x) in (4, 5) else ()
    sides = tuple(x[a] for a in over)
    grid: tuple[int, Shape] | None = (0, lengths)
    if len(lengths) == 1:
        grid = token_grid(lengths[0], sides) if sides else None
    elif len(lengths) != len(sides):
        grid = None
    if grid is None or not sides:
        return (
            f"the map of '{value.name}' has places {lengths} and '{feature}' has shape {x}, samples first, "
            f"of which {sides or 'nothing'} is space: the one does not lie over the other"
        )
    channel = behind(space.channel, axis)
    layer = Layer(name, axis, channel, tuple(behind(a, axis) for a in space.axes), *grid)
    entry, summed = _origin(model.graph, feature)
    kept = math.prod(d for a, d in enumerate(x) if a and a not in over) * summed
    return Lifted(layer, over, max(kept, 1), entry)


def _origin(graph: ir.Graph, feature: str) -> tuple[str, int]:
    """Name a feature's input, and count what is summed up for it: features other than the input itself."""
    for info in inputs_of(graph):
        if feature in info.entries:
            return info.name, 0 if feature == info.name else len(info.entries)
    return feature, 0
