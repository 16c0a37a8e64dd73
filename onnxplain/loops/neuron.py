"""What comes back through one entry of a layer, as a body of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnxplain.backward.asks import Walk
from onnxplain.backward.engine import backward
from onnxplain.backward.opened import named, open_model
from onnxplain.backward.picking import pick
from onnxplain.backward.program import finish
from onnxplain.backward.question import Question, find_output, find_value
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.normalize import Normalized
from onnxplain.loops.body import Body
from onnxplain.methods.inner.neurons import ThroughNeuron

__all__ = ["through_neuron"]


def through_neuron(
    normal: Normalized, question: Question, asked: ThroughNeuron, samples: int | None, keep: Sequence[str]
) -> Body:
    """Write the graph that walks back to a layer, and on from one of its entries alone.

    Parameters
    ----------
    normal
        The model.
    question
        What is explained; the features are cut.
    asked
        Which entry.
    samples
        Where the layer's samples lie.
    keep
        Names of the model's outputs.

    Raises
    ------
    MethodError
        If the lengths of the layer are not known.
    TargetError
        If there is no such entry.
    NotExplainableError
        If the neuron is not between the features and the score.
    """
    opened = open_model(normal, replace(question, ask=Walk()), keep)
    op, names, graph = opened.op, opened.names, opened.model.graph
    asked.must_be_inside(find_value(normal.model.graph, asked.layer))
    layer = find_value(graph, asked.layer)
    each = [d for k, d in enumerate(facts.dims(layer) or ()) if k != samples]
    asked.must_index(each)
    if not each or not all(isinstance(d, int) for d in each):
        raise MethodError(
            f"the shape of '{asked.layer}' is not known before a run, so that a file cannot name its entry; "
            "run onnx.shape_inference on the model, or use the Explainer"
        )
    target = names.free("target")
    with op.arithmetic():
        picked = pick(
            op, opened.like_output(opened.scored), question.output, question.target, question.target_axes,
            question.output_axis, "one", target,
        )  # fmt: skip
    seed = opened.like_scored(picked.seed)
    slope = backward(op, {opened.scored: seed}, [layer])[layer]
    entry = np.zeros([d for d in each if isinstance(d, int)], (layer.dtype or ir.DataType.FLOAT).numpy())
    entry[asked.index] = 1
    alone = entry if samples is None else np.expand_dims(entry, samples)
    through = op.annotate(op.Mul(slope, op.const(alone)), layer)
    found = backward(op, {layer: through}, opened.wrt)
    score = named(op, picked.score, names.free("score"))
    made = [
        named(op, found[v], names.free(f"attribution/{label}"), like=v)
        for label, v in zip(question.wrt, opened.wrt, strict=True)
    ]
    index = []
    if question.target == "predicted" and picked.index is not None:
        index = [named(op, picked.index, names.free("index"))]
    others = [find_output(graph, name) for name in keep if name != question.output]
    finish(opened.model, [opened.output, score, *made, *others, *index], drop_inputs=True)
    return Body(
        opened.model, target, str(score.name), tuple(str(v.name) for v in made),
        index=str(index[0].name) if index else None,
    )  # fmt: skip
