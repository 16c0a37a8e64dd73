"""An explainer answers for the model that it read, whatever happens to the files afterwards."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.graph.load import external

METHODS = ("saliency", "lrp", "integrated_gradients", "deep_lift")


@pytest.fixture
def folder(models, tmp_path):
    """Hold a model whose weights (some over a page) lie in a file beside it."""
    model = models.make(
        "m (float[N, 64] x) => (float[N, 3] y) { a = Gemm(x, w, b) h = Relu(a) y = MatMul(h, v) }",
        w=models.random(64, 80, seed=1), b=models.random(80, seed=2), v=models.random(80, 3, seed=3),
    )  # fmt: skip
    onnx.save(model, tmp_path / "inside.onnx")
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return tmp_path


def zeros(path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def other(path) -> None:
    path.with_suffix(".new").write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))
    path.with_suffix(".new").replace(path)


CHANGES = {
    "overwritten": zeros,
    "replaced": other,
    "truncated": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "folder deleted": lambda path: shutil.rmtree(path.parent),
}
every_change = pytest.mark.parametrize("change", CHANGES)


@every_change
@pytest.mark.parametrize("first", [None, "saliency"])
def test_files_that_change_after_reading(change, first, models, folder) -> None:
    x = models.random(2, 64)
    plain = ox.Explainer(folder / "inside.onnx")
    expected = {m: plain(x, 1, m) for m in METHODS}
    explainer = ox.Explainer(folder / "model.onnx")
    if first is not None:
        explainer(x, 1, first)
    CHANGES[change](folder / "w.bin")
    for method in METHODS:
        found = explainer(x, 1, method)
        np.testing.assert_array_equal(found.values, expected[method].values)
        np.testing.assert_array_equal(found.predictions, expected[method].predictions)


@every_change
def test_models_of_onnx_ir(change, models, folder) -> None:
    x = models.random(2, 64)
    expected = ox.explain(folder / "inside.onnx", x, 1, method="saliency").values
    explainer = ox.Explainer(ir.load(folder / "model.onnx"))
    CHANGES[change](folder / "w.bin")
    np.testing.assert_array_equal(explainer(x, 1, "saliency").values, expected)


def test_models_of_onnx_ir_whose_weights_are_gone(folder) -> None:
    model = ir.load(folder / "model.onnx")
    (folder / "w.bin").write_bytes(bytes(10))
    with pytest.raises(errors.ExternalDataError, match=r"w\.bin.*ends before weight"):
        ox.Explainer(model)
    (folder / "w.bin").unlink()
    with pytest.raises(errors.ExternalDataError, match=r"there is no file .*w\.bin"):
        ox.Explainer(model)


def test_a_proto_that_changes_after_reading(models, folder) -> None:
    x = models.random(2, 64)
    proto = onnx.load(folder / "inside.onnx")
    expected = ox.explain(proto, x, 1, method="saliency").values
    explainer = ox.Explainer(proto)
    for tensor in proto.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))
    np.testing.assert_array_equal(explainer(x, 1, "saliency").values, expected)


def test_a_file_that_changes_while_it_is_read(models, folder, monkeypatch) -> None:
    read = external._in_memory

    def slow(tensor: ir.ExternalTensor, path) -> ir.TensorProtocol:
        made = read(tensor, path)
        other(folder / "w.bin")
        return made

    monkeypatch.setattr(external, "_in_memory", slow)
    with pytest.raises(errors.ExternalDataError, match="changed while it was read"):
        ox.Explainer(folder / "model.onnx")


def hub(folder, depth: str = "") -> None:
    """Lay a model out as the caches of model hubs do: links in a snapshot, files in a store."""
    (folder / "blobs").mkdir()
    snapshot = folder / "snapshots" / "main" / depth
    snapshot.mkdir(parents=True)
    for name, blob in (("model.onnx", "11aa"), ("w.bin", "22bb")):
        (folder / name).replace(folder / "blobs" / blob)
        up = "../" * (3 if depth else 2)
        (snapshot / name).symlink_to(f"{up}blobs/{blob}")


@pytest.mark.parametrize("depth", ["", "onnx"])
def test_links_of_a_hub_cache(depth, models, folder) -> None:
    x = models.random(2, 64)
    expected = ox.explain(folder / "inside.onnx", x, 1, method="saliency").values
    hub(folder, depth)
    path = folder / "snapshots" / "main" / depth / "model.onnx"
    np.testing.assert_array_equal(ox.explain(path, x, 1, method="saliency").values, expected)
    (path.parent / "w.bin").unlink()
    with pytest.raises(errors.ExternalDataError, match=r"w\.bin', which is missing"):
        ox.Explainer(path)


def test_a_link_to_a_model_finds_the_weights_beside_the_model(models, folder) -> None:
    x = models.random(2, 64)
    expected = ox.explain(folder / "inside.onnx", x, 1, method="saliency").values
    away = folder / "away"
    away.mkdir()
    (away / "link.onnx").symlink_to(folder / "model.onnx")
    np.testing.assert_array_equal(ox.explain(away / "link.onnx", x, 1, method="saliency").values, expected)
    (folder / "way").symlink_to(away)  # a link to a folder on the way
    np.testing.assert_array_equal(
        ox.explain(folder / "way" / "link.onnx", x, 1, method="saliency").values, expected
    )


@pytest.mark.parametrize("location", ["../secret.bin", "w.bin/../../secret.bin", "link.bin", "deep/link.bin"])
def test_links_do_not_lead_out_of_the_folder(location, folder) -> None:
    inner = folder / "inner"
    (inner / "deep").mkdir(parents=True)
    (folder / "secret.bin").write_bytes(bytes(1 << 16))
    (inner / "link.bin").symlink_to(folder / "secret.bin")
    (inner / "deep" / "link.bin").symlink_to(folder / "secret.bin")
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        next(e for e in tensor.external_data if e.key == "location").value = location
    onnx.save(model, inner / "model.onnx")
    (folder / "linked").mkdir()
    (folder / "linked" / "model.onnx").symlink_to(inner / "model.onnx")
    for path in (inner / "model.onnx", folder / "linked" / "model.onnx"):
        with pytest.raises(errors.ExternalDataError, match="outside the model's folder"):
            ox.Explainer(path)


@pytest.mark.parametrize("dtype", ["FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT4", "INT4", "BOOL", "INT64"])
@pytest.mark.parametrize("attribute", [False, True])
def test_every_dtype(dtype, attribute, models, tmp_path) -> None:
    kind = getattr(onnx.TensorProto, dtype)
    content = np.arange(6).reshape(2, 3) % 2
    tensor = ir.serde.serialize_tensor(
        ir.Tensor(content.astype(ir.DataType(kind).numpy()), dtype=ir.DataType(kind), name="w")
    )
    model = models.make(
        "m (float[2, 3] x) => (float[2, 3] y) { c = Cast<to = 1>(w) y = Mul(x, c) }", opset=21
    )
    if attribute:
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0,
        convert_attribute=True,
    )  # fmt: skip
    assert (tmp_path / "w.bin").stat().st_size
    explainer = ox.Explainer(tmp_path / "m.onnx")
    (tmp_path / "w.bin").unlink()
    x = models.random(2, 3)
    np.testing.assert_array_equal(explainer.predict(x)["y"], x * content)


def test_weights_in_functions_and_bodies(models, tmp_path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18, "mine" : 1]>
        m (float[N, 3] x, bool c) => (float[N, 3] y) {
          f = mine.scale(x)
          y = If(c) <then_branch = t () => (float[N, 3] a) {
                       w = Constant<value = float[3] {1, 2, 3}>() a = Mul(f, w) },
                     else_branch = e () => (float[N, 3] b) { b = Neg(f) }>
        }
        <domain: "mine", opset_import: ["" : 18]>
        scale (a) => (b) { w = Constant<value = float[3] {2, 2, 2}>() b = Mul(a, w) }"""
    )
    (tmp_path / "w.bin").write_bytes(np.array([1, 2, 3, 2, 2, 2], np.float32).tobytes())
    held = [model.graph.node[1].attribute[0].g.node[0].attribute[0].t]
    held.append(model.functions[0].node[0].attribute[0].t)
    for k, tensor in enumerate(held):
        for field in ("float_data", "raw_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": "w.bin", "offset": 12 * k, "length": 12}.items():
            tensor.external_data.add(key=key, value=str(value))
    onnx.save(model, tmp_path / "m.onnx")
    explainer = ox.Explainer(tmp_path / "m.onnx")
    (tmp_path / "w.bin").unlink()
    found = explainer.predict({"x": np.ones((1, 3), np.float32), "c": np.array(True)})
    np.testing.assert_array_equal(found["y"], [[2, 4, 6]])
