"""Which rule goes to which node: ordered matchers, resolved to a table before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from onnxplain.backward import engine
from onnxplain.backward.composites.leaks import refuse_leaks
from onnxplain.backward.composites.match import Match
from onnxplain.backward.composites.places import WHOLE, Place, Span, active_inputs, find_places
from onnxplain.backward.emitter import Chooser
from onnxplain.backward.hashed import HashedOnce
from onnxplain.backward.registry import BackwardFunction, Category, lookup
from onnxplain.backward.rules.base import Binding, Gradient, Pass, Rule
from onnxplain.backward.rules.pieces import interior
from onnxplain.errors import UnsupportedOperatorError, UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.patterns.gates import signal
from onnxplain.graph.patterns.regions import regions
from onnxplain.graph.patterns.written_norms import WrittenNorm, written_norms
from onnxplain.graph.traits import Is, is_a
from onnxplain.text import visible_line

__all__ = ["Composite", "Match", "RuleTable"]


@dataclass(frozen=True)
class RuleTable:
    """A composite resolved for one graph: a row per node on the path.

    Attributes
    ----------
    rows
        (node name, operator, rule name), in forward order; the nodes of bodies follow the node they are of.
    functions
        What the engine runs in place of gradients.
    choosers
        How rules are chosen inside the bodies of control flow and recurrent nodes.
    differences
        Whether the walk follows differences from a reference, instead of derivatives.
    """

    rows: tuple[tuple[str, str, str], ...]
    functions: Mapping[ir.Node, BackwardFunction]
    choosers: Mapping[ir.Node, Chooser] = field(default_factory=dict)
    differences: bool = False

    def function(self, node: ir.Node) -> BackwardFunction | None:
        """Return what to run in place of a node's gradient; None for the gradient itself."""
        return self.functions.get(node)

    def inside(self, node: ir.Node) -> Chooser | None:
        """Return how to choose rules inside a node's bodies."""
        return self.choosers.get(node)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __str__(self) -> str:
        """Format as a table."""
        rows = [tuple(visible_line(cell) for cell in row) for row in self.rows]
        widths = [max((len(r[k]) for r in rows), default=0) for k in range(3)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows)


