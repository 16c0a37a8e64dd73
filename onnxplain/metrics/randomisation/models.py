"""Models whose weights are drawn anew, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.explainer import Explainer
from onnxplain.graph.learned import Layer
from onnxplain.graph.redraw import Order, Redrawing, with_weights

__all__ = ["drawn_layers", "fully_random", "random_models"]


def drawn_layers(explainer: Explainer, order: Order, how: Redrawing) -> tuple[str, ...]:
    """Return the names of the layers of a model, in the order in which they are drawn.

    Raises
    ------
    MethodError
        If there are none, or some are out of reach.
    """
    return tuple(layer.name for layer in _layers(explainer, order, how))


def random_models(
    explainer: Explainer, order: Order = "top_down", how: Redrawing | None = None
) -> Iterator[tuple[str, Explainer]]:
    """Draw the weights of a model's layers, one layer after the other.

    Weights that are not drawn are those of the model itself, and are not copied; a layer is drawn once, and
    has the same weights in all models and orders.

    Parameters
    ----------
    explainer
        Of the model.
    order
        ``"top_down"`` begins at the output, and layers that were drawn stay so; ``"bottom_up"`` at the
        input; ``"independent"`` draws each layer alone, those at the input first.
    how
        How weights are drawn.

    Yields
    ------
    str, Explainer
        The layer that is drawn, and an explainer of the model.

    Raises
    ------
    MethodError
        If there are no weights to draw, or some are out of reach.
    """
    how = Redrawing() if how is None else how
    tensors: dict[ir.Value, ir.TensorProtocol] = {}
    for layer in _layers(explainer, order, how):
        drawn = how.drawn(layer)
        tensors = drawn if order == "independent" else tensors | drawn
        yield layer.name, explainer.with_model(partial(with_weights, tensors=tensors))


def fully_random(explainer: Explainer, how: Redrawing | None = None) -> Explainer:
    """Return an explainer of the model with the weights of all layers drawn; see :func:`random_models`."""
    how = Redrawing() if how is None else how
    tensors: dict[ir.Value, ir.TensorProtocol] = {}
    for layer in _layers(explainer, "top_down", how):
        tensors |= how.drawn(layer)
    return explainer.with_model(partial(with_weights, tensors=tensors))


def _layers(explainer: Explainer, order: Order, how: Redrawing) -> tuple[Layer, ...]:
    layers = how.layers(explainer.normal, order)
    if not layers:
        kinds = ", ".join(dict.fromkeys(node.op_type for node in explainer.normal.model.graph))
        raise MethodError(f"the model has no weights that could be drawn anew; it is made of {kinds}")
    return layers
