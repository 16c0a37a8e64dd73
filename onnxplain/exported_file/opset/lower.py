"""Writing a finished model in an older opset, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from onnxplain.errors import OptionError
from onnxplain.exported_file.opset.older import OF_ANY_TYPE, REWRITINGS
from onnxplain.exported_file.opset.schemas import OLDEST, misfit, versions
from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal import expand_functions
from onnxplain.graph.passes.normal.expand_functions import has_body

__all__ = ["Lowered", "lower_opset"]


@dataclass(frozen=True)
class Lowered:
    """In which opset a model is written, and why in none that is older.

    Attributes
    ----------
    opset
        Version of the standard operators.
    because
        The node that needs it, and why; None where it is the one that was wanted.
    """

    opset: int
    because: str | None


@dataclass(frozen=True)
class _Need:
    """The oldest opset in which a node can be written."""

    opset: int
    node: ir.Node
    why: str

    def __str__(self) -> str:
        return f"{facts.node_label(self.node)} needs opset {self.opset} ({self.why})"


def lower_opset(model: ir.Model, wanted: int, *, strict: bool = False) -> Lowered:
    """Write a model in an older opset, or in the oldest after it in which all its nodes can be written.

    Nodes whose operator changed are written as the older version has them.  Nothing is approximated: what
    cannot be said there needs the newer opset.

    Parameters
    ----------
    model
        A model without functions; it is changed, unless it is of that opset or an older one.
    wanted
        The opset, at least :data:`OLDEST`.
    strict
        Whether to refuse what needs a newer one.  Then operators that are not there yet are written out,
        where the standard defines them by others.

    Raises
    ------
    OptionError
        If ``strict``, and a node needs a newer opset, or the model is of an older one.
    """
    now = model.graph.opset_imports.get("", 1)
    if now < wanted and strict:
        raise OptionError(f"the file is of opset {now}, and could not be raised to target_opset={wanted}")
    if now <= wanted:
        return Lowered(now, None)
    need = _most(model, now, wanted)
    if need is not None:
        infer_shapes(model)  # a type or a rank that is not known yet may be all that stops it
        need = _most(model, now, wanted)
    while strict and need is not None:
        late = {n.node.op_type for n in _needs(model, now) if n.opset > wanted}
        late = {name for name in late if has_body(name, "", now)}
        if need.node.op_type not in late:
            raise OptionError(
                f"{need}, and target_opset is {wanted}; give target_opset={need.opset} or a newer one"
            )
        expand_functions(model, partial(_late, late, now, wanted))
        infer_shapes(model)
        need = _most(model, now, wanted)
    opset, because = (wanted, None) if need is None else (need.opset, str(need))
    for version in range(now, opset, -1):
        _leave(model, version)
    model.graph.opset_imports[""] = opset
    _drop_constants(model)
    return Lowered(opset, because)


def _standard(model: ir.Model) -> Iterator[tuple[ir.Graph, ir.Node]]:
    for graph in list(graphs_of(model)):
        for node in list(graph):
            if node.domain in ("", "ai.onnx"):
                yield graph, node


def _needs(model: ir.Model, now: int) -> Iterator[_Need]:
    for _, node in _standard(model):
        yield _need(node, now)


def _late(names: Set[str], now: int, wanted: int, node: ir.Node) -> bool:
    """Whether a node is of an operator of these, and needs a newer opset than is wanted."""
    return node.op_type in names and _need(node, now).opset > wanted


def _most(model: ir.Model, now: int, wanted: int) -> _Need | None:
    """Return the first of the nodes that need the newest opset; None where none needs more than is wanted."""
    most = max(_needs(model, now), key=lambda n: n.opset, default=None)
    return most if most is not None and most.opset > wanted else None


def _need(node: ir.Node, now: int) -> _Need:
    """Find the oldest opset in which a node can be written."""
    for new, old in versions(node, now):
        since = new.since_version
        if since <= OLDEST:
            break
        if old is None:
            return _Need(since, node, "there is no such operator before")
        change = (node.op_type, since)
        rewriting = REWRITINGS.get(change)
        found = None if rewriting is None else rewriting(node)
        reason = found if isinstance(found, str) else None
        if reason is None and change not in OF_ANY_TYPE:
            reason = misfit(node, new, old, rewritten=rewriting is not None)
        if reason is not None:
            return _Need(since, node, reason)
    return _Need(OLDEST, node, "")


def _leave(model: ir.Model, version: int) -> None:
    """Write all nodes whose operator changed with a version as they were before."""
    scope, writers = free_scope(model, "opset"), dict[int, Ops]()
    for graph, node in _standard(model):
        new, old = next(versions(node, version))
        if new.since_version != version or old is None:
            continue
        rewriting = REWRITINGS.get((node.op_type, version))
        if rewriting is not None:
            step = rewriting(node)
            assert not isinstance(step, str), f"{facts.node_label(node)}: {step}"
            op = writers.setdefault(id(graph), Ops(graph, version - 1, f"{scope}/{len(writers)}"))
            op.before = node
            step(op)
        else:
            for name in set(node.attributes) & (set(new.attributes) - set(old.attributes)):
                del node.attributes[name]  # they say what is so without them


def _drop_constants(model: ir.Model) -> None:
    """Drop the constants that have become attributes."""
    for graph in graphs_of(model):
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]
