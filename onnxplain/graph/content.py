"""What a model says, as one number: the same for the same content, wherever and in whatever file it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import onnx_ir as ir

from onnxplain.errors import InvalidModelError
from onnxplain.text import visible_line

__all__ = ["content_hash"]

_Token: TypeAlias = "str | ir.TensorProtocol"


def content_hash(model: ir.Model) -> str:
    """Return the SHA-256 of a model's content, in hexadecimal digits.

    Counted are opsets, functions, and of each graph its inputs, outputs, initializers and nodes: names,
    operators, attributes, dtypes, shapes and all weights.  Not counted is what changes no number: who made
    it, descriptions, metadata, inferred shapes, and whether weights lie beside the model or in it.

    Parameters
    ----------
    model
        A model as :func:`~onnxplain.graph.load.load` returns it, with its weights in memory.

    Raises
    ------
    InvalidModelError
        If the content of a tensor does not fit its type.
    """
    tokens = list(_model(model))
    tensors = [t for t in tokens if not isinstance(t, str)]
    with ThreadPoolExecutor() as pool:  # hashing needs no interpreter, so that it runs on several cores
        digests = pool.map(_tensor, tensors)
        whole = hashlib.sha256()
        for token in tokens:
            content = token.encode("utf-8", "surrogatepass") if isinstance(token, str) else next(digests)
            whole.update(len(content).to_bytes(8, "little"))
            whole.update(content)
    return whole.hexdigest()


def _tensor(tensor: ir.TensorProtocol) -> bytes:
    whole = hashlib.sha256(f"{tensor.dtype.name} {list(tensor.shape)}".encode())
    if tensor.dtype == ir.DataType.STRING:
        for text in tensor.numpy().ravel().tolist():
            content = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
            whole.update(len(content).to_bytes(8, "little"))
            whole.update(content)
    else:
        try:
            content = tensor.tobytes()
        except (AssertionError, TypeError, ValueError) as error:
            raise InvalidModelError(
                f"the content of tensor '{visible_line(tensor.name or '')}' is no {tensor.dtype.name} of "
                f"shape {list(tensor.shape)}; the file is damaged: export the model again"
            ) from error
        whole.update(content)
    return whole.digest()


def _model(model: ir.Model) -> Iterator[_Token]:
    yield from _opsets(model.opset_imports)
    yield from _graph(model.graph)
    for identifier, function in sorted(model.functions.items(), key=lambda item: item[0]):
        yield from ("function", *identifier)
        yield from _opsets(function.opset_imports)
        yield from _attributes(function.attributes.values())
        yield from _graph(function)


def _opsets(imports: dict[str, int]) -> Iterator[str]:
    for domain, version in sorted((("" if d == "ai.onnx" else d), v) for d, v in imports.items()):
        yield from ("opset", domain, str(version))


def _graph(graph: ir.Graph | ir.Function) -> Iterator[_Token]:
    for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            yield from (kind, value.name or "", str(value.type), str(value.shape))
    if isinstance(graph, ir.Graph):
        for name, value in sorted(graph.initializers.items()):
            yield from ("initializer", name)
            if value.const_value is not None:
                yield value.const_value
    for node in graph:
        yield from ("node", "" if node.domain == "ai.onnx" else node.domain, node.op_type, node.name or "")
        for kind, operands in (("takes", node.inputs), ("gives", node.outputs)):
            yield from (kind, str(len(operands)))
            yield from ("" if v is None else v.name or "" for v in operands)
        yield from _attributes(node.attributes.values())


def _attributes(attributes: Iterable[ir.Attr]) -> Iterator[_Token]:
    for a in sorted(attributes, key=lambda a: a.name):
        yield from ("attribute", a.name, a.type.name, a.ref_attr_name or "")
        value: Any = a.value
        if a.type in (ir.AttributeType.TENSORS, ir.AttributeType.GRAPHS):
            many = list(value)
            yield str(len(many))
        else:
            many = [value]
        for one in many:
            if isinstance(one, (ir.Graph, ir.Function)):
                yield from _graph(one)
            elif isinstance(one, ir.TensorProtocol):
                yield one
            else:
                yield str(one)
