"""A model of a fixed batch as one of any batch, where that is proven and checked by running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product

import numpy as np
import onnx
import onnx_ir as ir

from onnxplain._types import Array, Shape
from onnxplain.errors import InvalidModelError, ModelRunError
from onnxplain.graph import facts
from onnxplain.graph.batch import Batch, Mixed, analyse
from onnxplain.graph.batch.free import rewrite_batch
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import Normalized, infer_shapes, normalize
from onnxplain.graph.shapes import with_all_shapes
from onnxplain.runtime.programs import Programs

__all__ = ["free_batch", "rebatch"]

_NAME = "batch"
_MOST_GUESSES = 24
#: Batches that are run at once, and one by one, to compare.
_RUNS = 3
_RTOL = 1e-4


def rebatch(model: ModelSource) -> onnx.ModelProto:
    """Give a model that takes a fixed number of samples (1, or any) a batch of any length.

    Constants that hold the number (targets of Reshape, Expand and Resize, ends of slices, states that samples
    start from) are written anew.  Then it is proven on the graph that no sample touches another, and three
    batches at once are compared with three runs of the model as it was.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``, whose inputs' lengths are all known.

    Returns
    -------
    onnx.ModelProto
        The model in the form in which it is explained (opset 18 or newer; quantised operators and half
        precision in float32); the batch axis of its inputs and outputs is called ``batch``.

    Raises
    ------
    InvalidModelError
        If a node mixes samples (it is named), or nothing proves that none does; if no batch is fixed.
    """
    made = ir.to_proto(free_batch(load(model)))
    assert isinstance(made, onnx.ModelProto)
    return made


def free_batch(loaded: ir.Model) -> ir.Model:
    """Do what :func:`rebatch` does with a loaded model, which stays as it is."""
    shapes = _shapes(loaded)
    refused: Mixed | None = None
    for axes in _guesses(shapes):
        free = loaded.clone()
        for value in free.graph.inputs:
            axis = axes.get(str(value.name))
            if axis is not None and value.shape is not None:
                dims: list[int | str] = list(shapes[str(value.name)])
                dims[axis] = _NAME
                value.shape = ir.Shape(dims)
        for value in (*free.graph.outputs, *(o for node in free.graph for o in node.outputs)):
            if value.shape is not None:
                value.shape = ir.Shape([None] * len(value.shape))
        normal = normalize(free)
        found = analyse(normal.model, axes, shapes)
        if isinstance(found, Mixed) and rewrite_batch(normal.model, axes, shapes):
            found = analyse(normal.model, axes, shapes)
        if isinstance(found, Mixed):
            refused = refused or found
            continue
        _declare(normal.model, found, shapes)
        _compare(loaded, normal, axes, shapes, found)
        return normal.model
    why = "none of its axes holds samples" if refused is None else f"{refused.node} {refused.reason}"
    raise InvalidModelError(f"the model's fixed batch cannot become any number of samples: {why}")


def _shapes(model: ir.Model) -> dict[str, Shape]:
    """Return the shapes of a model's inputs.

    Raises
    ------
    InvalidModelError
        If one is open.
    """
    found: dict[str, Shape] = {}
    for value in model.graph.inputs:
        if value.name in model.graph.initializers:
            continue
        shape = facts.static_shape(value)
        if shape is None or 0 in shape:
            raise InvalidModelError(
                f"input '{value.name}' has the shape {value.shape}, and only a batch that is fixed can be "
                "made free; fix the lengths that are open first (onnxruntime.tools.make_dynamic_shape_fixed)"
            )
        found[str(value.name)] = shape
    return found


def _guesses(shapes: Mapping[str, Shape]) -> Iterator[dict[str, int | None]]:
    """Yield where samples may lie: along the first axis of the first input, and along axes as long."""
    main = next((k for k, s in shapes.items() if s), None)
    if main is None:
        return
    batch = shapes[main][0]
    others = [k for k in shapes if k != main]
    choices = [[*[a for a, d in enumerate(shapes[k]) if d == batch], None] for k in others]
    for chosen in islice(product(*choices), _MOST_GUESSES):
        yield {main: 0, **dict(zip(others, chosen, strict=True))}


def _declare(model: ir.Model, found: Batch, shapes: Mapping[str, Shape]) -> None:
    """Give values the shapes that they have at the fixed batch, with its name where samples lie."""
    fixed = {str(v.name): v for n in with_all_shapes(model, shapes).graph for v in n.outputs}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    infer_shapes(model)
    for node in model.graph:
        for value in node.outputs:
            dims = facts.static_shape(fixed[str(value.name)]) if str(value.name) in fixed else None
            if dims is not None and str(value.name) in found.axes:
                axis = found.axes[str(value.name)]
                value.shape = ir.Shape([_NAME if k == axis else d for k, d in enumerate(dims)])


def _compare(
    source: ir.Model,
    made: Normalized,
    axes: Mapping[str, int | None],
    shapes: Mapping[str, Shape],
    found: Batch,
) -> None:
    """Run several batches at once and one by one.

    Raises
    ------
    InvalidModelError
        If anything differs, or does not run.
    """
    names = tuple(str(v.name) for v in made.model.graph.outputs)
    rng = np.random.default_rng(0)
    values = {str(v.name): v for v in made.model.graph.inputs}
    parts = [{k: _random(rng, values[k], s) for k, s in shapes.items()} for _ in range(_RUNS)]
    shared = {k for k, axis in axes.items() if axis is None}
    for part in parts[1:]:
        part.update({k: parts[0][k] for k in shared})
    whole = {k: parts[0][k] if k in shared else _joined([p[k] for p in parts], axes[k]) for k in shapes}
    try:
        before = Programs(normalize(source.clone()), "cpu")
        ones = [before.values(names, p) for p in parts]
        at_once = Programs(made, "cpu").values(names, whole)
    except ModelRunError as error:
        raise InvalidModelError(
            f"the model with any batch could not be checked by running: {error}"
        ) from error
    for name in names:
        axis = found.axes.get(name)
        wanted = ones[0][name] if axis is None else _joined([o[name] for o in ones], axis)
        if not _same(at_once[name], wanted):
            raise InvalidModelError(
                f"output '{name}' of {_RUNS} batches at once differs from theirs one by one, although "
                "nothing mixes them by the graph; the model keeps its fixed batch"
            )


def _joined(arrays: list[Array], axis: int | None) -> Array:
    assert axis is not None
    return np.concatenate(arrays, axis)


def _random(rng: np.random.Generator, value: ir.Value, shape: Shape) -> Array:
    dtype = value.dtype or ir.DataType.FLOAT
    if dtype == ir.DataType.STRING:
        return np.full(shape, "a", object)
    if dtype in facts.FLOATS:
        return rng.standard_normal(shape).astype(dtype.numpy())
    return rng.integers(0, 2, shape).astype(dtype.numpy())


def _same(a: Array, b: Array) -> bool:
    if a.shape != b.shape or a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    return bool(np.allclose(a, b, rtol=_RTOL, atol=_RTOL * scale, equal_nan=True))
