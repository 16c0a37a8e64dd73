"""What a score is the sum of, for the rows of a problem: the parts by proof, their numbers, their weights."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnxplain._types import Arrays, IntArray, Shape
from onnxplain.backward.asks import Probe, Walk
from onnxplain.backward.question import explained_value
from onnxplain.errors import InvalidModelError, NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.classic.trees import is_ensemble, scores_of
from onnxplain.graph.columns import Columns, follow, parts
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.shapes import at_shapes
from onnxplain.graph.trees import Ensemble, parse
from onnxplain.runtime.axes import first, laid_out
from onnxplain.runtime.driver import Answer, Driver, Rows
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.problem import Problem

__all__ = ["Parts", "Piece", "Trees", "find_parts", "numbers_of", "weights_of"]


@dataclass(frozen=True, eq=False)
class Piece:
    """A value inside the model, of which each element depends on one player at most.

    Attributes
    ----------
    name
        Of the value.
    owners
        int64 (elements of one sample,): the player of each; -1 for none.
    """

    name: str
    owners: IntArray


@dataclass(frozen=True, eq=False)
class Trees:
    """An ensemble of trees, of whose input each column depends on one player at most.

    Attributes
    ----------
    ensemble
        The trees.
    input, scores
        Names of what enters it, and of what it gives.
    owners
        int64 (columns,): the player of each; -1 for none.
    """

    ensemble: Ensemble
    input: str
    scores: str
    owners: IntArray


@dataclass(frozen=True, eq=False)
class Parts:
    """A score is a constant and a sum over the elements of all parts, each times a weight."""

    pieces: tuple[Piece, ...]
    trees: tuple[Trees, ...]

    @property
    def summed(self) -> tuple[str, ...]:
        """Names of the values whose elements are added up."""
        return (*(p.name for p in self.pieces), *(t.scores for t in self.trees))


def find_parts(problem: Problem, *, aside: bool = False) -> Parts:
    """Take the explained score apart; found once for the same players and shapes.

    Parameters
    ----------
    problem
        Rows that have the same players.
    aside
        Also keep apart what depends on nobody's elements and on inputs that are not explained, so that rows
        may differ there: such an element is made of these alone, and has no owner.

    Raises
    ------
    NotExplainableError
        If the score is no such sum; it names the node that stands against it.
    """
    driver, layout = problem.driver, problem.driver.layout
    shapes = {k: _shape(v.shape[1:], k, layout) for k, v in problem.features.items()}
    shapes |= {k: _one(v.shape, k, layout) for k, v in driver.fixed.items()}
    players = {
        k: np.broadcast_to(laid_out(v[:1], layout.axes[k]), shapes[k]) for k, v in problem.players.ids.items()
    }
    nobody = problem.players.count if aside else None
    if nobody is not None:
        players = {k: np.where(v < 0, nobody, v) for k, v in players.items()}
        players |= {k: np.full(shapes[k], nobody) for k in driver.fixed}
    question = driver.question
    scored = explained_value(driver.programs.source, question)
    told = tuple((k, v.tobytes()) for k, v in sorted(players.items()))
    key = "parts", scored, tuple(sorted(shapes.items())), told, nobody

    def find() -> Parts:
        return _found(driver.programs.source, scored, shapes, players, layout, nobody)

    return driver.programs.found(key, find)


def numbers_of(parts: Parts, problem: Problem) -> Answer:
    """Compute, for all rows, what is added up and what enters the trees."""
    names = dict.fromkeys((*(p.name for p in parts.pieces), *(t.input for t in parts.trees)))
    return problem.ask(Probe((*names, *(t.scores for t in parts.trees)), gradients=False))


def weights_of(parts: Parts, problem: Problem, numbers: Arrays) -> Arrays:
    """Return how much each element of each part counts in each row's score: the slope behind it.

    Parameters
    ----------
    parts, problem
        The sum, and the rows.
    numbers
        What :func:`numbers_of` found of them.

    Returns
    -------
    By name, float64 (n, elements).
    """
    driver, summed = problem.driver, parts.summed
    layout = driver.layout
    axes = dict(layout.axes)
    for name in summed:
        axes[name] = layout.inner.get(name, 0 if layout.n == 1 or layout.exact == 1 else None)
        if name in driver.layout.axes:
            axes[name] = driver.layout.axes[name]
    behind = Driver(
        driver.programs, replace(driver.question, wrt=summed, nested=True), replace(layout, axes=axes),
        driver.fixed, driver.room, Walk(),
    )  # fmt: skip
    found = behind.ask(Walk(), Rows({k: numbers[k] for k in summed}, problem.rows, problem.target, {}))
    return {k: v.reshape(problem.n, -1).astype(np.float64) for k, v in found.values.items()}


def _found(
    source: Normalized,
    scored: str,
    shapes: Mapping[str, Shape],
    players: Mapping[str, IntArray],
    layout: Layout,
    nobody: int | None,
) -> Parts:
    model = at_shapes(source.model, shapes)
    read: dict[ir.Node, Ensemble] = {}
    for node in filter(is_ensemble, model.graph):  # broken ones are refused wherever they stand
        with suppress(NotExplainableError):
            read[node] = _read(node)
    columns = follow(model.graph, players, source.opset)
    values = {v.name: v for node in model.graph for v in node.outputs}
    values |= {v.name: v for v in model.graph.inputs}
    found = parts(columns, values[scored])
    pieces = [Piece(str(v.name), _owners(columns, v, layout, nobody).ravel()) for v in found.pieces]
    trees = []
    for node in found.ensembles:
        x = node.inputs[0]
        assert x is not None
        owners = _owners(columns, x, layout, nobody)
        if owners.ndim != 1:
            raise NotExplainableError(
                f"{facts.node_label(node)} gets several rows for one sample of the call; say where samples "
                "lie (batch_axes=), or use kernel_shap"
            )
        ensemble = _plain_sum(node, read[node] if node in read else parse(node))
        trees.append(Trees(ensemble, str(x.name), str(scores_of(node).name), owners))
    return Parts(tuple(pieces), tuple(trees))


def _read(node: ir.Node) -> Ensemble:
    """Return a node's trees, which must not ask for more columns than there are."""
    ensemble = parse(node)
    dims = facts.dims(node.inputs[0]) if node.inputs[0] is not None else None
    if dims and isinstance(dims[-1], int) and ensemble.n_columns > dims[-1]:
        raise InvalidModelError(
            f"{ensemble.name} asks for column {ensemble.n_columns - 1}, but gets {dims[-1]} columns; give as "
            "many, or export the model again"
        )
    return ensemble


