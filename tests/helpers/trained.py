"""Trained models with real inputs, for the tests marked ``models``: a fixture for their conftest.

``tools/fetch_models.py`` fetches the models; ``tools/real_inputs`` makes the inputs. A model that has not
been fetched, or whose input needs a package that is not installed, skips the test and says why.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
if str(TOOLS) not in sys.path:
    sys.path.insert(0, str(TOOLS))

import real_inputs  # noqa: E402  (found on the path set above)

__all__ = ["real_inputs", "real_model", "target_of"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import onnxplain as ox


def target_of(model: real_inputs.RealModel, explainer: ox.Explainer) -> Any:
    """Return a model's target as calls take it: of one sample's output where there are samples."""
    shape = explainer.predict(model.feeds)[model.output].shape
    batch = next(model.feeds[i.name].shape[0] for i in explainer.inputs if i.explained)
    index = model.target[1:] if shape and shape[0] == batch else model.target
    single = int(np.prod(shape)) == (shape[0] if index == model.target[1:] and shape else 1)
    return None if single else [tuple(index)] * batch if len(index) > 1 else index[0]


@pytest.fixture(scope="session")
def real_model() -> Callable[[str], real_inputs.RealModel]:
    """Return a function that gives the model of a name, its real input, and what it must predict."""
    made: dict[str, real_inputs.RealModel] = {}

    def get(name: str) -> real_inputs.RealModel:
        if name not in made:
            try:
                made[name] = real_inputs.load(name)
            except FileNotFoundError as error:
                pytest.skip(str(error))
            except ModuleNotFoundError as error:
                pytest.skip(f"the input of {name} needs {error.name}, which is not installed")
        return made[name]

    return get
