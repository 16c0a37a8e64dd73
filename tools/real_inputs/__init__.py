"""Real inputs for the trained models of ``tools/models.toml``.

Each model has one small function that makes an input as the model's makers document it, and says what the
model predicts for it. Tests and documentation scripts share them::

    from real_inputs import load

    model = load("mobilenetv2")
    session = onnxruntime.InferenceSession(model.path)
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, model.feeds)))
    model.prediction(outputs), model.expected, model.says

Pictures come from scikit-image; that package, SciPy and Pillow must be installed for some of the models.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from . import images, sounds, tables, texts, vision
from ._case import BUILDERS, RealModel, softmax

__all__ = ["NAMES", "RealModel", "cache_folder", "load", "softmax"]

_MODULES = (images, sounds, tables, texts, vision)  # importing them fills BUILDERS

NAMES = tuple(BUILDERS)
"""Names of all models, as in ``models.toml``."""


def cache_folder() -> Path:
    """Return the folder that ``tools/fetch_models.py`` fills when none is named."""
    return Path(os.environ.get("ONNXPLAIN_MODELS") or Path.home() / ".cache" / "onnxplain" / "models")


def load(name: str, cache: Path | None = None) -> RealModel:
    """Make the real input of a model.

    Parameters
    ----------
    name : str
        One of ``NAMES``.
    cache : Path, optional
        The folder with the model files; ``cache_folder()`` by default.

    Returns
    -------
    RealModel
        The model's path, its feeds, and what it must predict.

    Raises
    ------
    KeyError
        If no model has this name.
    FileNotFoundError
        If the model, or a data file that its input is made of, has not been fetched.
    """
    builder = BUILDERS[name]
    path = (cache or cache_folder()) / f"{name}.onnx"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run python tools/fetch_models.py {name}")
    try:
        return dataclasses.replace(builder(path), name=name, path=path)
    except FileNotFoundError as error:
        message = f"{error.filename} is missing: run python tools/fetch_models.py {name}"
        raise FileNotFoundError(message) from error