def _plain_sum(node: ir.Node, ensemble: Ensemble) -> Ensemble:
    """Return a node's trees, if their scores are sums."""
    step = "" if ensemble.post_transform == "NONE" else f"ends in {ensemble.post_transform}"
    step = step if ensemble.additive else f"takes the {ensemble.aggregate} over its trees"
    if step:
        raise NotExplainableError(
            f"{facts.node_label(node)} {step}, so its scores are no sum of what its trees say; use "
            "kernel_shap, which asks for scores alone"
        )
    return ensemble


def _owners(columns: Columns, value: ir.Value, layout: Layout, nobody: int | None) -> IntArray:
    """Return the player of each element of one sample, -1 for none."""
    code = columns.code(value)
    assert code is not None  # the parts are known to be apart
    name = str(value.name)
    axis = layout.axes[name] if name in layout.axes else layout.inner.get(name, 0 if layout.n == 1 else None)
    owners = np.asarray(first(code, axis)[0] - 1) if axis is not None else code - 1
    return owners if nobody is None else np.where(owners == nobody, -1, owners)


def _shape(each: Shape, name: str, layout: Layout) -> Shape:
    axis = layout.axes[name]
    return each if axis is None else (*each[:axis], layout.exact or 1, *each[axis:])


def _one(shape: Shape, name: str, layout: Layout) -> Shape:
    axis = layout.axes[name]
    return (
        shape if axis is None else tuple(layout.exact or 1 if k == axis else d for k, d in enumerate(shape))
    )
