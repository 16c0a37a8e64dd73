"""How alike two explanations of the same samples are: ranks, correlations, and what images look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import DataInputError
from onnxplain.features.places import spatial_axes
from onnxplain.metrics.similarity import cosine, kendall_tau, pearson, spearman
from onnxplain.metrics.trial import Trial
from onnxplain.runtime.opened import channel_of

__all__ = ["Likeness", "Similarity"]

#: How explanations are compared.
Similarity: TypeAlias = Literal["spearman", "pearson", "kendall_tau", "cosine", "ssim", "hog"]

_ROWS: dict[str, Callable[[Array, Array], FloatArray]] = {
    "spearman": spearman,
    "pearson": pearson,
    "kendall_tau": kendall_tau,
    "cosine": cosine,
}
#: Side of the window of SSIM.
_WINDOW = 7
#: Cells along the shorter side of an image that histograms of gradients aim at, and how long they may be.
_CELLS, _LARGEST_CELL, _LEAST_CELL = 7, 16, 2
#: Cells along each side of a block.
_BLOCK = 3


class Likeness:
    """Compares explanations of a trial's samples, by name.

    * ``"spearman"``, ``"pearson"``, ``"kendall_tau"``, ``"cosine"``: of all elements in a row.
    * ``"ssim"``: the structural similarity index (Wang et al. 2004), windows of 7, its range being that of
      both explanations; of images, the channels summed; of anything else, in a row.
    * ``"hog"``: Pearson's correlation of histograms of oriented gradients (Dalal & Triggs 2005): 9
      directions, blocks of 3 x 3 cells, cells of a 7th of the shorter side (2 to 16 pixels); of images, the
      channels summed.

    Where one of two explanations is constant, correlations are 0, and 1 where both are.

    Parameters
    ----------
    name
        Of :data:`Similarity`.
    trial
        The samples.

    Raises
    ------
    DataInputError
        If the samples are too small, or are no images.
    """

    def __init__(self, name: Similarity, trial: Trial) -> None:
        self.name = name
        self.space: dict[str, tuple[int, ...] | None] = {}
        if name in _ROWS:
            return
        for key, x in trial.features.items():
            axes = spatial_axes(x.shape, key, channel_of(trial.problem, key)) if x.ndim == 4 else None
            sides = (x[0].size,) if axes is None or len(axes) != 2 else tuple(x.shape[a] for a in axes)
            self.space[key] = axes if len(sides) == 2 else None
            if name == "hog" and (len(sides) != 2 or min(sides) < _BLOCK * _LEAST_CELL):
                raise DataInputError(
                    f"histograms of gradients are of images of at least {_BLOCK * _LEAST_CELL} x "
                    f"{_BLOCK * _LEAST_CELL}, and '{key}' has samples of shape {x.shape[1:]}; choose "
                    "similarity='spearman'"
                )
            if name == "ssim" and min(sides) < 3:
                raise DataInputError(
                    f"SSIM is of at least 3 numbers along each axis, and '{key}' has samples of shape "
                    f"{x.shape[1:]}; choose similarity='spearman'"
                )

    def __call__(self, a: Mapping[str, Array], b: Mapping[str, Array]) -> FloatArray:
        """Return how alike explanations are, float64 (n,), from -1 to 1; they are (n, ...) by feature."""
        of = _ROWS.get(self.name)
        if of is not None:
            return _settled(of, _rows(a), _rows(b))
        compare = _ssim if self.name == "ssim" else _hog
        found = [compare(self._maps(key, a[key]), self._maps(key, b[key])) for key in a]
        return np.asarray(np.mean(found, axis=0), np.float64)

    def _maps(self, key: str, values: Array) -> FloatArray:
        """Return images (n, H, W), or rows (n, K)."""
        axes = self.space[key]
        if axes is None:
            return values.reshape(len(values), -1).astype(np.float64)
        others = tuple(k for k in range(1, values.ndim) if k not in axes)
        return np.asarray(values.sum(others, dtype=np.float64))


def _rows(arrays: Mapping[str, Array]) -> FloatArray:
    return np.concatenate([v.reshape(len(v), -1).astype(np.float64) for v in arrays.values()], axis=1)


def _settled(of: Callable[[Array, Array], FloatArray], a: FloatArray, b: FloatArray) -> FloatArray:
    """Compare rows; say 0 where one of two shows nothing, and 1 where both do not."""
    found = of(a, b)
    both = np.isnan(of(a, a)) & np.isnan(of(b, b))
    return np.where(np.isnan(found), both.astype(np.float64), found)


def _ssim(a: FloatArray, b: FloatArray) -> FloatArray:
    from skimage.metrics import structural_similarity

    side = min(_WINDOW, *a.shape[1:])
    window = side if side % 2 else side - 1
    found = np.ones(len(a))
    for k, (one, other) in enumerate(zip(a, b, strict=True)):
        reach = max(one.max(), other.max()) - min(one.min(), other.min())
        if reach > 0:
            found[k] = structural_similarity(one / reach, other / reach, win_size=window, data_range=1.0)
    return found.clip(-1, 1)


def _hog(a: FloatArray, b: FloatArray) -> FloatArray:
    return _settled(pearson, _gradients(a), _gradients(b))


def _gradients(maps: FloatArray) -> FloatArray:
    from skimage.feature import hog

    cell = min(_LARGEST_CELL, max(_LEAST_CELL, min(maps.shape[1:]) // _CELLS))
    largest = np.abs(maps).reshape(len(maps), -1).max(1)
    scaled = maps / np.where(largest > 0, largest, 1)[:, None, None]
    cells, blocks = (cell, cell), (_BLOCK, _BLOCK)
    return np.stack([hog(one, pixels_per_cell=cells, cells_per_block=blocks) for one in scaled])
