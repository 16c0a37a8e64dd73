"""Which rule goes to which node: ordered matchers, resolved to a table before anything is written."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward import engine
from onnxplain.backward.registry import BackwardFunction, Category, lookup
from onnxplain.backward.rules import guided, lrp
from onnxplain.backward.rules.base import GRADIENT, Binding, Pass, Rule
from onnxplain.errors import MethodError, UnsupportedOperatorError, UnsupportedRuleError
from onnxplain.graph import facts

__all__ = ["PRESETS", "Composite", "Match", "RuleTable", "preset"]


@dataclass(frozen=True)
class Match:
    """Which nodes a rule is for; all conditions given must hold.

    Attributes
    ----------
    ops
        Operator types.
    categories
        Categories of operators.
    name
        Shell pattern for the node's name.
    """

    ops: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    name: str = "*"

    def __call__(self, node: ir.Node) -> bool:
        """Tell whether a node matches."""
        rule = lookup(node)
        if self.ops and node.op_type not in self.ops:
            return False
        if self.categories and (rule is None or rule.category not in self.categories):
            return False
        return fnmatch.fnmatchcase(node.name or "", self.name)


@dataclass(frozen=True)
class RuleTable:
    """A composite resolved for one graph: a row per node on the path.

    Attributes
    ----------
    rows
        (node name, operator, rule name), in forward order.
    functions
        What the engine runs in place of gradients.
    """

    rows: tuple[tuple[str, str, str], ...]
    functions: dict[ir.Node, BackwardFunction]

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __str__(self) -> str:
        """Print as a table."""
        widths = [max((len(r[k]) for r in self.rows), default=0) for k in range(3)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in self.rows)


@dataclass(frozen=True)
class Composite:
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
    """

    name: str
    rules: tuple[tuple[Match, Rule], ...]
    seed: str = "score"

    def resolve(self, graph: ir.Graph, outputs: Sequence[ir.Value], wrt: Sequence[ir.Value]) -> RuleTable:
        """Assign a rule to every node between ``outputs`` and ``wrt``.

        Raises
        ------
        UnsupportedOperatorError
            If an operator is unknown.
        UnsupportedRuleError
            If no rule matches a node, or a rule cannot be bound to it.
        """
        nodes, reached = engine.path(graph, outputs, wrt)
        rows: list[tuple[str, str, str]] = []
        functions: dict[ir.Node, BackwardFunction] = {}
        for node in nodes:
            rule = self._choose(node)
            row = lookup(node)
            assert row is not None
            speaks_of = range(len(node.inputs)) if row.category is Category.SUM else row.wrt
            active = tuple(k for k in speaks_of if k < len(node.inputs) and node.inputs[k] in reached)
            function = rule.bind(Binding(node, active))
            if function is not None:
                functions[node] = function
            rows.append((node.name or "", node.op_type, rule.name))
        return RuleTable(tuple(rows), functions)

    def _choose(self, node: ir.Node) -> Rule:
        if lookup(node) is None:
            raise UnsupportedOperatorError(
                f"{facts.node_label(node)} lies between the output and the input and is unknown here; "
                "run 'onnxplain inspect' to see what stops an explanation"
            )
        for match, rule in self.rules:
            if match(node):
                return rule
        raise UnsupportedRuleError(
            f"composite '{self.name}' has no rule for {facts.node_label(node)}; use a gradient method "
            "(saliency, integrated_gradients), or pass a Composite that names a rule for it"
        )


_CONVS = Match(ops=("Conv", "ConvTranspose"))
_MOVERS = Match(categories=(Category.STRUCTURAL,))
_LINEAR = Match(categories=(Category.LINEAR, Category.SUM))
_BILINEAR = Match(categories=(Category.BILINEAR,), ops=("Mul", "Div"))
_WINNERS = Match(
    ops=("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Max", "Min", "TopK"),
)
_ELEMENTWISE = Match(categories=(Category.ELEMENTWISE,))


def _layered(name: str, first: Sequence[tuple[Match, Rule]], dense: Rule) -> Composite:
    """Build what all layer-wise composites share: what happens beside the layers with weights."""
    shared: tuple[tuple[Match, Rule], ...] = (
        (_MOVERS, GRADIENT),
        (_WINNERS, GRADIENT),
        (_LINEAR, dense),
        (_BILINEAR, Pass()),
        (_ELEMENTWISE, Pass()),
    )
    return Composite(name, (*first, *shared))


def _guided(name: str, rule: Rule) -> Composite:
    rectifiers = Match(ops=guided.RECTIFIERS)
    return Composite(name, ((rectifiers, rule), (Match(), GRADIENT)), seed="one")


PRESETS: dict[str, Composite] = {
    "gradient": Composite("gradient", ((Match(), GRADIENT),), seed="one"),
    "epsilon": _layered("epsilon", (), lrp.epsilon()),
    "zplus": _layered("zplus", ((Match(ops=("Conv", "ConvTranspose", "Gemm")), lrp.zplus()),), lrp.epsilon()),
    "epsilon_plus": _layered("epsilon_plus", ((_CONVS, lrp.zplus()),), lrp.epsilon()),
    "guided_backprop": _guided("guided_backprop", guided.Guided()),
    "deconvnet": _guided("deconvnet", guided.Deconvolution()),
}


def preset(name: str | Composite) -> Composite:
    """Return a composite by name.

    Raises
    ------
    MethodError
        If there is none of that name.
    """
    if isinstance(name, Composite):
        return name
    if name not in PRESETS:
        raise MethodError(f"there is no composite '{name}'; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
