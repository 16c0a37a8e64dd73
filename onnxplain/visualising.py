"""Deep visualisation: what input makes a unit respond most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.archive import write_arrays
from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError, OptionError, TargetError
from onnxplain.explainer import EXPLAINERS_OWN, Explainer
from onnxplain.graph.interface import InputInfo
from onnxplain.graph.load import ModelSource
from onnxplain.methods.maximisation import ActivationMaximisation
from onnxplain.options import Count, check_option, make, nearest
from onnxplain.runtime.layout import BATCH_NAME
from onnxplain.targets.unit import Unit

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

__all__ = ["Visualisation", "visualise"]


@dataclass(frozen=True, eq=False)
class Visualisation:
    """An input that makes a unit respond.

    Attributes
    ----------
    image
        What was found, as the model takes it: one sample.
    pixels
        The same in the units of ``range``, ``image * std + mean``, without the axis of samples.
    activations
        (n_steps + 1,): what was maximised, at each step and at the end.
    layer
        Whose unit: a value of the graph.
    unit
        Which.
    method
        How it was found.
    notes
        What a person may want to know.
    """

    ENDINGS: ClassVar[tuple[str, ...]] = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".npz")
    image: Array
    pixels: Array
    activations: FloatArray
    layer: str
    unit: Any
    method: ActivationMaximisation
    notes: tuple[str, ...] = ()

    def plot(self, title: str | None = None) -> Figure:
        """Draw the input, and the activation at each step."""
        from onnxplain.plots.painting import draw_painting

        what = f"{self.layer}, unit {self.unit}: {self.activations[0]:.3g} to {self.activations[-1]:.3g}"
        return draw_painting(self.pixels, self.activations, self.method.range, title or what)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a picture (.png, .svg, .pdf, .jpg), or all numbers (.npz).

        Raises
        ------
        DataInputError
            If the ending is another.
        OutputError
            If the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending == ".npz":
            meta = {"layer": self.layer, "unit": str(self.unit), "method": repr(self.method)}
            arrays = {"image": self.image, "pixels": self.pixels, "activations": self.activations}
            write_arrays(path, {**arrays, "meta": np.array(json.dumps(meta))})
        elif ending in self.ENDINGS:
            from onnxplain.plots.canvas import save

            save(self.plot(), path, dpi=130)
        else:
            known = ", ".join(self.ENDINGS)
            raise DataInputError(f"'{path}': the ending says what to write; use one of {known}")


def visualise(
    model: ModelSource | Explainer,
    layer: str | None = None,
    unit: Any = None,
    *,
    input: str | None = None,  # noqa: A002 (the model's word)
    size: int | tuple[int, ...] | None = None,
    inputs: Mapping[str, Any] | None = None,
    progress: bool = False,
    through_softmax: bool = False,
    **parameters: Any,
) -> Visualisation:
    """Find an input that makes a unit of a layer, or an output's class, respond as much as can be.

    Parameters
    ----------
    model
        What :class:`~onnxplain.Explainer` takes, or one.
    layer
        Name of a value inside the graph, or of the node that makes it; or of an output (None: the first).
    unit
        A number: the channel of that number, its mean over all places (the class, where there are none).  A
        tuple is the index of one entry of the layer's value; any other target of an explainer is taken, too
        (``ox.Unit(k, axis=...)`` says along which axis units lie).  None where there is one entry.
    input
        Which input to make; None: the first of floats.
    size
        Lengths of its axes that the model leaves open, but for the samples'.
    inputs
        The model's other inputs, by name, for one sample.
    progress
        Show a bar.
    through_softmax
        Make the probability high, instead of the score before a closing Softmax.
    **parameters
        ``device``, ``memory_budget``, ``threads``, ``allow_tf32`` and ``accelerate`` go to the explainer; the
        others are those of :class:`~onnxplain.methods.maximisation.ActivationMaximisation`: ``space``,
        ``n_steps``, ``range``, ``mean``, ``std``, ``jitter``, ``seed``...

    Returns
    -------
    Visualisation

    Raises
    ------
    DataInputError, TargetError, MethodError
        If an argument does not fit; before anything runs.

    Examples
    --------
    >>> import onnxplain as ox
    >>> mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    >>> found = ox.visualise("mobilenetv2.onnx", unit=285, mean=mean, std=std)  # doctest: +SKIP
    >>> found.save("cat.png")  # doctest: +SKIP
    """
    mine = {k: parameters.pop(k) for k in EXPLAINERS_OWN if k in parameters}
    if mine and isinstance(model, Explainer):
        raise OptionError(
            f"{', '.join(mine)}: the explainer has that already; leave it out, or give the model"
        )
    method = make(ActivationMaximisation, parameters, "visualise")
    explainer = model if isinstance(model, Explainer) else Explainer(model, **mine)
    info = _chosen(explainer.inputs, input)
    whole = isinstance(unit, (int, np.integer))
    target = Unit(check_option("unit", unit, int, TargetError)) if whole else unit

    def climb(shape: tuple[int, ...]) -> Attribution:
        noise = np.random.default_rng(method.seed).normal(0.1, 0.01, shape)  # it only says how large
        given: Arrays = {info.name: noise.astype(info.dtype or np.float32), **(inputs or {})}
        return explainer(
            given, target, method, output=layer, wrt=info.name, through_softmax=through_softmax,
            progress=progress,
        )  # fmt: skip

    shapes = _shapes(info, size)
    try:
        found = climb(shapes[0])
    except DataInputError as error:
        if len(shapes) == 1:
            raise
        try:
            found = climb(shapes[1])
        except DataInputError:
            raise error from None
    image = found.arrays[info.name]
    pixels = found.extras["pixels"][info.name][0]
    history = found.extras["history"]["activation"][0]
    return Visualisation(image, pixels, history, found.output[1], unit, method, found.notes)


def _chosen(infos: tuple[InputInfo, ...], name: str | None) -> InputInfo:
    """Return the input to make.

    Raises
    ------
    DataInputError
        If there is none of that name, or it is not of floats.
    """
    floats = [i for i in infos if i.dtype is not None and i.dtype.kind == "f"]
    names = [i.name for i in floats]
    if name is None and not floats:
        raise DataInputError(
            "no input of the model is of floats, so none can be made by its gradient; visualise a model "
            "behind its embedding"
        )
    if name is not None and name not in names:
        known = ", ".join(names) or "none"
        close = nearest(name, names)
        raise DataInputError(f"the model has no input '{name}' of floats; it has {known}{close}")
    return floats[0] if name is None else floats[names.index(name)]


def _shapes(info: InputInfo, size: int | tuple[int, ...] | None) -> list[tuple[int, ...]]:
    """Return the shapes that one sample may have, the likeliest first.

    Samples lie along the axis named after the batch, or the first one; where that has a fixed length, this
    may be the sample's own.

    Raises
    ------
    DataInputError
        If the model leaves open what nobody says.
    """
    given = (size,) if isinstance(size, int) else size
    told = check_option("size", given, tuple[Count, ...] | None, DataInputError)
    if info.shape is None:
        raise DataInputError(
            f"the model does not say how many axes '{info.name}' has; export it with its shape"
        )
    open_axes = [k for k, d in enumerate(info.shape) if not isinstance(d, int)]
    named = [k for k in open_axes if BATCH_NAME.fullmatch(str(info.shape[k] or ""))]
    axis = next(iter([*named, *(k for k in open_axes if k == 0)]), None)
    free = [k for k in open_axes if k != axis]
    if len(told or ()) != len(free):
        raise DataInputError(
            f"'{info.name}' is {info.spelled}; give size= with {len(free)} numbers, for "
            + (f"axes {', '.join(map(str, free))}" if free else "none of its axes is open: leave it out")
        )
    lengths = dict(zip(free, told or (), strict=True)) | ({} if axis is None else {axis: 1})
    whole = tuple(d if isinstance(d, int) else lengths[k] for k, d in enumerate(info.shape))
    return [whole] if axis is not None else list(dict.fromkeys([(1, *whole[1:]), whole]))
