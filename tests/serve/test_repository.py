"""Model repositories: what Triton's and KServe's own readers make of them, and what runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from command_line import failure, run
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import onnxplain as ox
from onnxplain.errors import OptionError, OutputError
from onnxplain.serve.repository import write_repository

METHODS = ["lrp", "grad_cam", ox.IntegratedGradients(n_steps=3)]


def config_class() -> Any:
    """Return the message of config.pbtxt, as far as it is written here (model_config.proto of Triton)."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    types = file.enum_type.add(name="DataType")
    named = (
        "INVALID BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 STRING BF16".split()
    )
    for number, name in enumerate(named):
        types.value.add(name=f"TYPE_{name}", number=number)
    reshape = file.message_type.add(name="ModelTensorReshape")
    reshape.field.add(name="shape", number=1, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    for kind, place in (("ModelInput", 5), ("ModelOutput", 5)):
        message = file.message_type.add(name=kind)
        message.field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
        message.field.add(
            name="data_type", number=2, type=field.TYPE_ENUM, type_name=".inference.DataType",
            label=field.LABEL_OPTIONAL,
        )  # fmt: skip
        message.field.add(name="dims", number=3, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
        message.field.add(
            name="reshape", number=place, type=field.TYPE_MESSAGE, type_name=".inference.ModelTensorReshape",
            label=field.LABEL_OPTIONAL,
        )  # fmt: skip
    file.message_type.add(name="ModelDynamicBatching")
    config = file.message_type.add(name="ModelConfig")
    config.field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    config.field.add(name="backend", number=17, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    config.field.add(name="max_batch_size", number=4, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    for name, number, kind in (("input", 5, "ModelInput"), ("output", 6, "ModelOutput")):
        config.field.add(
            name=name, number=number, type=field.TYPE_MESSAGE, type_name=f".inference.{kind}",
            label=field.LABEL_REPEATED,
        )  # fmt: skip
    config.field.add(
        name="dynamic_batching", number=11, type=field.TYPE_MESSAGE,
        type_name=".inference.ModelDynamicBatching", label=field.LABEL_OPTIONAL,
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def parsed(folder: Path) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(), config_class()())


def as_triton_takes_it(config: Any, session: ort.InferenceSession) -> None:
    """Check a configuration against the file as Triton's backend does when it loads it."""
    for given, own in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [t.name for t in given] == [v.name for v in own]
        for tensor, value in zip(given, own, strict=True):
            dims = list(tensor.reshape.shape) if tensor.HasField("reshape") else list(tensor.dims)
            whole = [-1, *dims] if config.max_batch_size else dims
            assert whole == [d if isinstance(d, int) else -1 for d in value.shape], tensor.name
            assert tensor.dims, tensor.name
            types = {"tensor(float)": "FP32", "tensor(double)": "FP64", "tensor(int64)": "INT64"}
            assert tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[
                tensor.data_type
            ].name == f"TYPE_{types[value.type]}"  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_an_explained_file(models: Any, tmp_path: Path, method: Any) -> None:
    ox.export(models.conv(), tmp_path / "why.onnx", method=method)
    made = write_repository(tmp_path / "why.onnx", tmp_path / "repository", max_batch=8)
    assert (made.folder, made.max_batch, made.apart) == (tmp_path / "repository" / "why", 8, None)
    session = ort.InferenceSession(made.folder / "1" / "model.onnx")
    config = parsed(made.folder)
    assert (config.name, config.backend, config.max_batch_size) == ("why", "onnxruntime", 8)
    assert config.HasField("dynamic_batching")
    as_triton_takes_it(config, session)
    x = models.random(2, 2, 8, 8)
    found = session.run(None, {"x": x, "target": [1, 2]})
    assert found[1].shape == x.shape
    assert sorted(p.name for p in (tmp_path / "repository").iterdir()) == ["why"]


def test_what_no_proof_follows_is_not_joined(models: Any, tmp_path: Path) -> None:
    ox.export(models.conv(), tmp_path / "why.onnx", method=ox.SmoothGrad(n_samples=2))
    made = write_repository(tmp_path / "why.onnx", tmp_path / "r")
    assert (made.max_batch, parsed(made.folder).max_batch_size) == (0, 0)
    as_triton_takes_it(parsed(made.folder), ort.InferenceSession(made.folder / "1" / "model.onnx"))


MIXING = """m (float[N, 4] x) => (float[N, 4] y) {
  one = Constant<value_ints = [0]>()
  mean = ReduceMean(x, one)
  y = Sub(x, mean)
}"""


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (MIXING, "not proven to be independent"),
        ("m (float[2, 4] x) => (float[2, 4] y) { y = Relu(x) }", "no open number of samples"),
        ("m (float[N, M] x) => (float[N, M] y) { y = Relu(x) }", "other axes than the first are open"),
        ("m (float[N, 4] x) => (float s) { s = ReduceSum<keepdims = 0>(x) }", "no open number of samples"),
    ],
)
def test_requests_are_joined_only_where_that_is_proven(
    models: Any, tmp_path: Path, graph: str, words: str
) -> None:
    onnx.save(models.make(graph), tmp_path / "m.onnx")
    made = write_repository(tmp_path / "m.onnx", tmp_path / "r")
    assert made.apart is not None
    assert words in made.apart
    config = parsed(made.folder)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    as_triton_takes_it(config, ort.InferenceSession(made.folder / "1" / "model.onnx"))


def test_several_classes_at_once_are_not_joined(models: Any, tmp_path: Path) -> None:
    ox.export(models.mlp(), tmp_path / "top.onnx", method="lrp", top_k=2)
    made = write_repository(tmp_path / "top.onnx", tmp_path / "r")
    assert made.max_batch == 0
    assert "several classes" in str(made.apart)


def test_weights_beside_the_file_come_along(models: Any, tmp_path: Path) -> None:
    onnx.save(
        models.mlp(), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    made = write_repository(tmp_path / "m.onnx", tmp_path / "r")
    assert sorted(p.name for p in (made.folder / "1").iterdir()) == ["model.onnx", "w.bin"]
    x = models.random(2, 5)
    wanted = ox.Explainer(tmp_path / "m.onnx").predict(x)["y"]
    found = ort.InferenceSession(made.folder / "1" / "model.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_service(models: Any, tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "My_Model.onnx")
    made = write_repository(
        tmp_path / "My_Model.onnx", tmp_path / "r", uri="s3://bucket/a b".replace(" ", "-")
    )
    assert made.service == tmp_path / "r" / "My_Model.yaml"
    text = made.service.read_text()
    yaml, kserve = pytest.importorskip("yaml"), pytest.importorskip("kserve")
    content = yaml.safe_load(text)
    assert (content["apiVersion"], content["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert content["metadata"] == {"name": "my-model"}
    client = kserve.ApiClient()
    model = client._ApiClient__deserialize(content["spec"]["predictor"]["model"], "V1beta1ModelSpec")
    assert (model.model_format.name, model.protocol_version, model.runtime, model.storage_uri) == (
        "onnx", "v2", "kserve-tritonserver", "s3://bucket/a-b",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "a/b"}, "no name for a model"),
        ({"name": ""}, "no name for a model"),
        ({"name": "7", "uri": "s3://a"}, "no name for a service"),
        ({"uri": "/mnt/models"}, "does not say where the cluster"),
        ({"namespace": "a"}, "a namespace is for a service"),
        ({"max_batch": 0}, "max_batch"),
    ],
)
def test_wrong_options_leave_nothing_behind(
    models: Any, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    with pytest.raises(OptionError, match=words):
        write_repository(tmp_path / "m.onnx", tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


def test_what_is_there_stays(models: Any, tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    made = write_repository(tmp_path / "m.onnx", tmp_path / "r")
    before = (made.folder / "config.pbtxt").read_text()
    with pytest.raises(OutputError, match="is there already"):
        write_repository(tmp_path / "m.onnx", tmp_path / "r", max_batch=1)
    assert (made.folder / "config.pbtxt").read_text() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_repository(tmp_path / "m.onnx", tmp_path / "file")


@pytest.mark.parametrize("name", ['a"b', "a\\b", "größe", "a/b:0"])
def test_names_of_tensors(models: Any, tmp_path: Path, name: str) -> None:
    proto = models.mlp()
    proto.graph.input[0].name = name
    proto.graph.node[0].input[0] = name
    onnx.save(proto, tmp_path / "m.onnx")
    made = write_repository(tmp_path / "m.onnx", tmp_path / "r")
    assert parsed(made.folder).input[0].name == name


def test_on_the_command_line(models: Any, tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "m.onnx")
    model, folder = str(tmp_path / "m.onnx"), str(tmp_path / "r")
    assert "mine.yaml" in run("repository", model, folder, "--name", "mine", "--uri", "gs://b/r").output
    assert "is there already" in failure("repository", model, folder, "--name", "mine")
    assert "none.onnx" in failure("repository", str(tmp_path / "none.onnx"), folder)
