"""The arrays of one call, seen as samples: what they are, what is varied of them, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays, Shape
from onnxplain.batch_check import given_axes, seen_axes
from onnxplain.batching import Batching, SampleOutput, one_sample
from onnxplain.errors import DataInputError, NotExplainableError
from onnxplain.graph.batch import Batch
from onnxplain.graph.interface import InputInfo
from onnxplain.records import record
from onnxplain.runtime import axes as moved
from onnxplain.runtime.layout import Layout

__all__ = ["Samples", "find_samples"]

#: Computes outputs or inner values of the model.
Run = Callable[[tuple[str, ...], Arrays], Arrays]
#: See :meth:`onnxplain.runtime.programs.Programs.positions`.
Positions = Callable[[str, str, Arrays], Array]


@record
class Samples:
    """The arrays of one call.

    Attributes
    ----------
    arrays
        All inputs, by name.
    infos
        The explained ones (inner values too).
    layout
        How samples lie in inputs, and in explained values.
    batching
        What is known of the model's samples.
    run
        Runs the model.
    positions
        Tells, from the tokens' input, their embedding and the inputs, which token each number is for.
    known
        What one sample's part of a value is, by its name and the shape that it had in a run.
    layouts
        The layout with the axes of explained values, by these.
    """

    arrays: Arrays
    infos: Sequence[InputInfo]
    layout: Layout
    batching: Batching
    run: Run
    positions: Positions
    known: dict[tuple[str, Shape], SampleOutput] = field(default_factory=dict)
    layouts: dict[tuple[tuple[str, int | None], ...], Layout] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.layout.n

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes of the inputs."""
        return {k: v.shape for k, v in self.arrays.items()}

    def values(self, names: tuple[str, ...], arrays: Arrays | None = None) -> Arrays:
        """Compute outputs or inner values for these arrays, or others like them; in pieces if need be."""
        return self._computed(names, self.arrays if arrays is None else arrays)[0]

    def _computed(self, names: tuple[str, ...], arrays: Arrays) -> tuple[Arrays, dict[str, SampleOutput]]:
        """Compute values, and tell what one sample's part of each is."""
        layout = self.layout
        made = [(self.run(names, part), n) for part, n in layout.pieces(arrays)]
        out: Arrays = {}
        about: dict[str, SampleOutput] = {}
        for name in names:
            found = about[name] = self.learn(name, made[0][0][name].shape)
            axis = found.axis
            parts = [v[name] if layout.exact is None else moved.rows(v[name], axis, n) for v, n in made]
            out[name] = moved.join(parts, axis)
        return out, about

    def rows(self, name: str) -> Array:
        """Compute an output, (N, ...); what is the same for all samples is repeated."""
        values, about = self._computed((name,), self.arrays)
        made, found = values[name], about[name]
        if found.axis is None and self.n > 1 and made.ndim == len(found.shape):
            return np.broadcast_to(made, (self.n, *made.shape))
        return found.rows(made)

    def output(self, name: str) -> SampleOutput | None:
        """Return what one sample's output looks like, if the inputs tell it for certain.

        Raises
        ------
        NotExplainableError
            If it is the same for all samples.
        """
        found = self.batching.output(name, self.shapes, self.layout)
        if found is not None and found.axis is None and self.n > 1 and name in self.layout.inner:
            raise NotExplainableError(
                f"output '{name}' does not depend on the samples, so it cannot be explained for each; "
                "explain another output"
            )
        return found

    def learn(self, name: str, shape: Shape) -> SampleOutput:
        """Remember the shape that an output or inner value really had in a run."""
        found = self.known.get((name, shape))
        if found is None:
            found = self.batching.learn(name, shape, self.shapes, self.layout)
            self.known[name, shape] = found
        return found

    def features(self) -> tuple[Arrays, Samples]:
        """Return what is varied, batch axis first, and these samples with the axes of those values.

        Raises
        ------
        DataInputError
            If an inner value has no axis of samples.
        """
        features: Arrays = {}
        axes: dict[str, int | None] = {}
        layout, arrays = self.layout, self.arrays
        for info in self.infos:
            given = info.name in arrays and info.entries == (info.name,)  # as it mostly is
            inner = () if given else tuple(e for e in info.entries if e not in arrays)
            made, about = self._computed(inner, arrays) if inner else ({}, {})
            for entry in info.entries:
                array = features[entry] = arrays[entry] if entry in arrays else made[entry]
                axis = layout.axes[entry] if entry in arrays else about[entry].axis
                if axis is None and layout.n > 1 and layout.flat is None:
                    raise DataInputError(
                        f"inner value '{entry}' has shape {array.shape} for {layout.n} samples, and none of "
                        "its axes is theirs; explain one sample at a time"
                    )
                axes[entry] = axis
        if not axes.items() <= layout.axes.items():
            layout = self._layout_with(axes)
        for name, array in features.items():
            features[name] = layout.sampled(name, array)
        return features, self if layout is self.layout else replace(self, layout=layout)

    def _layout_with(self, axes: dict[str, int | None]) -> Layout:
        """Return the layout with the axes of other values, too."""
        key = tuple(axes.items())
        known = self.layouts.get(key)
        if known is None:
            known = self.layouts[key] = replace(self.layout, axes={**self.layout.axes, **axes})
        return known

    def back(self, info: InputInfo, values: Mapping[str, Array]) -> Array:
        """Bring attributions into the input's shape; those of embeddings are summed over their axes."""
        total: Any = 0
        for entry in info.entries:
            array = self.layout.unsampled(entry, values[entry])
            if entry in info.moved:
                array = self._by_token(info, entry, array)
            elif info.role in ("token", "number"):
                given = self.arrays[info.name]
                array = array.sum(axis=tuple(range(given.ndim, array.ndim))).reshape(given.shape)
            total = total + array
        return np.asarray(total)

    def _by_token(self, info: InputInfo, entry: str, values: Array) -> Array:
        """Sum an embedding's numbers by the token that each is for."""
        layout, made, start = self.layout, [], 0
        for part, n in layout.pieces(self.arrays):
            where = self.positions(info.name, entry, part)
            mine = values
            if layout.axes[entry] is None and layout.n > 1:
                mine = values[start]
            elif layout.exact is not None and layout.axes[entry] is not None:
                index = np.minimum(np.arange(start, start + layout.exact), layout.n - 1)
                mine = np.take(values, index, axis=layout.axes[entry])
            tokens = np.zeros(part[info.name].size + 1, values.dtype)  # the last one is nobody's
            np.add.at(tokens, where.ravel(), mine.ravel())
            made.append(moved.rows(tokens[:-1].reshape(part[info.name].shape), layout.axes[info.name], n))
            start += n
        return moved.join(made, layout.axes[info.name])


