"""A server of a small classifier, and what its explainer says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import pytest
from http_client import Client, running

import onnxplain as ox

METHODS = [
    "lrp",
    ("integrated_gradients", {"n_steps": 7, "baselines": 0.25}),
    ("smooth_grad", {"n_samples": 4}),
]


@pytest.fixture(scope="session")
def path(models: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """(N, 5) to (N, 3), as a file."""
    where = tmp_path_factory.mktemp("served") / "small.onnx"
    onnx.save(models.mlp(), where)
    return str(where)


@pytest.fixture(scope="session")
def explainer(path: str) -> ox.Explainer:
    return ox.Explainer(path)


@pytest.fixture(scope="session")
def client(path: str) -> Iterator[Client]:
    pytest.importorskip("kserve")
    from onnxplain.serve import Settings, served

    with running(served(path, METHODS), Settings(port=0, max_body=2**20, read_timeout=1.0)) as found:
        yield found
