"""Which target a file explains: the one that it is given, the predicted one, or the k highest."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.exporting.inputs import check_target, take_predicted
from onnxplain.exporting.method_graph import MethodGraph
from onnxplain.exporting.outputs import INDEX
from onnxplain.exporting.top_k import write_top_k
from onnxplain.graph import facts
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized

__all__ = ["samples_at_once", "with_target"]


def with_target(
    made: ir.Model,
    several: Mapping[str | None, MethodGraph],
    normal: Normalized,
    k: int | None,
    *,
    predicted: bool,
) -> ir.Model:
    """Let the file find what is predicted, or the k highest scores; else check the target that it is given.

    Raises
    ------
    MethodError
        If there are no classes to choose the highest of.
    """
    first = next(iter(several.values()))
    name = next((g.target for g in several.values() if g.target is not None), None)
    given = next((v for v in made.graph.inputs if v.name == name), None)
    main = next(v for v in made.graph.inputs if v.name == first.main)
    output, length = first.score
    if k is not None:
        axis, samples = first.score_axis, first.axis
        if given is None or name is None or length != 1 or axis is None or samples is None:
            raise MethodError(
                f"top_k explains the highest classes of each sample, and output '{output}' is not (samples, "
                "classes); leave top_k out"
            )
        classes = first.classes
        if classes is not None and k > classes:
            raise MethodError(f"top_k is {k}, and output '{output}' has {classes} classes")
        axes = {v: a for g in several.values() for v, a in g.sample_axes.items()}
        originals = [str(v.name) for v in normal.model.graph.outputs]
        own = first.main, samples
        return write_top_k(made, k, (name, INDEX), output, axis, originals, axes, own, normal.opset)
    if given is not None:
        samples = samples_at_once(made, first)
        if samples is not None:
            given.shape = ir.Shape([samples, *(facts.dims(given) or ())[1:]])
        (take_predicted if predicted else check_target)(made, given, main, first.axis, normal.opset)
    for value in made.graph.outputs:
        if value.name == INDEX:
            value.name = Names(made.graph).free("target")
    return made


def samples_at_once(made: ir.Model, first: MethodGraph) -> int | None:
    """Return how many samples a file takes; None where that is open."""
    main = next(v for v in made.graph.inputs if v.name == first.main)
    dims = facts.dims(main)
    length = None if first.axis is None or dims is None else dims[first.axis]
    return length if isinstance(length, int) else None