def find_samples(
    arrays: Arrays,
    infos: Sequence[InputInfo],
    inputs: Sequence[InputInfo],
    outputs: tuple[str, ...],
    batching: Batching,
    run: Run,
    positions: Positions,
    batch_axes: int | Mapping[str, int | None] | None = None,
) -> Samples:
    """Find the samples in the arrays of a call: where the graph proves them, or where the user says.

    Parameters
    ----------
    arrays, infos, batching, run, positions
        As :class:`Samples` holds them.
    inputs
        All inputs of the model.
    outputs
        Names of the outputs that are asked for.
    batch_axes
        What the user says, see :func:`~onnxplain.batch_check.given_axes`.

    Raises
    ------
    DataInputError
        If inputs disagree on their number, the model takes another one, or the user is wrong.
    """
    main = next((i.name for i in infos if i.name in arrays), inputs[0].name)
    shapes = {k: v.shape for k, v in arrays.items()}
    if batch_axes is None:
        layout = _apart(batching.layout(shapes, main, [i.name for i in infos], outputs), infos, arrays)
        return Samples(arrays, infos, layout, batching, run, positions)
    axes = given_axes(batch_axes, arrays, main)
    batched = next((k for k, axis in axes.items() if axis is not None), None)
    if batched is None:
        return Samples(arrays, infos, Layout(1, axes), batching, run, positions)
    axis = axes[batched]
    assert axis is not None
    declared = next(i.shape for i in inputs if i.name == batched)
    fixed = declared[axis] if declared else None
    exact = fixed if isinstance(fixed, int) else None
    layout = Layout(shapes[batched][axis], axes, exact)
    found = batching.prove(axes, one_sample(shapes, axes, exact or 1), exact is None, outputs=outputs)
    if isinstance(found, Batch):
        inner = found.axes
    else:
        names = [*outputs] + [e for i in infos for e in i.entries if e not in arrays]
        inner = seen_axes(arrays, layout, names, run, found)
    layout = _apart(replace(layout, inner=inner), infos, arrays)
    return Samples(arrays, infos, layout, batching, run, positions)


def _apart(layout: Layout, infos: Sequence[InputInfo], arrays: Arrays) -> Layout:
    """Run each sample alone, where tokens of several samples lie in the rows of one embedding."""
    if layout.n == 1 or layout.exact not in (None, 1):
        return layout
    tokens = (i for i in infos if i.role in ("token", "number"))
    flat = (e for i in tokens for e in i.entries if e not in arrays and layout.inner.get(e) is None)
    entry = next(flat, None)
    return layout if entry is None else replace(layout, exact=1, flat=entry)
