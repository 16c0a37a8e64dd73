"""What is malformed gets an error of the protocol, and the server goes on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from http_client import Client, v2

pytest.importorskip("kserve")

X = np.arange(10, dtype=np.float32).reshape(2, 5)
EXPLAIN, INFER = "/v2/models/small-explain/infer", "/v2/models/small/infer"
TENSOR = v2({"x": X})["inputs"][0]
HEAD = "Inference-Header-Content-Length"


def tensor(**fields: Any) -> dict[str, Any]:
    changed = {k: v for k, v in (TENSOR | fields).items() if v is not ...}
    return {"inputs": [changed]}


def binary(raw: bytes, size: Any, shape: tuple[int, ...] = (2, 5)) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(tensor(data=..., shape=shape, parameters={"binary_data_size": size})).encode()
    return head + raw, {HEAD: str(len(head))}


V2 = {
    "empty": (b"", "no JSON"),
    "half": (b'{"inputs": [', "no JSON"),
    "no text": (b"\xff\xfe", "no JSON"),
    "NaN": (json.dumps(tensor(data=[float("nan")] * 10)).encode(), "no JSON"),
    "deep": (b'{"inputs":' + b"[" * 5000 + b"]" * 5000 + b"}", "JSON"),
    "a list": ([], "must be an object"),
    "no inputs": ({}, "inputs must be a list"),
    "an unknown field": (v2({"x": X}, input=[]), "no field 'input'"),
    "another model": (v2({"x": X}, model_name="other"), "another model"),
    "a misspelt parameter": (v2({"x": X}, parameters={"taget": 1}), "did you mean 'target'"),
    "an unknown input": (v2({"z": X}), "no input 'z'"),
    "an input twice": ({"inputs": [TENSOR, TENSOR]}, "given twice"),
    "an input that is a list": ({"inputs": [[1]]}, "must be an object"),
    "no name": (tensor(name=...), "no input None"),
    "wrong type": (tensor(datatype="FP64"), "datatype FP32"),
    "no type": (tensor(datatype=...), "datatype FP32"),
    "no shape": (tensor(shape=...), "shape must be"),
    "negative shape": (tensor(shape=[-2, -5]), "shape must be"),
    "shape of true": (tensor(shape=[True, 5]), "shape must be"),
    "huge shape": (tensor(shape=[2**40, 2**40]), "shape must be"),
    "large shape": (tensor(shape=[2**30, 2**30]), "and its data has"),
    "other size": (tensor(shape=[2, 4]), "and its data has"),
    "another number of columns": (tensor(shape=[5, 2]), "must have shape"),
    "another rank": (tensor(shape=[10]), "must have 2 axes"),
    "no sample": (tensor(shape=[0, 5], data=[]), "empty"),
    "no data": (tensor(data=...), "needs either data"),
    "null": (tensor(data=[None] * 10), "not null"),
    "texts": (tensor(data=["1"] * 10), "must hold numbers"),
    "true": (tensor(data=[1.0, True] * 5), "must hold numbers"),
    "too large": (tensor(data=[1e300] * 10), "too large for float32"),
    "much too large": (tensor(data=[10**400] * 10), ""),
    "ragged": (tensor(data=[[1, 2, 3], [4]]), "unequal lengths"),
    "an object": (tensor(data={"a": 1}), "must be a list"),
    "an unknown output": (v2({"x": X}, outputs=[{"name": "z"}]), "no output 'z'"),
    "an output twice": (v2({"x": X}, outputs=[{"name": "y"}] * 2), "a name of its own"),
    "classes": (v2({"x": X}, outputs=[{"name": "y", "parameters": {"classification": 3}}]), "no field"),
    "an id that is a number": (v2({"x": X}, id=3), "id must be a text"),
    "a number for a flag": (v2({"x": X}, parameters={"binary_data_output": 1}), "true or false"),
}  # fmt: skip

TARGETS = {
    "too large": (3, "out of range"),
    "negative": (-1, "names no score"),
    "one of a list": ([0, 7], "out of range"),
    "three for two samples": ([0, 1, 2], "3 targets for 2 samples"),
    "one for two samples": ([0], "1 targets for 2 samples"),
    "pairs": ([[0, 1], [1, 1]], "so a target is one index"),
    "cubes": ([[[0]], [[1]]], "must have shape"),
    "a word": ("best", "must be a whole number"),
    "a broken number": (1.5, "must be a whole number"),
    "true": (True, "must be a whole number"),
    "empty": ([], "must be a whole number"),
    "ragged": ([[0], [0, 1]], "unequal lengths"),
    "past int64": (2**63, "no"),
    "an object": ({"class": 1}, "must be a whole number"),
}


def refused(found: tuple[int, Any, Any], words: str, status: int = 400) -> None:
    assert found[0] == status, found[:2]
    assert list(found[1]) == ["error"]
    assert words in found[1]["error"]
    assert "\n" not in found[1]["error"]


@pytest.fixture(autouse=True)
def _serves_on(client: Client) -> Any:
    yield
    assert client.ask(EXPLAIN, v2({"x": X}, parameters={"target": 1}))[0] == 200


@pytest.mark.parametrize("path_", [INFER, EXPLAIN])
def test_v2(client: Client, path_: str) -> None:
    for name, (content, words) in V2.items():
        if name == "a misspelt parameter" and path_ == INFER:
            words = "no field 'taget'"
        try:
            refused(client.ask(path_, content), words)
        except AssertionError as error:
            raise AssertionError(name) from error


@pytest.mark.parametrize("name", TARGETS)
def test_targets(client: Client, name: str) -> None:
    target, words = TARGETS[name]
    refused(client.ask(EXPLAIN, v2({"x": X}, parameters={"target": target})), words)
    asked = {"instances": X.tolist(), "parameters": {"target": target}}
    refused(client.ask("/v1/models/small:explain", asked), words)


@pytest.mark.parametrize(
    ("raw", "size", "words"),
    [
        (X.tobytes(), 39, "takes 40 bytes"),
        (X.tobytes(), 41, "40 bytes are left"),
        (X.tobytes()[:-1], 40, "39 bytes are left"),
        (X.tobytes() + b"x", 40, "the inputs take 40"),
        (X.tobytes(), -40, "bytes are left"),
        (X.tobytes(), True, "bytes are left"),
        (X.tobytes(), "40", "bytes are left"),
        (np.full((2, 5), np.nan, np.float32).tobytes(), 40, "NaN or infinite"),
    ],
)
def test_binary(client: Client, raw: bytes, size: Any, words: str) -> None:
    refused(client.ask(EXPLAIN, *binary(raw, size)), words)


@pytest.mark.parametrize("length", ["-1", "1e3", "99999", "", "٣"])
def test_the_header_of_binary_data(client: Client, length: str) -> None:
    body, _ = binary(X.tobytes(), 40)
    refused(client.ask(EXPLAIN, body, {HEAD: length.encode()}), "")


def test_nan_is_predicted_but_not_told_in_json(client: Client) -> None:
    body, headers = binary(np.full((2, 5), np.nan, np.float32).tobytes(), 40)
    refused(client.ask(INFER, body, headers), "ask for binary data")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "no JSON"),
        ({}, "instances must be a list"),
        ({"instances": []}, "at least one"),
        ({"instances": 3}, "at least one"),
        ({"instances": [[1, 2, 3, 4, 5], [1]]}, "unequal lengths"),
        ({"instances": [1, 2]}, "must have 2 axes"),
        ({"instances": [{"z": [1] * 5}]}, "no field 'z'"),
        ({"instances": [{}]}, "lacks input 'x'"),
        ({"instances": [{"x": [1] * 5}, 3]}, "instance 1 must be an object"),
        ({"instances": [["a"] * 5]}, "must hold numbers"),
        ({"instances": [[1] * 5], "target": 1}, "no field 'target'"),
        ({"instances": [[1] * 5], "parameters": {"method": "nonsense"}}, "no method 'nonsense' here"),
        ({"instances": [[1] * 5], "parameters": {"method": 3}}, "must be a text"),
        ({"instances": [[1] * 5], "parameters": [1]}, "must be an object"),
    ],
)
def test_v1(client: Client, content: Any, words: str) -> None:
    refused(client.ask("/v1/models/small:explain", content), words)


def test_what_is_not_there(client: Client) -> None:
    x = v2({"x": X})
    refused(client.ask("/v2/models/other/infer", x), "there are small, small-explain", 404)
    refused(client.ask("/v2/models/other"), "does not exist", 404)
    refused(client.ask("/nowhere"), "Not Found", 404)
    refused(client.ask("/nowhere", x), "Not Found", 404)
    refused(client.ask(INFER), "Method Not Allowed", 405)
    refused(client.ask("/v1/models/small-explain:predict", {}), "ask with :explain")
    refused(client.ask("/v2/repository/models/small/unload", x), "Not Found", 404)


def test_packed_bodies_are_not_read(client: Client) -> None:
    refused(client.ask(INFER, b"x", {"content-encoding": "gzip"}), "is not read", 415)