@dataclass(frozen=True, repr=False)
class Composite(HashedOnce):
    """An ordered list of (matcher, rule); the first match wins.

    Attributes
    ----------
    name
        Shown to the user.
    rules
        Pairs of matcher and rule.
    seed
        What the walk starts from at the explained score: ``"one"`` (gradients) or ``"score"`` (relevance,
        so that the attributions sum to the score).
    regions
        Whether a piece of several nodes that is one function of each element (an activation that the
        exporter wrote out, such as ``x * sigmoid(x)``) takes one rule, as one elementwise operator would.
    preparation
        What is done to the graph before: names of :data:`onnxplain.backward.preparation.PREPARATIONS`.
    reference
        Whether the rules compare with the activations at a reference input.
    needs
        Operators of which at least one must be on the way, for the composite to make sense.
    bias
        What the rules do with the share of biases, where it is known that all do the same.
    holds
        How many times what a plain gradient keeps alive a walk does (measured).
    changes
        Names of the rules without which the composite is the plain gradient.
    """

    name: str
    rules: tuple[tuple[Match, Rule], ...]
    seed: str = "score"
    regions: bool = True
    preparation: tuple[str, ...] = ()
    reference: bool = False
    needs: tuple[str, ...] = ()
    bias: str | None = None
    holds: int = 1
    changes: tuple[str, ...] = ()

    __hash__ = HashedOnce.__hash__

    def __repr__(self) -> str:
        """Write the name; the rules, resolved for a model, are in the rule table."""
        return f"<Composite '{self.name}' with {len(self.rules)} rules>"

    def remarks(self, rows: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
        """Say what a person must know of a walk with these rows (node, operator, rule)."""
        if not self.changes or any(rule in self.changes for _, _, rule in rows):
            return ()
        what = "no activation between the output and the input that its rule is for"
        return (f"{self.name} found {what}, so this is the plain gradient",)

    def resolve(
        self,
        graph: ir.Graph,
        outputs: Sequence[ir.Value],
        wrt: Sequence[ir.Value],
        span: Span = WHOLE,
    ) -> RuleTable:
        """Assign a rule to every node between ``outputs`` and ``wrt``, and to those of their bodies.

        Parameters
        ----------
        graph
            The graph.
        outputs, wrt
            Where the walk starts, and where it ends.
        span
            Which part of the model the graph is, where it is a body.

        Raises
        ------
        UnsupportedOperatorError
            If an operator is unknown.
        UnsupportedRuleError
            If no rule matches a node, or a rule cannot be bound to it.
        """
        nodes, reached, pieces = self._walk(graph, outputs, wrt)
        if self.needs and span == WHOLE and not any(n.op_type in self.needs for n in nodes):
            raise UnsupportedRuleError(
                f"composite '{self.name}' is for networks with {' or '.join(self.needs)}, and there is none "
                "between the output and the input; use a gradient method (saliency, integrated_gradients)"
            )
        norms = self._norms(graph, outputs, wrt, pieces, span)
        pieces |= {node: norm.source for node, norm in norms.items()}
        nodes = _without_interiors(nodes, outputs, reached, pieces)
        places = find_places(nodes, reached, pieces, span, norms)
        chosen = {node: self._choose(places[node]) for node in nodes if not _has_bodies(node)}
        silent = _silent_where_zero(nodes, chosen, pieces, outputs)
        users = _users(nodes, pieces)
        rows: list[tuple[str, str, str]] = []
        functions: dict[ir.Node, BackwardFunction] = {}
        choosers: dict[ir.Node, Chooser] = {}
        for node in nodes:
            if _has_bodies(node):
                choosers[node] = self._chooser(places[node].span)
                rows.append((node.name or "", node.op_type, "inside"))
                rows += self._body_rows(node, reached, places[node].span)
                continue
            rule = chosen[node]
            binding = Binding(
                node,
                active_inputs(node, reached),
                None if node in norms else pieces.get(node),
                signal(node, reached),
                _rectified(node, users, chosen, silent, outputs),
                norms.get(node),
            )
            function = rule.bind(binding)
            if function is not None:
                functions[node] = function
            rows.append((node.name or "", node.op_type, rule.name))
        return RuleTable(tuple(rows), functions, choosers, self.reference)

    def must_follow(self, graph: ir.Graph, outputs: Sequence[ir.Value], wrt: Sequence[ir.Value]) -> None:
        """Refuse a graph, as it is before the reference is added, in which differences would get lost.

        Raises
        ------
        UnsupportedRuleError
            If the rules compare with a reference, and cannot follow all that depends on ``wrt``.
        """
        if self.reference:
            refuse_leaks(self.name, self._walk, graph, outputs, wrt)

    def _walk(
        self, graph: ir.Graph, outputs: Sequence[ir.Value], wrt: Sequence[ir.Value]
    ) -> tuple[list[ir.Node], set[ir.Value], dict[ir.Node, ir.Value]]:
        """Return the nodes that are walked through, what depends on ``wrt``, and which nodes close pieces."""
        nodes, reached = engine.between(graph, outputs, wrt)
        for node in nodes:
            _must_be_known(node)
        smooth = {v for v in reached if facts.is_float(v)}
        pieces = _free_of(wrt, regions(nodes, smooth)) if self.regions else {}
        return _without_interiors(nodes, outputs, reached, pieces), reached, pieces

    def _norms(
        self,
        graph: ir.Graph,
        outputs: Sequence[ir.Value],
        wrt: Sequence[ir.Value],
        pieces: Mapping[ir.Node, ir.Value],
        span: Span,
    ) -> dict[ir.Node, WrittenNorm]:
        """Find the normalisations that are written out and that have a rule that takes each for one node."""
        if not self.regions:
            return {}
        nodes, reached = engine.between(graph, outputs, wrt)
        found = written_norms(nodes, reached, {*outputs, *wrt})
        sources = _free_of(wrt, {node: norm.source for node, norm in found.items() if node not in pieces})
        places = find_places([n for n in nodes if n in sources], reached, sources, span, sources)
        return {
            node: found[node]
            for node, place in places.items()
            if getattr(self._first_match(place), "takes_written_norms", False)
        }

    def _first_match(self, place: Place) -> Rule | None:
        return next((rule for match, rule in self.rules if match(place)), None)

    def _choose(self, place: Place) -> Rule:
        rule = self._first_match(place)
        if rule is not None:
            return rule
        raise UnsupportedRuleError(
            f"composite '{self.name}' has no rule for {facts.node_label(place.node)}; use a gradient method "
            "(saliency, integrated_gradients), or pass a Composite that names a rule for it"
        )

    def _chooser(self, span: Span) -> Chooser:
        return lambda graph, outputs, wrt: self.resolve(graph, outputs, wrt, span)

    def _body_rows(self, node: ir.Node, reached: set[ir.Value], span: Span) -> list[tuple[str, str, str]]:
        """Resolve the bodies of a node, so that what stands in the way is told before anything is written."""
        rows: list[tuple[str, str, str]] = []
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                body = attribute.as_graph()
                ends = [v for v in (*body.inputs, *reached) if facts.is_float(v)]
                outputs = [v for v in body.outputs if facts.is_float(v)]
                rows += self.resolve(body, outputs, ends, span).rows
        return rows


def _must_be_known(node: ir.Node) -> None:
    if lookup(node) is None:
        raise UnsupportedOperatorError(
            f"{facts.node_label(node)} lies between the output and the input and is unknown here; "
            "run 'onnxplain inspect' to see what stops an explanation"
        )


def _has_bodies(node: ir.Node) -> bool:
    row = lookup(node)
    return row is not None and row.collective is not None


def _free_of(wrt: Sequence[ir.Value], pieces: Mapping[ir.Node, ir.Value]) -> dict[ir.Node, ir.Value]:
    """Leave out the pieces inside which values lie that are asked for: these must be walked node by node."""
    asked = {p for v in wrt if (p := v.producer()) is not None}
    if not asked:
        return dict(pieces)
    return {n: s for n, s in pieces.items() if asked.isdisjoint(i for i in interior(n, s) if i is not n)}


def _without_interiors(
    nodes: Sequence[ir.Node],
    outputs: Sequence[ir.Value],
    reached: set[ir.Value],
    pieces: Mapping[ir.Node, ir.Value],
) -> list[ir.Node]:
    """Leave out the nodes inside pieces that are walked through as one."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if any(o in needed for o in node.outputs):
            kept.append(node)
            ends = _ends(node, pieces)
            needed.update(v for v in ends if v in reached)
    kept.reverse()
    return kept


def _silent_where_zero(
    nodes: Sequence[ir.Node],
    chosen: Mapping[ir.Node, Rule],
    pieces: Mapping[ir.Node, ir.Value],
    outputs: Sequence[ir.Value],
) -> set[ir.Value]:
    """Find the values that get no relevance where they are 0: all rules above give in proportion to them."""
    loud: set[ir.Value] = set()
    for node in reversed(nodes):
        rule = chosen.get(node)
        ends = _ends(node, pieces)
        row = lookup(node)
        moves = (
            row is not None
            and isinstance(rule, Gradient)
            and (row.category is Category.STRUCTURAL or is_a(node, Is.EXTREME))
            and not any(o in loud for o in node.outputs)
        )
        if not moves and not getattr(rule, "proportional", False):
            loud.update(ends)
    values = {o for node in nodes for o in node.outputs} - loud
    return values - set(outputs)


def _ends(node: ir.Node, pieces: Mapping[ir.Node, ir.Value]) -> Sequence[ir.Value]:
    """Return what a node hands relevance to: the values that it uses, or where the piece it closes begins."""
    return [pieces[node]] if node in pieces else engine.used_values(node)


def _users(nodes: Sequence[ir.Node], pieces: Mapping[ir.Node, ir.Value]) -> dict[ir.Value, list[ir.Node]]:
    """Return for each value the nodes that hand relevance to it."""
    users: dict[ir.Value, list[ir.Node]] = {}
    for node in nodes:
        for value in _ends(node, pieces):
            users.setdefault(value, []).append(node)
    return users


def _rectified(
    node: ir.Node,
    users: Mapping[ir.Value, Sequence[ir.Node]],
    chosen: Mapping[ir.Node, Rule],
    silent: set[ir.Value],
    outputs: Sequence[ir.Value],
) -> ir.Value | None:
    """Return the output of the ReLU behind a node, if relevance comes only where that is positive."""
    value = node.outputs[0]
    if value in outputs:
        return None
    found = users.get(value, ())
    for user in found:
        passes_on = user.op_type == "Relu" and isinstance(chosen[user], (Pass, Gradient))
        if not passes_on or user.outputs[0] not in silent:
            return None
    return found[0].outputs[0] if found else None
