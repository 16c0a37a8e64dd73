"""Players of images, volumes and series: regions of one colour, equal pieces, stretches of one level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.errors import DataInputError, OptionError
from onnxplain.features.pieces import equal_pieces, levels
from onnxplain.features.places import behind_samples, spatial_axes
from onnxplain.options import Count, Positive, Weight, check_fields

__all__ = ["SEGMENTERS", "Segmenter", "Segments"]

#: The user's own: one sample, space first and channels last, to integers over its space (-1: always stays).
Segmenter: TypeAlias = Callable[[Any], Any]

#: What each segmenter takes, with its defaults.
SEGMENTERS: dict[str, dict[str, Any]] = {
    "slic": {"n_segments": 50, "compactness": 10.0, "sigma": 1.0},
    "quickshift": {"kernel_size": 4.0, "max_dist": 200.0, "ratio": 0.2, "sigma": 0.0},
    "felzenszwalb": {"scale": 100.0, "sigma": 0.8, "min_size": 20},
    "grid": {"n_segments": 50},
    "changes": {"n_segments": 50, "min_size": 1},
}
_INSTEAD = "give feature_mask= as 'elements', 'tokens', 'columns', 'inputs' or an array"


@dataclass(frozen=True)
class Segments:
    """Each sample's own regions are its players.

    * ``"slic"``: superpixels (Achanta et al. 2012) of images and volumes, regions of similar colour.
    * ``"quickshift"`` (Vedaldi & Soatto 2008) and ``"felzenszwalb"`` (Felzenszwalb & Huttenlocher 2004):
      regions of images that follow what is there, however many these are.
    * ``"grid"``: equal pieces, of anything that has space or time.
    * ``"changes"``: stretches of a series between changes of its level: whichever cut leaves the least
      squared deviation from the means of its pieces is made next.
    * a function, ``method=f``: given one sample, space first and channels last, ``(H, W, C)``, it returns an
      integer for each place, ``(H, W)``; -1 always stays.

    Colours are brought to 0..1 first (by the least and the greatest value of each sample), but for functions.

    Attributes
    ----------
    n_segments
        About how many (50; slic, grid, changes).
    compactness
        How much nearness counts beside colour: more makes squares (10; slic).
    sigma
        Standard deviation of the Gaussian that smooths images before, in pixels (slic 1, felzenszwalb 0.8,
        quickshift 0).
    method
        Which segmenter.
    scale
        Larger makes larger segments (100; felzenszwalb).
    min_size
        Elements of the smallest segment (felzenszwalb 20, changes 1).
    kernel_size, max_dist, ratio
        Width of the kernel, the longest step within a segment, and how much colour counts beside nearness (4,
        200, 0.2, as LIME has them; quickshift).
    axes
        Which axes of the input are space or time.  None: of images and volumes those that are neither samples
        nor channels (of a length of 3, 1 or 4, first or last; else first); of series, (N, L), (N, C, L) or
        (N, L, C), for grid and changes, the longest.

    Raises
    ------
    OptionError
        If an option makes no sense, or the segmenter does not take it.
    """

    n_segments: Count | None = None
    compactness: Positive | None = None
    sigma: Weight | None = None
    method: Literal["slic", "quickshift", "felzenszwalb", "grid", "changes"] | Segmenter = "slic"
    scale: Positive | None = None
    min_size: Count | None = None
    kernel_size: Positive | None = None
    max_dist: Positive | None = None
    ratio: Weight | None = None
    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self, OptionError)
        takes = {} if callable(self.method) else SEGMENTERS[self.method]
        for field in fields(self):
            given = getattr(self, field.name) is not None and field.name not in ("method", "axes")
            if given and field.name not in takes:
                known = ", ".join(takes) or "no options"
                raise OptionError(f"Segments: {self._called} does not take {field.name}; it takes {known}")

    @property
    def _called(self) -> str:
        return getattr(self.method, "__name__", "the function") if callable(self.method) else self.method

    def ids(self, x: Array, what: str, samples: int | None = 0) -> IntArray:
        """Return the segments of samples, (n, ...), from 0 in each; int64, like them.

        Parameters
        ----------
        x
            Samples first.
        what
            Name of the input, for errors.
        samples
            Axis of samples in what users give.

        Raises
        ------
        DataInputError
            If they have none, or a sample is a single one.
        """
        space = self._space(x, what, samples)
        if self.method != "grid" and not np.isfinite(x).all():
            raise DataInputError(f"{what} holds NaN or infinite numbers, and has no segments; replace them")
        front = np.moveaxis(x, space, range(1, len(space) + 1))
        shape = front.shape[1 : len(space) + 1]
        made = [self._one(sample.reshape(*shape, -1), what) for sample in front]
        for k, found in enumerate(made):
            present = np.unique(found[found >= 0])
            if len(present) < 2:
                told = "one segment" if len(present) else "without segments"
                raise DataInputError(
                    f"sample {k} of {what} is {told} under {self._called}, so there is nothing to tell "
                    "apart; change its options (smaller or more segments), take another segmenter, or "
                    f"{_INSTEAD}"
                )
        wide = np.stack(made).reshape(len(x), *shape, *(1,) * (x.ndim - 1 - len(space)))
        return np.array(np.broadcast_to(np.moveaxis(wide, range(1, len(space) + 1), space), x.shape))

    def _one(self, sample: Array, what: str) -> IntArray:
        """Segment one sample, space first and channels last."""
        shape = sample.shape[:-1]
        if not callable(self.method):
            own = {k: getattr(self, k) for k in SEGMENTERS[self.method]}
            given = SEGMENTERS[self.method] | {k: v for k, v in own.items() if v is not None}
            return _MADE[self.method](sample, **given).astype(np.int64)
        found = np.asarray(self.method(np.ascontiguousarray(sample)))
        if found.dtype.kind not in "iu" or found.shape != shape:
            raise DataInputError(
                f"{self._called} made {found.dtype} of shape {found.shape} of a sample of {what}; segments "
                f"are integers of shape {shape}, one for each place"
            )
        return found.astype(np.int64)

    def _space(self, x: Array, what: str, samples: int | None) -> tuple[int, ...]:
        """Return the axes of space or time.

        Raises
        ------
        DataInputError
            If the segmenter has no use for what lies along them.
        """
        series = self.method in ("grid", "changes")
        if x.dtype.kind not in "fiub" and self.method != "grid":
            raise DataInputError(f"{what} holds texts, which have no segments; {_INSTEAD}")
        if self.axes is not None:
            space = behind_samples(self.axes, samples, x.ndim, what)
        elif series and x.ndim in (2, 3):
            space = (int(np.argmax(x.shape[1:])) + 1,)
        elif x.ndim in (4, 5):
            space = spatial_axes(x.shape, what)
        else:
            space = ()
        allowed = {"changes": (1,), "slic": (2, 3), "quickshift": (2,), "felzenszwalb": (2,)}
        wanted = allowed.get(self.method) if isinstance(self.method, str) else None
        if not space or (wanted is not None and len(space) not in wanted):
            kind = "of series, (N, L) or (N, C, L)" if self.method == "changes" else "of images, (N, C, H, W)"
            kind += " or (N, H, W, C)" if wanted == (2,) else ", and volumes" if wanted == (2, 3) else ""
            raise DataInputError(
                f"{what} holds samples of shape {x.shape[1:]}, which have no segments: {self._called} makes "
                f"them {kind}; say with ox.Segments(method=) 'grid' or 'changes' that it is a series, with "
                f"axes= what is space, or {_INSTEAD}"
            )
        return space


def _bright(sample: Array) -> FloatArray:
    """Bring a sample's values to 0..1."""
    wide = sample.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    return np.asarray((wide - low) / ((high - low) or 1.0))


def _slic(sample: Array, n_segments: int, compactness: float, sigma: float) -> Array:
    from skimage.segmentation import slic

    wide = sample.astype(np.float64)  # it scales them itself
    return np.asarray(slic(wide, n_segments, compactness, sigma=sigma, start_label=0, channel_axis=-1))


def _quickshift(sample: Array, **options: float) -> Array:
    from skimage.segmentation import quickshift

    # Seeds break ties only.
    return np.asarray(quickshift(_bright(sample), convert2lab=sample.shape[-1] == 3, rng=0, **options))


def _felzenszwalb(sample: Array, **options: float) -> Array:
    from skimage.segmentation import felzenszwalb

    return np.asarray(felzenszwalb(_bright(sample), channel_axis=-1, **options))


_MADE: dict[str, Callable[..., Array]] = {
    "slic": _slic,
    "quickshift": _quickshift,
    "felzenszwalb": _felzenszwalb,
    "grid": lambda sample, n_segments: equal_pieces(sample.shape[:-1], n_segments),
    "changes": lambda sample, n_segments, min_size: levels(sample, n_segments, min_size),
}
