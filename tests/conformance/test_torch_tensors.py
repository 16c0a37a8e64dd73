"""PyTorch's tensors as inputs and targets, and results as PyTorch's tensors."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError
from onnxplain.inputs import as_array

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

X = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32))


@pytest.mark.parametrize(
    "tensor",
    [X, X.clone().requires_grad_(), X.t().contiguous().t(), X[::2], X.double(), X.half(), X.long(), X > 0],
)
def test_tensors_are_read_where_they_lie(tensor) -> None:
    found = as_array(tensor, "x")
    np.testing.assert_array_equal(found, tensor.detach().numpy(), strict=True)
    assert found.ctypes.data == tensor.data_ptr()


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (X.bfloat16(), r"BFloat16: NumPy has no such dtype; convert it first, with \.float\(\)"),
        (X.to("meta"), r"meta"),
        (X.to_sparse(), r"to_dense\(\)"),
    ],
)
def test_what_cannot_be_read(tensor, said) -> None:
    with pytest.raises(DataInputError, match=said):
        as_array(tensor, "x")


@pytest.mark.parametrize("method", ["saliency", "lrp", "integrated_gradients", "rise", "kernel_shap"])
def test_there_and_back(method, models) -> None:
    explainer = ox.Explainer(models.mlp())
    found = explainer(X.clone().requires_grad_(), torch.tensor([1, 0, 2]), method)
    expected = explainer(X.numpy(), [1, 0, 2], method)
    values = torch.from_dlpack(found.values)
    assert values.data_ptr() == found.values.ctypes.data
    np.testing.assert_array_equal(values.numpy(), expected.values)
