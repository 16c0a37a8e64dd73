"""Players of images: regions of one colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.errors import DataInputError, OptionError
from onnxplain.features.places import channel_axis
from onnxplain.options import Count, Positive, Weight, check_fields

__all__ = ["Segments"]


@dataclass(frozen=True)
class Segments:
    """Superpixels (SLIC, Achanta et al. 2012): each image's own regions of similar colour are its players.

    Attributes
    ----------
    n_segments
        About how many.
    compactness
        How much nearness counts beside colour: more makes squares.
    sigma
        Standard deviation of the Gaussian that smooths images before, in pixels.
    """

    n_segments: Count = 50
    compactness: Positive = 10.0
    sigma: Weight = 1.0

    def __post_init__(self) -> None:
        check_fields(self, OptionError)

    def ids(self, x: Array, what: str) -> IntArray:
        """Return the segments of images, (n, C, H, W) or (n, H, W, C), from 0 in each; int64, like them.

        Raises
        ------
        DataInputError
            If they are none.
        """
        from skimage.segmentation import slic

        numbers = x.dtype.kind in "fiub"
        if not numbers or x.ndim != 4:
            kind = f"samples of shape {x.shape[1:]}" if numbers else "texts"
            raise DataInputError(
                f"{what} holds {kind}, which have no segments; these are made of images, (N, C, H, W) or "
                "(N, H, W, C); give feature_mask= as 'elements', 'tokens', 'columns', 'inputs' or an array"
            )
        if not np.isfinite(x).all():
            raise DataInputError(f"{what} holds NaN or infinite numbers, and has no segments; replace them")
        channels = channel_axis(x.shape[1:])
        assert channels is not None
        images = np.moveaxis(x, channels + 1, -1).astype(np.float64)
        options = {"sigma": self.sigma, "start_label": 0, "channel_axis": -1}
        made = [slic(image, self.n_segments, self.compactness, **options) for image in images]
        wide = np.expand_dims(np.stack(made).astype(np.int64), channels + 1)
        return np.array(np.broadcast_to(wide, x.shape))
