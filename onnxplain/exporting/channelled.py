"""A model and an activation map that asks for a score per channel, as one graph with a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.exporting.mapped import one_sample
from onnxplain.exporting.planned import Compared, Planned, write_plan
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized
from onnxplain.loops import Result
from onnxplain.maps.cams import lay_over
from onnxplain.maps.channels import MAP, plan_over_channels
from onnxplain.maps.frame import Place
from onnxplain.methods.cams import AblationCam, ScoreCam
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.programs import Form

__all__ = ["write_channelled"]


def write_channelled(
    normal: Normalized,
    question: Question,
    method: AblationCam | ScoreCam,
    layout: Layout,
    originals: Sequence[str],
    compared: Compared,
    *,
    at_once: int = 1,
    form: Form = "portable",
) -> Planned:
    """Write the graph: what comes before the layer, a loop over its channels, and the map.

    Parameters
    ----------
    normal, question, layout, originals, compared, at_once, form
        As :func:`onnxplain.exporting.planned.write_plan` takes them.
    method
        Which map.

    Raises
    ------
    MethodError
        If features have maps of different layers.
    NotExplainableError
        If the model has no layer with space.
    """
    lies = replace(layout, axes={**{n: layout.inner.get(n) for n in question.wrt}, **layout.axes})
    at = partial(one_sample, normal, question, method, lies)
    problem = at(None)
    found = method.lifted(problem)
    layers = list(dict.fromkeys(one.layer for one in found.values()))
    if len(layers) > 1:
        raise MethodError(
            f"the maps of several layers ({', '.join(one.name for one in layers)}) are several loops; name "
            "one layer (layer=...), or what is explained (wrt=...)"
        )
    (layer,) = layers
    own = {str(v.name) for v in normal.model.graph.inputs}
    if isinstance(method, AblationCam):
        asked = replace(question, wrt=(layer.name,))
        beside = [n for n in question.wrt if n not in own]
        compared = Compared({}, {}, None)
    else:
        asked, beside = question, [layer.name]
    unwritten = Place(Emitter(normal.model.graph, normal.opset), lies, at)
    plan = plan_over_channels(method, unwritten, layer, found)
    planned = write_plan(
        normal, asked, plan, layout, originals, compared, at_once=at_once, form=form, beside=beside
    )
    graph = planned.model.graph
    op = Emitter(graph, normal.opset, Names(graph).scope("onnxplain/map"))
    place = Place(op, lies, at, planned.beside)
    mapped = lay_over(method, place, found, {layer: planned.result.extras[MAP]})
    return replace(planned, result=Result(dict(mapped.values), extras=dict(mapped.extras)))
