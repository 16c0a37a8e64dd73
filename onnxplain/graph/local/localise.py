"""Write a program anew for patches of one input: each layer computes what a patch reaches, and no more.

Of a value that slides into a next layer's windows only a region can differ from what it is for the input
as it was (Nakandala, Kumar & Papakonstantinou 2019).  What stands around the region, the operator
``Surround`` takes from the value as it was; beyond the ends it puts what the layer's pads are.  The numbers
are those of the whole program up to rounding: the same products are summed.  From where a region is most of
its value, or a node mixes places in another way, values are put together and computed whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain._types import IntArray, Shape
from onnxplain.graph import facts
from onnxplain.graph.local.nodes import fill_of, placewise, products, sliding, without_pads
from onnxplain.graph.local.regions import Region, Sliding
from onnxplain.graph.names import Names
from onnxplain.graph.passes.lower.matching import DOMAIN
from onnxplain.graph.shapes import with_all_shapes

__all__ = ["Localised", "localise"]

_MOST = 0.7  # of a value, beyond which it is computed whole


@dataclass(frozen=True, eq=False)
class Localised:
    """A program for patches.

    Attributes
    ----------
    model
        Takes, in place of the input, patches of it, (patches, C, h, w), and all that follows.
    places
        By name of an input int64 (patches, 2): where it says that parts begin, for each of the K patches.
    wholes
        By name of an input, (N, ...): the name of the value that it is, for inputs as they were.
    shapes
        By the same names: shapes without the samples' axis, which the program reckons with.
    gain
        How many times as many products the whole program makes.
    """

    model: ir.Model
    places: dict[str, IntArray]
    wholes: dict[str, str]
    shapes: dict[str, Shape]
    gain: float


def localise(
    model: ir.Model, name: str, output: str, shapes: Mapping[str, Shape], low: IntArray, high: IntArray
) -> Localised | None:
    """Write a program for patches of an input.

    Parameters
    ----------
    model
        The program, which is not changed.
    name
        Of the input, whose axes are samples, channels, rows and columns.
    output
        Name of the only output that is wanted.
    shapes
        Of the inputs, as they will be given, for one sample.
    low, high
        int64 (K, 2): rows and columns of the patches.

    Returns
    -------
    None where a region cannot be followed.
    """
    at = with_all_shapes(model, shapes)
    known = {str(v.name): facts.static_shape(v) for v in _values(at)}
    made = model.clone()
    kept = [v for v in made.graph.outputs if v.name == output]
    made.graph.outputs.clear()
    made.graph.outputs.extend(kept)
    common.RemoveUnusedNodesPass()(made)
    source = next((v for v in made.graph.inputs if v.name == name), None)
    whole = known.get(name)
    if source is None or whole is None or len(whole) != 4 or source.is_graph_output():
        return None
    if any(
        a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for node in made.graph
        for a in node.attributes.values()
    ):
        return None  # a body may take any value from outside
    try:
        return _Writer(made, known, source, Region.of(low, high, (whole[2], whole[3]))).written()
    except _Unfit:
        return None


def _values(model: ir.Model) -> list[ir.Value]:
    graph = model.graph
    return [*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)]


class _Unfit(Exception):  # noqa: N818  (a finding, not an error)
    """Something cannot be put together."""


@dataclass
class _Writer:
    """Writes one program; values that differ have regions, or are whole."""

    model: ir.Model
    known: dict[str, Shape | None]
    source: ir.Value
    first: Region
    regions: dict[ir.Value, Region] = field(default_factory=dict)
    whole: set[ir.Value] = field(default_factory=set)
    places: dict[str, IntArray] = field(default_factory=dict)
    wholes: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    inputs: dict[str, ir.Value] = field(default_factory=dict)
    given: dict[ir.Value, ir.Value] = field(default_factory=dict)
    joined: dict[ir.Value, ir.Value] = field(default_factory=dict)
    products: float = 0.0
    local: float = 0.0
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.model.graph)

    def written(self) -> Localised:
        graph = self.model.graph
        self.regions[self.source] = self.first
        nodes = list(graph)
        for node in nodes:
            self._write(node)
        shape = self.shape_of(self.source)
        assert shape is not None
        self.source.shape = ir.Shape(["patches", shape[1], *self.first.size])
        for node in graph:
            for value in node.outputs:
                value.shape = None
        graph.inputs.extend(self.inputs.values())
        graph.opset_imports[DOMAIN] = 1
        gain = self.products / max(self.local, 1.0)
        return Localised(self.model, self.places, self.wholes, self.shapes, gain)

    def shape_of(self, value: ir.Value) -> Shape | None:
        return self.known.get(str(value.name))

    def _write(self, node: ir.Node) -> None:
        cost = products(node, self.shape_of)
        inputs = [v for v in node.inputs if v is not None]
        differing = [v for v in inputs if v in self.regions]
        share = 1.0
        if differing and self.whole.isdisjoint(inputs) and (made := self._region(node, differing)):
            self.regions[node.outputs[0]] = made
            share = made.share
        elif differing or not self.whole.isdisjoint(inputs):
            for value in dict.fromkeys(differing):
                self._replace(node, value, self._joined(node, value))
            self.whole.update(node.outputs)
        self.products += cost
        self.local += share * cost

    def _region(self, node: ir.Node, differing: list[ir.Value]) -> Region | None:
        """Let a node compute a region, and return it; None if it is to be computed whole."""
        windows = sliding(node, self.shape_of)
        if windows is not None:
            if differing != [node.inputs[0]] or any(v.uses() for v in node.outputs[1:]):
                return None
            (value,) = differing
            made = self.regions[value].through(windows)
            if made.share > _MOST:
                return None
            self._replace(node, value, self._needed(node, value, made, windows))
            without_pads(node)
            return made
        if not placewise(node, self.shape_of, set(differing)):
            return None
        made = Region.around([self.regions[v] for v in differing])
        if made.share > _MOST and len(set(differing)) > 1:
            return None
        for value in dict.fromkeys(differing):
            self._replace(node, value, self._surround(node, value, made.start, made.size, 0.0))
        return made

    def _needed(self, node: ir.Node, value: ir.Value, made: Region, windows: Sliding) -> ir.Value:
        return self._surround(node, value, *made.needs(windows), fill_of(node))

    def _joined(self, node: ir.Node, value: ir.Value) -> ir.Value:
        """Put a whole value together, once."""
        if value not in self.joined:
            region = self.regions[value]
            start = np.zeros_like(region.low)
            self.joined[value] = self._surround(node, value, start, region.whole, 0.0)
        return self.joined[value]

    def _surround(
        self, node: ir.Node, value: ir.Value, start: IntArray, size: tuple[int, int], fill: float
    ) -> ir.Value:
        region, shape = self.regions[value], self.shape_of(value)
        if size == region.size and np.array_equal(start, region.start):
            return value
        if value.dtype != ir.DataType.FLOAT or shape is None:
            raise _Unfit
        whole = self._whole(value, shape)
        made = ir.node(
            "Surround",
            [value, whole, self._place(region.start), self._place(start)],
            {"size": list(size), "fill": [fill]},
            domain=DOMAIN,
        )
        made.outputs[0].name = self.names.free(f"{value.name}/around")
        made.outputs[0].type = value.type
        self.model.graph.insert_before(node, made)
        self.local += float(np.prod(shape[1:2]) * np.prod(size))
        return made.outputs[0]

    def _whole(self, value: ir.Value, shape: Shape) -> ir.Value:
        """Return the input for a value as it was."""
        if value not in self.given:
            name = self.names.free(f"{value.name}/whole")
            self.wholes[name], self.shapes[name] = str(value.name), shape[1:]
            self.given[value] = self.inputs[name] = ir.Value(
                name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["samples", *shape[1:]])
            )
        return self.given[value]

    def _place(self, start: IntArray) -> ir.Value:
        """Return the input that says where something begins."""
        for name, known in self.places.items():
            if np.array_equal(known, start):
                return self.inputs[name]
        name = self.names.free(f"onnxplain/place_{len(self.places)}")
        self.places[name] = start
        self.inputs[name] = ir.Value(
            name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(["patches", 2])
        )
        return self.inputs[name]

    @staticmethod
    def _replace(node: ir.Node, value: ir.Value, by: ir.Value) -> None:
        for k, given in enumerate(node.inputs):
            if given is value:
                node.replace_input_with(k, by)
