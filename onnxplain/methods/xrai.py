"""XRAI: attributions gathered in regions of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.asks import Ask
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.places import image_axes
from onnxplain.features.regions import dilated, ranked, segmented
from onnxplain.methods.base import Method, attributions
from onnxplain.methods.path import IntegratedGradients
from onnxplain.methods.registry import method as make_method
from onnxplain.options import Count, Positive
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["XRAI"]

_Whole = Annotated[int, Field(ge=0, le=1000, description="a whole number from 0 to 1000")]


@dataclass(frozen=True)
class XRAI(Method):
    """XRAI (Kapishnikov et al. 2019): which regions of an image bear the most attribution per pixel.

    The image is segmented at several scales, so that regions overlap; the attributions of an inner method are
    reduced to their maximum over channels.  Then the region whose new pixels have the largest mean
    attribution is taken, again and again; each pixel's value is the mean of what it came with.

    Parameters
    ----------
    method
        What is gathered, a method or the name of one; baselines, background and players are handed to it.
        None: integrated gradients from black and from white, averaged (constants at the least and the
        greatest number of each sample).
    n_steps
        Points on each of these two paths.
    algorithm
        ``"full"``; or ``"fast"``, which ranks regions once, whatever was taken before.
    area_threshold
        Stop once this part of the image is covered; what is left gets one value (not for ``"fast"``).
    scales, sigma, min_size, segment_size
        Of the segmentation by Felzenszwalb: one for each scale, of the image scaled to ``segment_size``
        pixels square (None: as it is).
    dilation
        By how many pixels segments grow.
    min_pixel_diff
        Regions that bring fewer new pixels are left out.
    axes
        Height and width among the axes of the input; None: those that are neither samples nor channels.

    Notes
    -----
    Segments of the user's own are given as ``feature_mask``, and used as they are.  All channels get the same
    values.  The result's ``extras["ranks"]`` holds the place of each pixel's region, (n, H, W), 1 for the
    first.  Regions follow edges of the image, whether the model cares for these or not.
    """

    name: ClassVar[str] = "xrai"
    cost: ClassVar[str] = "2 n_steps forwards and backwards, or the inner method; segments"
    takes_players: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    no_file: ClassVar[str] = (
        "cuts each image into regions of its own (export integrated_gradients with baselines=ox.Background "
        "of a black and a white image, which is what it gathers)"
    )
    method: Method | str | None = None
    n_steps: Count = 100
    algorithm: Literal["full", "fast"] = "full"
    area_threshold: Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")] = 1.0
    scales: tuple[Positive, ...] = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0)
    sigma: Annotated[float, Field(ge=0, le=100, description="a number from 0 to 100")] = 0.8
    min_size: Count = 150
    segment_size: Count | None = 224
    dilation: _Whole = 5
    min_pixel_diff: Count = 50
    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method is not None:
            object.__setattr__(self, "method", make_method(self.method))
        if self.inner.layers():
            raise MethodError(
                f"XRAI: method is '{self.inner.name}' at a layer, whose attributions lie in no image; give "
                "one of the input"
            )
        if not self.scales:
            raise MethodError("XRAI: scales is (); give at least one")

    @property
    def inner(self) -> Method:
        """What is gathered."""
        return IntegratedGradients(self.n_steps) if self.method is None else make_method(self.method)

    def needs(self) -> Ask:
        """Return what the inner method asks."""
        return self.inner.needs()

    def default_baseline(self) -> str | None:
        """Return the inner method's."""
        return self.inner.default_baseline()

    def margins(self) -> bool:
        """Return whether the inner method explains what enters a closing Sigmoid."""
        return self.inner.margins()

    def wants_target(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_target()

    def reads_rows(self) -> bool:
        """Return whether the inner method does; all rows of a background are looked at for one map."""
        return self.inner.reads_rows()

    def wants_baselines(self) -> bool:
        """Return whether the inner method does; without one, they are black and white."""
        return self.method is not None and self.inner.wants_baselines()

    def attribute(self, problem: Problem) -> Found:
        """Gather what the inner method finds."""
        space = {name: self._space(problem, name) for name in problem.features}
        base = self._base(problem)
        values: Arrays = {}
        ranks: Arrays = {}
        for name, x in problem.features.items():
            front = [np.moveaxis(a, space[name], (1, 2)) for a in (x, base[name])]
            images, maps = (a.reshape(*a.shape[:3], -1).astype(np.float64) for a in front)
            groups = self._groups(problem, name, space[name])
            made = [
                self._gathered(image, found.max(-1), None if groups is None else groups[k % len(groups)])
                for k, (image, found) in enumerate(zip(images, maps, strict=True))
            ]
            wide = np.stack([m[0] for m in made]).reshape(*images.shape[:3], *(1,) * (x.ndim - 3))
            full = np.broadcast_to(np.moveaxis(wide, (1, 2), space[name]), x.shape)
            values[name], ranks[name] = full.astype(float_like(x)), np.stack([m[1] for m in made])
        return Found(values, extras={"ranks": ranks})

    def _base(self, problem: Problem) -> Arrays:
        """Return the attributions to gather."""
        if self.method is not None:
            return dict(attributions(self.inner, problem).values)
        plan, ends = self.inner.plan(), []
        assert plan is not None
        for of in (np.min, np.max):
            constants = {
                k: of(x, tuple(range(1, x.ndim)), keepdims=True) for k, x in problem.features.items()
            }
            starts = {k: np.broadcast_to(v, problem.features[k].shape) for k, v in constants.items()}
            ends.append(run(plan, problem.at(baselines=starts), checked=False).values)
        return {k: (v.astype(np.float64) + ends[1][k]) / 2 for k, v in ends[0].items()}

    def _gathered(self, image: FloatArray, found: FloatArray, groups: Array | None) -> tuple[Array, Array]:
        """Return one sample's map and ranks, (H, W)."""
        if groups is None:
            segments = segmented(image, self.scales, self.sigma, self.min_size, self.segment_size)
            masks = dilated(segments, self.dilation)
        else:
            masks = dilated([groups], 0)
        least, fast = self.min_pixel_diff, self.algorithm == "fast"
        made, ranks = ranked(masks, found.ravel(), least, self.area_threshold, fast=fast)
        return made.reshape(found.shape), ranks.reshape(found.shape)

    def _space(self, problem: Problem, name: str) -> tuple[int, ...]:
        shape, samples = problem.features[name].shape, problem.driver.layout.axes[name]
        space = image_axes(self.axes, shape, samples, f"'{name}'", channel_of(problem, name))
        if len(space) != 2:
            raise DataInputError(
                f"'{name}' has samples of shape {shape[1:]}, and regions are made of images: name their two "
                "axes of height and width (axes=), or use integrated_gradients"
            )
        return space

    def _groups(self, problem: Problem, name: str, space: tuple[int, ...]) -> Array | None:
        """Return the user's segments, (1, H, W) or (n, H, W)."""
        if problem.grouping is None:
            return None
        front = np.moveaxis(problem.grouping.ids[name], space, (1, 2))
        flat = front.reshape(*front.shape[:3], -1)
        if (flat != flat[..., :1]).any():
            raise DataInputError(
                f"the feature_mask of '{name}' has other numbers in other channels; segments of an image "
                "have one for each pixel"
            )
        return np.asarray(flat[..., 0])
