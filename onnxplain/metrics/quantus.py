"""A bridge to Quantus: its metrics ask our models, and measure our methods.

>>> import quantus, onnxplain as ox  # doctest: +SKIP
>>> model = ox.metrics.quantus.model("model.onnx")  # doctest: +SKIP
>>> scores = quantus.FaithfulnessCorrelation()(  # doctest: +SKIP
...     model=model, x_batch=x, y_batch=y, a_batch=None,
...     explain_func=ox.metrics.quantus.explain_func,
...     explain_func_kwargs={"method": "integrated_gradients", "n_steps": 20},
... )

Quantus is needed for nothing else, and imported when a model is made for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, wraps
from typing import Any

import numpy as np
from scipy.special import softmax as normalised_exponentials

from onnxplain._types import Array, Arrays
from onnxplain.backward.question import Question, explained_value
from onnxplain.errors import DataInputError, MethodError, TargetError
from onnxplain.explainer import Explainer
from onnxplain.graph.last_space import way
from onnxplain.graph.load import ModelSource
from onnxplain.graph.redraw import Order, Redrawing
from onnxplain.interchange import optional_package
from onnxplain.methods import Method, Saliency
from onnxplain.metrics.axioms.changed import changed
from onnxplain.metrics.axioms.entrances import shifted, shifted_biases
from onnxplain.metrics.randomisation.models import drawn_layers, random_models
from onnxplain.metrics.trial import by_feature

__all__ = ["Model", "explain_func", "model"]

#: Sums this near to 1 say that an output holds probabilities.
_NEAR_ONE = 1e-3

#: What SmoothMPRT hands on besides.
_BATCHES = ("a_batch", "s_batch", "custom_batch")


def model(
    source: Explainer | ModelSource, *, output: str | None = None, probabilities: bool | None = None
) -> Model:
    """Return a model as Quantus's metrics take it, and let Quantus take such.

    Quantus wraps what it is given by ``quantus.helpers.utils.get_wrapped_model``, and smooths (in SmoothMPRT)
    what ``quantus.explain`` finds; both know Keras and PyTorch alone.  The first call puts functions in their
    places that know ours, and leave others to them.

    Parameters
    ----------
    source
        An explainer of a model with one input, or what it takes.
    output
        What is predicted and explained (default: the first output of floats).
    probabilities
        Whether this output holds probabilities, so that no Softmax is put on top where a metric asks for
        one.  Default: where the graph ends in Softmax.

    Returns
    -------
    Model

    Raises
    ------
    OptionalDependencyError
        If Quantus is not installed.
    DataInputError
        If the model has several inputs.
    TargetError
        If there is no such output.
    """
    _introduce()
    explainer = source if isinstance(source, Explainer) else Explainer(source)
    if len(explainer.inputs) != 1:
        names = ", ".join(i.name for i in explainer.inputs)
        raise DataInputError(
            f"Quantus gives a model one array, and this one has {len(explainer.inputs)} inputs ({names}); "
            "measure it by onnxplain.metrics"
        )
    floats = [o.name for o in explainer.outputs if o.dtype is None or o.dtype.kind == "f"]
    if output is None and not floats:
        raise TargetError("the model has no output of floats, and Quantus reads scores")
    name = floats[0] if output is None else explainer._answering.inner.value(output, TargetError)
    return Model(explainer, name, probabilities)


def explain_func(
    model: Model | Explainer | ModelSource,
    inputs: Array,
    targets: Any,
    *,
    method: str | Method = "integrated_gradients",
    device: str | None = None,
    **options: Any,
) -> Array:
    """Explain as Quantus's ``explain_func`` does: by a method of ours.

    Attributions are not summed over channels, as Quantus's own ``explain`` does not sum them either unless it
    is told to.  What is explained is the score before a closing Softmax; ``through_softmax=True`` among
    ``explain_func_kwargs`` explains the probability, which is what Quantus's metrics predict by their default
    ``softmax=True``.

    Parameters
    ----------
    model
        What :func:`model` made, an explainer, or what that takes.
    inputs
        (N, ...).
    targets
        Classes, (N,).
    method, **options
        As :meth:`Explainer.__call__` takes them.
    device
        Given by Quantus, where its metrics are; it must be where the explainer is.

    Returns
    -------
    array, shaped like ``inputs``.

    Raises
    ------
    MethodError
        If ``device`` is another.
    OnnxplainError
        What :meth:`Explainer.__call__` raises.
    """
    shown = model if isinstance(model, Model) else None
    explainer = model.explainer if isinstance(model, Model) else model
    explainer = explainer if isinstance(explainer, Explainer) else Explainer(explainer)
    if device is not None and not _same_device(str(device), explainer.device):
        raise MethodError(
            f"Quantus is told device={str(device)!r}, and the explainer runs on {explainer.device!r}; leave "
            "the metric's device out, or make the explainer there"
        )
    asked = list(np.asarray(targets).tolist()) if targets is not None else None
    if shown is not None:
        inputs = shown.own(inputs)
        options.setdefault("output", shown.output)
        asked = None if shown.single and not any(asked or ()) else asked
    found = by_feature(explainer(inputs, asked, method, **options))
    if len(found) != 1:
        raise MethodError(f"Quantus takes one array of attributions, and {', '.join(found)} were explained")
    (values,) = found.values()
    made: Array = values.astype(np.float32)
    return made if shown is None else shown.theirs(made)


@dataclass(frozen=True, eq=False)
class Model:
    """A model as Quantus asks it: a ``quantus.ModelInterface``, made by :func:`model`.

    Attributes
    ----------
    explainer
        Of the model.
    output
        What is predicted.
    probabilities
        Whether it holds probabilities; None leaves it to the graph.
    channel_first
        Whether images have their channels first, where the model takes them; Quantus's metrics always do.
    softmax
        Whether probabilities are predicted, instead of scores before a closing Softmax.
    """

    explainer: Explainer
    output: str
    probabilities: bool | None = None
    channel_first: bool = True
    softmax: bool = False

    @cached_property
    def scored(self) -> str:
        """The value that enters a closing Softmax; where there is none, the output itself."""
        return explained_value(self.explainer._normal, Question(self.output, ()))

    @cached_property
    def single(self) -> bool:
        """Whether the output is one number for each sample, without an axis of classes."""
        shapes = {o.name: o.shape for o in self.explainer.outputs}
        shape = shapes.get(self.output)
        return shape is not None and len(shape) == 1

    def wrapped(self, channel_first: bool, softmax: bool | None, asked: Mapping[str, Any] | None) -> Model:
        """Return the same model, as a metric wants to ask it."""
        if asked:
            raise MethodError(
                f"model_predict_kwargs hold {next(iter(asked))!r}, and an ONNX model takes its inputs alone; "
                "leave them out"
            )
        return replace(self, channel_first=bool(channel_first), softmax=bool(softmax))

    def own(self, x: Array) -> Array:
        """Return arrays, channels first, as the model takes them."""
        return x if self.channel_first or x.ndim < 3 else np.moveaxis(x, 1, -1)

    def theirs(self, x: Array) -> Array:
        """Return arrays of the model's own layout with channels first."""
        return x if self.channel_first or x.ndim < 3 else np.moveaxis(x, -1, 1)

    def predict(self, x: Array, **kwargs: Any) -> Array:
        """Return what is predicted, (N, classes): probabilities, or scores before a closing Softmax.

        Where metrics ask for probabilities, and the graph does not end in Softmax, one is put on top; not
        where there is a single score for each sample.

        Raises
        ------
        TargetError
            If a Softmax would be put on top of numbers that sum to 1.
        """
        x = self.own(np.asarray(x))
        if self.softmax and (self.scored != self.output or self.probabilities):
            return self._rows(x, self.output)
        found = self._rows(x, self.scored)
        if not self.softmax or found.shape[-1] < 2:
            return found
        sums = found.sum(-1)
        if self.probabilities is None and (found >= 0).all() and (np.abs(sums - 1) < _NEAR_ONE).all():
            raise TargetError(
                f"'{self.output}' seems to hold probabilities, and the graph does not end in Softmax; say "
                "probabilities=True (or False, for a Softmax on top) to onnxplain.metrics.quantus.model"
            )
        made: Array = normalised_exponentials(found, axis=-1)
        return made

    def _rows(self, x: Array, name: str) -> Array:
        found = self.explainer._answering.inside(x, (name,))[name]
        flat = found.ndim == 1 or (found.ndim > 2 and found.size == len(found) * found.shape[1])
        return found.reshape(len(found), -1) if flat else found

    def shape_input(
        self, x: Array, shape: Sequence[int], channel_first: bool | None = None, batched: bool = False
    ) -> Array:
        """Return an array of this shape, channels first."""
        wanted = tuple(shape)
        if not batched:
            wanted = (1, *wanted)
        if batched and wanted == x.shape[1:]:  # BatchSufficiency gives the shape of one sample
            wanted = x.shape
        made = x.reshape(wanted)
        return made if channel_first in (None, True) or made.ndim < 3 else np.moveaxis(made, -1, 1)

    def get_model(self) -> Model:
        """Return the model itself: an explainer alone does not know which output is meant."""
        return self

    def get_softmax_arg_model(self) -> Model:
        """Return the model itself, which does as ``softmax`` says."""
        return self

    def state_dict(self) -> Arrays:
        """Return the weights, by name."""
        held = self.explainer._normal.model.graph.initializers
        return {str(k): v.const_value.numpy() for k, v in held.items() if v.const_value is not None}

    def get_random_layer_generator(
        self, order: Order = "top_down", seed: int = 42
    ) -> Iterator[tuple[str, Model]]:
        """Draw the weights of one layer after the other; see :class:`~onnxplain.metrics.MPRT`.

        As torch's ``reset_parameters`` draws them (ONNX does not say how a layer began): weights, biases and
        normalisations, from other random numbers.

        Parameters
        ----------
        order
            ``"top_down"``, ``"bottom_up"``, or ``"independent"``.
        seed
            Same seed, same bits.

        Yields
        ------
        str, Model
            The layer, and the model that has its weights drawn, and those before it unless independent.
        """
        for name, explainer in random_models(self.explainer, order, Redrawing("all", "torch", seed)):
            yield name, replace(self, explainer=explainer)

    @property
    def random_layer_generator_length(self) -> int:
        """How many layers have weights to draw."""
        return len(drawn_layers(self.explainer, "top_down", Redrawing("all", "torch")))

    def add_mean_shift_to_first_layer(self, input_shift: float, shape: Sequence[int]) -> Model:
        """Return the model that takes a shift of its input off again: f' with ``f'(x + shift) = f(x)``.

        The shift is in the biases of the first layers, or taken off where the input enters; see
        :class:`~onnxplain.metrics.InputInvariance`.
        """
        by = {self.explainer.inputs[0].name: float(input_shift)}
        other = changed(self.explainer, ("biases", *by.items()), partial(shifted_biases, by=by))
        if other is None:
            other = changed(self.explainer, ("shifted", *by.items()), partial(shifted, by=by))
        assert other is not None
        return replace(self, explainer=other)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the values between input and score, in order, the score itself last."""
        graph = self.explainer._normal.model.graph
        (start,) = graph.inputs
        scored = next(v for node in graph for v in node.outputs if v.name == self.scored)
        return tuple(str(v.name) for v in way(graph, start, scored).values[1:])

    def get_hidden_representations(
        self, x: Array, layer_names: Sequence[str] | None = None, layer_indices: Sequence[int] | None = None
    ) -> Array:
        """Return values inside the model, flattened and side by side, (N, K).

        Parameters
        ----------
        x
            (N, ...).
        layer_names, layer_indices
            Which: names of values or nodes, and places in :attr:`layers`; all of these if neither is given.

        Raises
        ------
        DataInputError
            If there is no such value.
        """
        layers = self.layers
        indices = list(layer_indices or ())
        wrong = [i for i in indices if not -len(layers) <= i < len(layers)]
        if wrong:
            raise DataInputError(
                f"there is no layer {wrong[0]}; the model has {len(layers)} values on its way"
            )
        find = self.explainer._answering.inner.value
        names = {find(name) for name in layer_names or ()} | {layers[i] for i in indices}
        chosen = [n for n in layers if not names or n in names] + sorted(names - set(layers))
        found = self.explainer._answering.inside(self.own(np.asarray(x)), chosen)
        return np.concatenate([v.reshape(len(v), -1) for v in found.values()], axis=1)


def _same_device(theirs: str, ours: str) -> bool:
    kind = theirs.split(":")[0].lower()
    return ("cuda" if kind == "gpu" else kind) == ours


def _introduce() -> None:
    """Let Quantus know :class:`Model`; once."""
    use = "onnxplain.metrics.quantus.model()"
    quantus = optional_package("quantus", use)
    interface = importlib.import_module("quantus.helpers.model.model_interface").ModelInterface
    interface.register(Model)
    utils: Any = importlib.import_module("quantus.helpers.utils")
    theirs = utils.get_wrapped_model
    if getattr(theirs, "knows_onnxplain", False):
        return

    @wraps(theirs)
    def get_wrapped_model(
        model: Any,
        channel_first: bool,
        softmax: bool,
        device: str | None = None,
        model_predict_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if isinstance(model, Model):
            return model.wrapped(channel_first, softmax, model_predict_kwargs)
        return theirs(model, channel_first, softmax, device, model_predict_kwargs)

    explain = quantus.explain

    @wraps(explain)
    def explain_any(model: Any, inputs: Array, targets: Any, **options: Any) -> Any:
        if isinstance(model, Model):  # SmoothMPRT calls it, whatever explain_func is
            told = {k: v for k, v in options.items() if k not in _BATCHES}
            return explain_func(model, inputs, targets, **({"method": Saliency(abs=False)} | told))
        return explain(model, inputs, targets, **options)

    get_wrapped_model.knows_onnxplain = True  # type: ignore[attr-defined]  # a mark on it
    utils.get_wrapped_model, quantus.explain = get_wrapped_model, explain_any
