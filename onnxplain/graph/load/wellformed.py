"""What a graph must be for the passes to work on it, beyond what onnx.checker asks for."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from onnxplain.errors import InvalidModelError
from onnxplain.graph import facts

__all__ = ["check_interface", "check_nodes", "check_sources"]

#: Attributes whose number says a dtype.
_DTYPES = frozenset({"to", "dtype", "output_dtype", "stash_type"})
_BODIES = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}


def check_sources(graph: ir.Graph, what: str) -> None:
    """Make sure that every value that is read is made, and sort the nodes.

    Raises
    ------
    InvalidModelError
        If one is not, or nodes wait for each other.
    """
    known = set(graph.inputs) | set(graph.initializers.values())
    for node in graph:
        for value in node.inputs:
            if value is not None and value.producer() is None and value not in known:
                raise InvalidModelError(
                    f"{what}: node '{node.name or node.op_type}' uses '{value.name}', which nothing makes; "
                    "export it again"
                )
    for output in graph.outputs:
        if output.producer() is None and output not in known:
            raise InvalidModelError(f"{what}: nothing makes the output '{output.name}'; export it again")
    try:
        graph.sort()
    except ValueError as error:
        raise InvalidModelError(
            f"{what}: its nodes wait for each other in a circle; export it again"
        ) from error


def check_interface(graph: ir.Graph, what: str) -> None:
    """Make sure that a graph takes something, and that a call can give what it takes.

    Raises
    ------
    InvalidModelError
        If it has no inputs but initializers, inputs of optional type, or one value as output twice.
    """
    inputs = [v for v in graph.inputs if v.name not in graph.initializers]
    if not inputs:
        raise InvalidModelError(f"{what} has no inputs, so there is nothing to explain; export it with them")
    for value in inputs:
        if isinstance(value.type, ir.OptionalType):
            raise InvalidModelError(
                f"{what}: input '{value.name}' is of an optional type; export it with a tensor"
            )
    names = [v.name for v in graph.outputs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidModelError(f"{what} names the output '{name}' twice; export it again")


def check_nodes(model: ir.Model, what: str) -> None:
    """Make sure that nodes have the attributes, bodies and operands that their operators know.

    Raises
    ------
    InvalidModelError
        With the node at fault.
    """
    version = model.graph.opset_imports.get("", model.graph.opset_imports.get("ai.onnx"))
    for node in model.graph.all_nodes():
        _check_attributes(node, version, what, inside=False)
        _check_call(node, model, what)
        _check_bodies(node, what)
    for function in model.functions.values():
        version = function.opset_imports.get("", version)
        for node in function.all_nodes():
            _check_attributes(node, version, what, inside=True)
            _check_call(node, model, what)
            _check_bodies(node, what)


def _wrong(node: ir.Node, what: str, reason: str) -> InvalidModelError:
    return InvalidModelError(f"{what}: {facts.node_label(node)} {reason}; export it again")


def _check_attributes(node: ir.Node, version: int | None, what: str, *, inside: bool) -> None:
    known = _known_attributes(node, version)
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            if not inside:
                raise _wrong(node, what, f"takes its attribute '{name}' from a function, and is in none")
        elif attribute.type == ir.AttributeType.UNDEFINED or attribute.value is None:
            raise _wrong(node, what, f"has an attribute '{name}' of no type")
        if name not in known:
            continue
        if attribute.type.value != known[name].type.value:  # type: ignore[attr-defined]  # an enum; stubs know an int
            raise _wrong(node, what, f"has an attribute '{name}' of the wrong type")
        if name in _DTYPES and attribute.type == ir.AttributeType.INT and not attribute.is_ref():
            try:
                ir.DataType(attribute.as_int())
            except ValueError as error:
                raise _wrong(
                    node, what, f"names the dtype {attribute.as_int()}, which there is not"
                ) from error


def _known_attributes(node: ir.Node, version: int | None) -> dict[str, onnx.defs.OpSchema.Attribute]:
    if node.domain not in ("", "ai.onnx") or version is None:
        return {}
    try:
        return dict(onnx.defs.get_schema(node.op_type, version, "").attributes)
    except (onnx.defs.SchemaError, TypeError):  # or a version that is no int of C++
        return {}


def _check_call(node: ir.Node, model: ir.Model, what: str) -> None:
    function = model.functions.get(node.op_identifier())
    if function is None:
        return
    if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
        counts = f"{len(node.inputs)} operands and {len(node.outputs)} results"
        of = f"{len(function.inputs)} and {len(function.outputs)}"
        raise _wrong(node, what, f"calls a function of {of} with {counts}")


def _check_bodies(node: ir.Node, what: str) -> None:
    """Compare the bodies of If, Loop and Scan with their nodes."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in _BODIES:
        return
    for name in _BODIES[node.op_type]:
        attribute = node.attributes.get(name)
        if attribute is None or attribute.type != ir.AttributeType.GRAPH or attribute.is_ref():
            raise _wrong(node, what, f"has no '{name}'")
        body = attribute.as_graph()
        if node.op_type == "If":
            fits = not body.inputs and len(body.outputs) == len(node.outputs)
        elif node.op_type == "Loop":
            fits = len(body.inputs) == max(len(node.inputs), 2) and len(body.outputs) == len(node.outputs) + 1
            fits = fits and len(node.inputs) - 2 <= len(node.outputs)
        else:
            fits = len(body.inputs) == len(node.inputs) and len(body.outputs) == len(node.outputs)
        if not fits:
            raise _wrong(
                node, what, f"has {len(node.inputs)} operands and {len(node.outputs)} results, and its body "
                f"{len(body.inputs)} and {len(body.outputs)}, which do not fit together",
            )  # fmt: skip
        for value in _open_ends(body):
            raise _wrong(node, what, f"has a body that returns '{value.name}', which nothing makes")


def _open_ends(body: ir.Graph) -> Iterator[ir.Value]:
    known = set(body.inputs) | set(body.initializers.values())
    yield from (o for o in body.outputs if o.producer() is None and o.graph is body and o not in known)
