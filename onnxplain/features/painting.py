"""Pictures made of free numbers: pixel by pixel, or by their frequencies; and the way back of gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxplain._types import FloatArray, Shape

__all__ = ["Colours", "Frequencies", "mixed"]

#: How the colours of photographs go together: the root of the covariance of red, green and blue over
#: ImageNet, as Lucid has it (Olah et al. 2017), scaled so that its longest column is 1.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()


@dataclass(frozen=True)
class Frequencies:
    """Pictures as the real and imaginary parts of their spectra, each frequency scaled by its wavelength.

    So a step changes all wavelengths alike, where a step of pixels changes mostly the short ones.

    Attributes
    ----------
    shape
        Of the pictures, (n, ...).
    axes
        Which axes are space.
    """

    shape: Shape
    axes: tuple[int, ...]

    def start(self, seed: int) -> FloatArray:
        """Return first numbers, (n, ..., 2): noise that is the same for all pictures, nearly grey."""
        one = np.random.default_rng(seed).normal(0, 0.01, (1, *self._spectrum[1:], 2))
        return np.repeat(one, self.shape[0], 0)

    def picture(self, numbers: FloatArray) -> FloatArray:
        """Return the pictures."""
        spectrum = (numbers[..., 0] + 1j * numbers[..., 1]) * self._scale
        return np.asarray(np.fft.irfftn(spectrum, self._lengths, self.axes))

    def back(self, gradient: FloatArray) -> FloatArray:
        """Return the gradient at the numbers, from that at the pictures."""
        flat = np.fft.rfftn(gradient, axes=self.axes) * self._scale / np.prod(self._lengths)
        last = self.axes[-1]
        twice = np.full(self._spectrum[last], 2.0)  # but for what has no mirror image, which is there once
        twice[0] = 1
        if self._lengths[-1] % 2 == 0:
            twice[-1] = 1
        flat = flat * twice.reshape([-1 if k == last else 1 for k in range(len(self.shape))])
        return np.stack([flat.real, flat.imag], -1)

    @property
    def _lengths(self) -> Shape:
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def _spectrum(self) -> Shape:
        last = self.axes[-1]
        return tuple(d // 2 + 1 if k == last else d for k, d in enumerate(self.shape))

    @property
    def _scale(self) -> FloatArray:
        """Wavelengths, of an axis of the spectrum each that is space; the longest is that of the picture."""
        squares = np.zeros([1] * len(self.shape))
        for axis, length in zip(self.axes, self._lengths, strict=True):
            last = axis == self.axes[-1]
            waves = np.fft.rfftfreq(length) if last else np.fft.fftfreq(length)
            squares = squares + (waves**2).reshape([-1 if k == axis else 1 for k in range(len(self.shape))])
        longest = 1.0 / max(self._lengths)
        size = float(np.sqrt(np.prod(self._lengths)))
        return np.asarray(size / 4 / np.maximum(np.sqrt(squares), longest))


@dataclass(frozen=True)
class Colours:
    """From free numbers to pixels within a range, by a sigmoid; from free ones to free ones without a range.

    Attributes
    ----------
    low, high
        The range; both None for none.
    channels
        Axis of red, green and blue, if these are to go together as in photographs.
    """

    low: float | None
    high: float | None
    channels: int | None

    def pixels(self, free: FloatArray) -> FloatArray:
        """Return pixels."""
        free = free if self.channels is None else mixed(free, _COLOURS, self.channels)
        if self.low is None or self.high is None:
            return free
        return np.asarray(self.low + (self.high - self.low) / (1 + np.exp(-free)))

    def back(self, pixels: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the gradient at the free numbers, from that at the pixels."""
        if self.low is not None and self.high is not None:
            part = (pixels - self.low) / (self.high - self.low)
            gradient = gradient * (self.high - self.low) * part * (1 - part)
        return gradient if self.channels is None else mixed(gradient, _COLOURS.T, self.channels)


def mixed(values: FloatArray, matrix: FloatArray, axis: int) -> FloatArray:
    """Multiply what lies along an axis by a matrix."""
    return np.moveaxis(np.tensordot(values, matrix, (axis, 1)), -1, axis)
