"""What the server says is what the explainer says, by both protocols, alone and in company."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from http_client import Client, running, v2

import onnxplain as ox

pytest.importorskip("kserve")

INFER, EXPLAIN = "/v2/models/small/infer", "/v2/models/small-explain/infer"


def outputs(content: Any) -> dict[str, np.ndarray]:
    return {o["name"]: np.reshape(o["data"], o["shape"]) for o in content["outputs"]}


def test_v2_predicts(client: Client, explainer: ox.Explainer, models: Any) -> None:
    x = models.random(4, 5)
    status, content, _ = client.ask(INFER, v2({"x": x}, id="mine"))
    assert (status, content["id"], content["model_name"]) == (200, "mine", "small")
    np.testing.assert_array_equal(np.float32(outputs(content)["y"]), explainer.predict(x)["y"])


def test_v1_predicts(client: Client, explainer: ox.Explainer, models: Any) -> None:
    x = models.random(4, 5)
    status, content, _ = client.ask("/v1/models/small:predict", {"instances": x.tolist()})
    assert status == 200
    np.testing.assert_array_equal(np.float32(content["predictions"]), explainer.predict(x)["y"])


@pytest.mark.parametrize(
    ("given", "target"),
    [(None, "predicted"), ("predicted", "predicted"), (2, 2), ([0, 1, 2, 0], [0, 1, 2, 0])],
)
def test_v2_explains(client: Client, explainer: ox.Explainer, models: Any, given: Any, target: Any) -> None:
    x = models.random(4, 5)
    parameters = {"method": "integrated_gradients"} | ({} if given is None else {"target": given})
    status, content, _ = client.ask(EXPLAIN, v2({"x": x}, parameters=parameters))
    assert status == 200
    wanted = explainer(x, target, "integrated_gradients", n_steps=7, baselines=0.25)
    found = outputs(content)
    np.testing.assert_array_equal(np.float32(found["attribution/x"]), wanted.values)
    np.testing.assert_array_equal(found["delta/y"], wanted.delta)
    np.testing.assert_array_equal(found["target"], wanted.target[:, 0])
    np.testing.assert_array_equal(np.float32(found["y"]), wanted.predictions)
    assert content["parameters"]["method"] == wanted.written_method


def test_a_target_may_be_an_input(client: Client, explainer: ox.Explainer, models: Any) -> None:
    x = models.random(2, 5)
    request = v2({"x": x})
    request["inputs"].append({"name": "target", "shape": [2], "datatype": "INT64", "data": [2, 0]})
    status, content, _ = client.ask(EXPLAIN, request)
    assert status == 200
    wanted = explainer(x, [2, 0], "lrp").values
    np.testing.assert_array_equal(np.float32(outputs(content)["attribution/x"]), wanted)


def test_v1_explains(client: Client, explainer: ox.Explainer, models: Any) -> None:
    x = models.random(3, 5)
    asked = {"instances": x.tolist(), "parameters": {"target": [0, 1, 2], "method": "smooth_grad"}}
    status, content, _ = client.ask("/v1/models/small:explain", asked)
    assert status == 200
    wanted = explainer(x, [0, 1, 2], "smooth_grad", n_samples=4)
    found = content["explanations"]
    np.testing.assert_array_equal(np.float32([e["attribution/x"] for e in found]), wanted.values)
    assert [e["target"] for e in found] == [0, 1, 2]
    errors = wanted.extras["standard_error"]["x"]
    np.testing.assert_allclose([e["standard_error/x"] for e in found], errors, rtol=1e-6)


def test_binary_tensors_as_kserves_own_client_writes_and_reads_them(
    client: Client, explainer: ox.Explainer, models: Any
) -> None:
    from kserve import InferInput, InferRequest, InferResponse

    x = models.random(3, 5)
    given = InferInput("x", [3, 5], "FP32")
    given.set_data_from_numpy(x, binary_data=True)
    request = InferRequest("small-explain", [given], parameters={"binary_data_output": True, "target": 1})
    body, length = request.to_rest()
    header = {"Inference-Header-Content-Length": str(length)}
    status, raw, headers = client.ask(EXPLAIN, body, header)
    assert status == 200
    answer = InferResponse.from_bytes(raw, int(headers["Inference-Header-Content-Length"]))
    wanted = explainer(x, 1, "lrp")
    found = answer.get_output_by_name("attribution/x").as_numpy()
    np.testing.assert_array_equal(found.astype(np.float32), wanted.values)


def test_outputs_can_be_chosen(client: Client, models: Any) -> None:
    asked = [{"name": "delta/y", "parameters": {"binary_data": True}}, {"name": "y"}]
    status, raw, headers = client.ask(EXPLAIN, v2({"x": models.random(2, 5)}, outputs=asked))
    assert status == 200
    length = int(headers["inference-header-content-length"])
    told = json.loads(raw[:length])["outputs"]
    assert [o["name"] for o in told] == ["delta/y", "y"]
    assert told[0]["parameters"] == {"binary_data_size": len(raw) - length}
    assert "data" not in told[0]
    assert len(told[1]["data"]) == 6


def test_many_at_once_get_what_each_gets_alone(client: Client, explainer: ox.Explainer, models: Any) -> None:
    x = models.random(60, 5)

    def ask(k: int) -> np.ndarray:
        row, target = x[k : k + 1], k % 3
        if k % 2:
            asked = {"instances": row.tolist(), "parameters": {"target": target}}
            status, content, _ = client.ask("/v1/models/small:explain", asked)
            assert status == 200
            return np.float32(content["explanations"][0]["attribution/x"])
        status, content, _ = client.ask(EXPLAIN, v2({"x": row}, parameters={"target": target}))
        assert status == 200
        return np.float32(outputs(content)["attribution/x"][0])

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(ask, range(60)))
    for k in range(60):
        wanted = explainer(x[k : k + 1], k % 3, "lrp").values[0]
        np.testing.assert_allclose(found[k], wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("/", {"status": "alive"}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/small/ready", {"name": "small", "ready": True}),
        ("/v2/models", {"models": ["small", "small-explain"]}),
        ("/v1/models", {"models": ["small", "small-explain"]}),
        ("/v1/models/small", {"name": "small", "ready": True}),
    ],
)
def test_health(client: Client, address: str, part: dict[str, Any]) -> None:
    status, content, _ = client.ask(address)
    assert (status, content) == (200, part)


def test_metadata(client: Client) -> None:
    _, server, _ = client.ask("/v2")
    assert server["name"] == "onnxplain"
    assert server["extensions"] == ["binary_tensor_data"]
    _, found, _ = client.ask("/v2/models/small-explain")
    x = {"name": "x", "datatype": "FP32", "shape": [-1, 5]}
    assert found["inputs"] == [x, {"name": "target", "datatype": "INT64", "shape": [-1]}]
    assert {"name": "attribution/x", "datatype": "FP32", "shape": [-1, 5]} in found["outputs"]


def test_metrics_count(client: Client, models: Any) -> None:
    client.ask(INFER, v2({"x": models.random(1, 5)}))
    client.ask(INFER, {})
    status, text, _ = client.ask("/metrics")
    assert status == 200
    lines = text.decode().splitlines()
    for code in ("200", "400"):
        start = f'onnxplain_requests_total{{model_name="small",protocol="v2",status="{code}"}}'
        assert any(line.startswith(start) and float(line.split()[-1]) >= 1 for line in lines)
    assert any(line.startswith('request_predict_seconds_count{model_name="small"}') for line in lines)


def test_token_ids_two_inputs_and_texts(models: Any, tmp_path: Any) -> None:
    from onnxplain.serve import Settings, served

    onnx.save(models.tokens(), tmp_path / "tokens.onnx")
    ids, mask = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[1, 1, 0], [1, 1, 1]])
    wanted = ox.Explainer(tmp_path / "tokens.onnx")({"ids": ids, "mask": mask}, [0, 1], "input_x_gradient")
    with running(served(tmp_path / "tokens.onnx", ["input_x_gradient"]), Settings(port=0)) as client:
        rows = [{"ids": a.tolist(), "mask": b.tolist()} for a, b in zip(ids, mask, strict=True)]
        asked = {"instances": rows, "parameters": {"target": [0, 1]}}
        status, content, _ = client.ask("/v1/models/tokens:explain", asked)
        assert status == 200
        found = np.float32([e["attribution/ids"] for e in content["explanations"]])
        np.testing.assert_array_equal(found, wanted.values)
        request = v2({"ids": ids, "mask": mask}, "INT64", parameters={"target": 1})
        assert client.ask("/v2/models/tokens-explain/infer", request)[0] == 200


def test_instances_that_are_no_samples_are_refused(models: Any, tmp_path: Any) -> None:
    from onnxplain.serve import Settings, served

    onnx.save(models.batch_last(), tmp_path / "aside.onnx")
    given = {"x": models.random(5, 5), "aside": models.random(5, 5, seed=1)}
    wanted = ox.Explainer(tmp_path / "aside.onnx")(given, 0, "saliency")
    with running(served(tmp_path / "aside.onnx", ["saliency"]), Settings(port=0)) as client:
        rows = [{k: v[n].tolist() for k, v in given.items()} for n in range(5)]
        status, content, _ = client.ask("/v1/models/aside:explain", {"instances": rows})
        assert status == 400
        assert "ask by V2" in content["error"]
        status, content, _ = client.ask("/v2/models/aside-explain/infer", v2(given, parameters={"target": 0}))
        assert status == 200
        found = outputs(content)
        for name in given:
            np.testing.assert_array_equal(np.float32(found[f"attribution/{name}"]), wanted.arrays[name])
