"""The facade: a model that answers why."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from onnxplain._types import ArrayLike, Arrays
from onnxplain.answering import Answering, Posed
from onnxplain.attribution import Attribution
from onnxplain.automatic import AUTO, explain_best
from onnxplain.baselines import Baselines
from onnxplain.columns import find_columns, stated_columns
from onnxplain.errors import (
    NotExplainableError,
    OnnxplainError,
    UnsupportedOperatorError,
    UnsupportedRuleError,
)
from onnxplain.forking import quiet
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.packing import pack, unpack
from onnxplain.grouping import Grouping
from onnxplain.inputs import check_inputs
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.options import Bytes, Count, check_option
from onnxplain.placing import Placed, place
from onnxplain.reading import read
from onnxplain.request import Request
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.device import resolve
from onnxplain.runtime.memory import DEFAULT_BUDGET
from onnxplain.runtime.operators import accelerated, note_on
from onnxplain.runtime.programs import Programs
from onnxplain.runtime.weights import WeightStore
from onnxplain.specialised import leaves_ranks_open, specialised
from onnxplain.text import visible_line

__all__ = ["EXPLAINERS_OWN", "Explainer", "explain"]

#: Options that explainers take, and calls do not.
EXPLAINERS_OWN = ("device", "memory_budget", "threads", "allow_tf32", "accelerate")

#: What else a request says.
_ASKED = (
    "baselines", "feature_mask", "output", "wrt", "through_softmax", "batch_axes", "internal_batch_size",
    "progress",
)  # fmt: skip

_Answer = TypeVar("_Answer", Attribution, Posed)
_Options: TypeAlias = tuple[str, int, "int | None", bool, "bool | str"]

#: Forms of a model for inputs of certain shapes that are kept, where only these tell what is needed.
_MOST_SHAPES = 4


class Explainer:
    """Explains one model; reads and checks it once, and may be called from several threads.

    Explainers can be pickled and copied, and used in forked processes; the model travels along, and is
    compiled anew there.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    device
        ``"auto"`` (CUDA if there is one), ``"cpu"`` or ``"cuda"``.
    memory_budget
        Bytes that the activations of one internal batch may take; those kept between calls take no more.
    threads
        Threads within an operator; None leaves it to onnxruntime.
    allow_tf32
        Let a GPU compute products of float32 with 10 bits of mantissa (TF32), which is faster and less exact.
    accelerate
        ``"auto"``: with onnxplain's own operators where their library loads and has them for the device: the
        same numbers, faster.  False: operators of the standard alone.  True: an error where ours do not run.

    Attributes
    ----------
    inputs, outputs
        What the model takes and gives.
    notes
        What was changed while reading.
    metadata
        What the model says of itself, by key.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If the model cannot be read.
    RuntimeUnavailableError
        If the device is not there, or onnxruntime would run on another.

    Examples
    --------
    >>> import onnxplain as ox
    >>> explainer = ox.Explainer("resnet50.onnx")  # doctest: +SKIP
    >>> result = explainer(image, target=281, method=ox.IntegratedGradients(n_steps=50))  # doctest: +SKIP
    >>> result.values.shape, result.delta  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        device: str = "auto",
        memory_budget: int = DEFAULT_BUDGET,
        threads: int | None = None,
        allow_tf32: bool = False,
        accelerate: bool | Literal["auto"] = "auto",
    ) -> None:
        resolve(device)
        memory_budget = check_option("memory_budget", memory_budget, Bytes)
        threads = check_option("threads", threads, Count | None)
        allow_tf32 = check_option("allow_tf32", allow_tf32, bool)
        accelerate = check_option("accelerate", accelerate, bool | Literal["auto"])
        accelerated(accelerate, resolve(device))
        with quiet:
            normal = read(model, identify=True)
        self._open(normal, (device, memory_budget, threads, allow_tf32, accelerate))

    def _open(self, normal: Normalized, options: _Options, weights: WeightStore | None = None) -> None:
        self._normal, self._options = normal, options
        self._answering = Answering(normal, *options, weights=weights)
        self._fixed: Cache[Answering] = Cache(_MOST_SHAPES, 0, lambda _: 0)
        self.inputs: tuple[InputInfo, ...] = self._answering.inputs
        self.outputs: tuple[OutputInfo, ...] = self._answering.outputs
        self.notes = (*normal.notes, *note_on(options[-1], self.device))
        self.metadata = normal.model.metadata_props
        self._columns = stated_columns(self.inputs, self.metadata)
        self.memory_budget = self._answering.memory_budget

    def __getstate__(self) -> dict[str, Any]:
        return {"model": pack(self._normal), "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(unpack(state["model"]), state["options"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Explainer:
        return copy.copy(self)  # weights are not written to: both may have the same

    def __repr__(self) -> str:
        """Summarise: what goes in, what comes out, where."""
        takes, gives = (", ".join(visible_line(v.name) for v in of) for of in (self.inputs, self.outputs))
        return f"Explainer({takes} -> {gives}, on {self.device})"

    def with_model(self, change: Callable[[Normalized], Normalized]) -> Explainer:
        """Return an explainer of the model with a change, with the same options; what both have is shared.

        Parameters
        ----------
        change
            From the model in normal form, which it does not touch, to another one.
        """
        made = object.__new__(Explainer)
        with quiet:
            made._open(change(self._normal), self._options, self._programs.weights)
        return made

    @property
    def normal(self) -> Normalized:
        """The model in normal form, which nobody may change."""
        return self._normal

    @property
    def device(self) -> str:
        """Where programs run: ``"cpu"`` or ``"cuda"``."""
        return self._programs.device

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model's content as it was read, wherever its weights lie."""
        return self._normal.content

    @property
    def _programs(self) -> Programs:
        return self._answering.programs

    def predict(self, inputs: ArrayLike) -> Arrays:
        """Run the model as it is, on arrays or a table as in :meth:`__call__`.

        Returns
        -------
        dict of arrays, by output name.
        """
        _, inputs = find_columns(inputs, None, self._columns)
        arrays = check_inputs(inputs, self.inputs, walked=False)
        names = tuple(o.name for o in self.outputs)
        return self._answering.samples(arrays, (), names, None).values(names)

    def __call__(
        self,
        inputs: ArrayLike,
        target: Any = None,
        method: str | Method = "integrated_gradients",
        *,
        baselines: Baselines | None = None,
        feature_mask: Grouping | None = None,
        feature_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        output: str | None = None,
        wrt: str | Sequence[str] | None = None,
        layer: str | Sequence[str] | None = None,
        neuron: tuple[str, Any] | None = None,
        through_softmax: bool = False,
        batch_axes: int | Mapping[str, int | None] | None = None,
        internal_batch_size: int | None = None,
        progress: bool = False,
        **parameters: Any,
    ) -> Attribution:
        """Explain a batch.

        Parameters
        ----------
        inputs
            (N, ...) array, or arrays by input name; or a table (data frame, Arrow table, structured array,
            dict of columns): each column is the input of its name, or all are one input (N, C).
        target
            Which score: an int, a list with one per sample, an index tuple for outputs with more axes (or a
            list of one per sample), ``"predicted"`` for each sample's highest, None for a model with a single
            score.  It indexes one sample's output; where the arrays are one sample, the whole output.
            ``ox.Weights(array)`` is a weighted sum, ``ox.Region(mask, class_)`` a part of a map,
            ``ox.Detection(box, class_)`` what a detector finds in a box.
        method
            A method, or its name (see ``onnxplain.METHODS``), with its parameters as further keywords; or
            ``"auto"``: exact for trees and linear models, else one walk back, else player by player.
        baselines
            Where paths start, what is compared with, or what stands where something is taken away: a number,
            an array that broadcasts to the input; ``"zero"``, ``"blur"`` or ``ox.Blur(sigma)``, ``"mean"`` or
            ``ox.Mean()``, ``"uniform"`` or ``ox.Uniform(low, high, seed)``, made of each sample; or a dict of
            such by input name.  Default 0, or the empty text; for token inputs that are walked back to zeros
            at the embedding, or token ids.
            ``ox.Background(rows)`` takes each of many rows for a baseline, and averages; ``"deep_lift_shap"``
            reads arrays so, too.  Methods that have no baselines refuse them.
        feature_mask
            Which elements are kept or taken away together, for methods that do so: integers that broadcast to
            the input, one number for each group, -1 for what always stays; ``"pixels"`` (places of an image,
            channels together), ``"tokens"`` (places along the axis behind the samples), ``"columns"`` (along
            the last axis), ``"inputs"`` (each as a whole), ``"segments"`` (superpixels), or ``"slic"``,
            ``"quickshift"``, ``"felzenszwalb"``, ``"grid"``, ``"changes"`` or ``ox.Segments(...)``, or a
            function from one image (H, W, C) to integers (H, W); or a dict of such by input name.  Default:
            ``"elements"``, each is a group of its own.  Or columns by the group's name,
            ``{"address": ["street", "city"]}``; others are groups of their own.
        feature_names
            Names of the columns of an input (N, C), in the order in which the model takes them (or a dict of
            such by input name): a table's columns are matched by them, and the result holds them.  Default:
            those in the model's metadata (``feature_names``, in JSON), or the table's own in its order.
        output
            Name of the output to explain (default: the first of floats); or of a value inside the graph, or
            of the node that makes it, whose entries are then the scores.
        wrt
            Names of the inputs to explain, or of values inside the graph.  Default: float inputs, or else
            token inputs, at their embedding, that the score depends on (for methods that ask for scores
            alone, inputs of any type, as they are); masks, lengths, rates and states are taken as given
            where there is anything else.
        layer
            Name of a value inside the graph, or of its node: the same as ``wrt``; for methods that have a
            parameter ``layer``, where they look (``"layer_conductance"``, ``"grad_cam"``).
        neuron
            Pair of such a name and an index of one sample's entry there, ``("relu_3", (5, 0, 0))``: the same
            as ``output`` and ``target``; for methods that have a parameter ``neuron``, through which entry
            they look (``"neuron_conductance"``).
        through_softmax
            Explain the probability of a classifier that ends in Softmax, instead of the score before it.
        batch_axes
            Where samples lie in the inputs: an axis, or axes by input name (None where all samples share an
            input; inputs that are left out have none).  Default: where the graph proves that samples do not
            touch one another (axis 0, or the one named after the batch); if nowhere, the arrays are one
            sample, and the result's notes say why.  What is given here and not proven is checked by running.
        internal_batch_size
            Rows to run at once (default: as many as fit well; in long runs the fastest, found by trial).
        progress
            Show a bar.

        Returns
        -------
        Attribution

        Raises
        ------
        DataInputError, TargetError, MethodError
            If an argument does not fit; before anything is explained.
        NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError
            If the graph does not allow it.
        NotFiniteError
            If NaN or infinite numbers come out, although the inputs are finite.
        """
        if isinstance(method, str) and method == AUTO:
            again = partial(
                self, inputs, target, feature_mask=feature_mask, feature_names=feature_names, output=output,
                wrt=wrt, layer=layer, neuron=neuron, through_softmax=through_softmax, batch_axes=batch_axes,
                internal_batch_size=internal_batch_size, progress=progress,
            )  # fmt: skip
            named = wrt is not None or layer is not None
            return explain_best(
                again, self._normal.model.graph, self.inputs, baselines,
                grouped=feature_mask is not None, named=named, parameters=parameters,
            )  # fmt: skip
        chosen = make_method(method, **parameters)
        if layer is not None or neuron is not None:
            chosen, target, output, wrt = place(Placed(chosen, target, output, wrt), layer, neuron)
        request = Request(
            inputs, target, chosen, baselines, feature_mask, output, wrt,
            through_softmax, batch_axes, internal_batch_size, progress, self._columns,
        )  # fmt: skip
        found, anew = self._answered(request, feature_names, Answering.explain)
        if not anew:
            return found
        return replace(found, notes=(*found.notes, "the graph was written anew for inputs of these shapes"))

    def pose(
        self,
        inputs: ArrayLike,
        target: Any,
        method: Method,
        *,
        feature_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        settled: bool = True,
        **options: Any,
    ) -> Posed:
        """Return the problem that a method would work on.

        For what asks a model about points of its own, as metrics do.

        Parameters
        ----------
        inputs, target, method, feature_names, **options
            As :meth:`__call__` takes them; ``layer`` and ``neuron`` apart.
        settled
            Whether to ask for the scores of the samples, which the problem then knows, with what is
            predicted.
        """
        asked: dict[str, Any] = dict.fromkeys(_ASKED) | {"through_softmax": False, "progress": False}
        request = Request(inputs, target, method, **(asked | options))
        by = Answering.settle if settled else Answering.pose
        return self._answered(request, feature_names, by)[0]

    def _answered(
        self,
        request: Request,
        feature_names: Sequence[str] | Mapping[str, Sequence[str]] | None,
        by: Callable[[Answering, Request], _Answer],
    ) -> tuple[_Answer, bool]:
        """Answer by the graph as it was read; if that fails, by one for inputs of just these shapes."""
        request = request.checked()
        columns, inputs = find_columns(request.inputs, feature_names, self._columns)
        if columns is not request.columns or inputs is not request.inputs:
            request = request.laid_out(inputs, columns)
        try:
            return by(self._answering, request), False
        except (UnsupportedOperatorError, UnsupportedRuleError, NotExplainableError) as error:
            inner = self._at_shapes(inputs)
            if inner is None:
                raise
            try:
                return by(inner, request), True
            except OnnxplainError:
                raise error from None

    def _at_shapes(self, inputs: ArrayLike) -> Answering | None:
        """Return a model for inputs of just these shapes; None if that tells nothing more."""
        if not leaves_ranks_open(self._normal):
            return None
        shapes = {k: v.shape for k, v in check_inputs(inputs, self.inputs, walked=False).items()}
        if all(i.shape == shapes[i.name] for i in self.inputs):
            return None
        return self._fixed.get(
            tuple(sorted(shapes.items())),
            lambda: Answering(specialised(self._normal, shapes), *self._options),
        )


def explain(
    model: ModelSource,
    inputs: ArrayLike,
    target: Any = None,
    method: str | Method = "integrated_gradients",
    **options: Any,
) -> Attribution:
    """Explain one batch of one model; see :class:`Explainer` for many.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    inputs, target, method, **options
        As :meth:`Explainer.__call__` takes them; :class:`Explainer`'s own (``device``...) go to it.

    Returns
    -------
    Attribution
    """
    mine = {k: options.pop(k) for k in EXPLAINERS_OWN if k in options}
    return Explainer(model, **mine)(inputs, target, method, **options)
