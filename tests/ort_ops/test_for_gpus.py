"""Programs for a GPU: operators with a form there alone, and transposed convolutions left to cuDNN."""

from __future__ import annotations

import onnx
import pytest
from operator_cases import registered

import onnxplain as ox
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.methods import OnePass

ON_CUDA = {name for name, devices in registered().items() if "cuda" in devices}
#: What walks back have for the CPU in place of transposed convolutions.
FOR_CONVOLUTIONS = {"Interleave", "SparseConvTranspose", "ThinConvTranspose"}


def strided(models) -> onnx.ModelProto:
    """A first layer with strides, one of many channels with strides, and one behind a max pooling."""
    return models.make(
        """m (float[N, 3, 32, 32] x) => (float[N, 5] y) {
          a = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, u) b = Relu(a)
          c = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(b, v) d = Relu(c)
          e = Conv<pads = [1, 1, 1, 1]>(d, w) f = Relu(e)
          p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(f)
          g = GlobalAveragePool(p) y = Flatten(g)
        }""",
        u=models.random(16, 3, 3, 3), v=models.random(16, 16, 3, 3, seed=1),
        w=models.random(5, 16, 3, 3, seed=2),
    )  # fmt: skip


def nodes(model, folder, form: str, **words) -> list[onnx.NodeProto]:
    path = ox.export(model, folder / f"{form}.onnx", form=form, **words).path
    return list(onnx.load(path).graph.node)


def own(found: list[onnx.NodeProto]) -> set[str]:
    return {n.op_type for n in found if n.domain == DOMAIN}


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "lrp"])
def test_transposed_convolutions_stay_for_cudnn(method, models, tmp_path) -> None:
    model = strided(models)
    there = own(nodes(model, tmp_path, "accelerated", method=method))
    assert there >= (FOR_CONVOLUTIONS if method == "saliency" else FOR_CONVOLUTIONS - {"SparseConvTranspose"})
    there = nodes(model, tmp_path, "accelerated_cuda", method=method)
    assert own(there)
    assert not own(there) & FOR_CONVOLUTIONS
    portable = nodes(model, tmp_path, "portable", method=method)

    def convolutions(found: list[onnx.NodeProto]) -> list[tuple[str, bytes]]:
        kinds = ("Conv", "ConvTranspose")
        return sorted(
            (n.op_type, b"".join(sorted(a.SerializeToString() for a in n.attribute)))
            for n in found
            if n.op_type in kinds
        )

    assert sum(kind == "ConvTranspose" for kind, _ in convolutions(there)) >= 3
    assert convolutions(there) == convolutions(portable)


@pytest.mark.parametrize("name", sorted(n for n, m in ox.METHODS.items() if issubclass(m, OnePass)))
def test_every_operator_has_a_form_there(name, models, tmp_path) -> None:
    for k, model in enumerate((strided(models), models.conv())):
        folder = tmp_path / str(k)
        folder.mkdir()
        assert own(nodes(model, folder, "accelerated_cuda", method=name)) <= ON_CUDA
