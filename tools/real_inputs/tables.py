"""Real inputs for models of tables and of short series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._case import RealModel, real_input

if TYPE_CHECKING:
    from pathlib import Path


@real_input("penguin")
def penguin(path: Path) -> RealModel:
    """Take the second Gentoo penguin of the Palmer data: bill length, bill depth, flipper (mm), mass (g)."""
    return RealModel(
        {"input_1": np.array([[50.0, 16.3, 230.0, 5700.0]], np.float32)},
        output="dense_1",
        target=(0, 2),
        expected=1.0,
        top=True,
        says="the measures of a Gentoo penguin: Gentoo (classes: Adelie, Chinstrap, Gentoo)",
    )


@real_input("sunshine")
def sunshine(path: Path) -> RealModel:
    """Make up a day: the values of a mild day in Basel, repeated for the other stations.

    The columns after the first nine are not documented in the package, so this input has the right scale
    and no more.
    """
    # cloud cover (oktas), humidity, pressure (1000 hPa), radiation (100 W/m2), rain (cm), sun (h),
    # mean, least and greatest temperature (degrees Celsius)
    day = np.array([3, 0.7, 1.018, 2.1, 0.02, 8.0, 18.0, 12.0, 24.0], np.float32)
    return RealModel(
        {"input": np.resize(day, (1, 89))},
        output="dense_20",
        target=(0, 0),
        expected=1.06,
        tolerance=0.05,
        says="a made-up day: hours of sunshine on the next one",
    )


@real_input("season")
def season(path: Path) -> RealModel:
    """Read the greatest temperatures of 28 days (degrees Celsius)."""
    days = np.load(path.with_name("season_days.npy")).astype(np.float32)
    return RealModel(
        {"input_3:0": days},
        output="Identity:0",
        target=(0, 1),
        expected=0.643,
        top=True,
        says="28 cold days: winter (the other class is summer)",
    )


@real_input("coffee")
def coffee(path: Path) -> RealModel:
    """Read the infrared spectrum of one instant coffee; the model is a tree ensemble that ends in ZipMap."""
    spectra = np.loadtxt(path.with_name("coffee_spectra.txt"), dtype=np.float32)
    label, spectrum = int(spectra[-1, 0]), spectra[-1:, 1:]
    return RealModel(
        {"float_input": spectrum},
        output="output_label",
        target=(0,),
        expected=1.0,
        tolerance=0.0,
        says=f"the spectrum of an instant coffee: the class {label} (0 and 1 are Arabica and Robusta)",
    )


@real_input("hrv_60_5", "hrv_120_5", "hrv_120_60")
def heart_rate(path: Path) -> RealModel:
    """Make up a calm minute: RMSSD, mean RR, SDNN (ms), pNN50 (%), nine zeros, beats a minute.

    The nine columns were 0 throughout the training data, as the model's metadata shows.
    """
    calm = np.array([[60.0, 950.0, 75.0, 35.0, *[0.0] * 9, 63.0]], np.float32)
    return RealModel(
        {"float_input": calm},
        output="probabilities",
        target=(0, 0),
        expected=0.93,
        tolerance=0.05,
        top=True,
        says="the heart-rate variability of a calm minute: no stress (classes: baseline, stress)",
    )
