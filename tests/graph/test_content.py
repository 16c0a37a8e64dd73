"""The hash of a model's content: the same wherever it lies, another where anything that counts is."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain.graph.content import content_hash
from onnxplain.graph.load import load


def of(model) -> str:
    return content_hash(load(model))


def test_it_is_one_number_wherever_the_model_lies(models, tmp_path) -> None:
    model = models.conv()
    known = of(model)
    assert re.fullmatch("[0-9a-f]{64}", known)
    onnx.save(model, tmp_path / "a.onnx")
    onnx.save(
        model, tmp_path / "b.onnx", save_as_external_data=True, location="b.bin", size_threshold=0
    )  # empties the weights of what it is given
    for source in (tmp_path / "a.onnx", tmp_path / "b.onnx"):
        assert of(source) == known
    inside = onnx.load(tmp_path / "a.onnx")
    assert of(inside) == of(inside.SerializeToString()) == of(ir.from_proto(inside)) == known
    inside.producer_name, inside.doc_string = "someone", "else"
    inside.graph.node[0].doc_string = "a node"
    inside.graph.initializer.insert(0, inside.graph.initializer.pop())
    for tensor in inside.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, tensor.data_type, array.shape, array.ravel()))
    assert of(inside) == known, "what changes no number does not count"
    weights = tmp_path / "b.bin"
    content = bytearray(weights.read_bytes())
    content[5] ^= 1
    weights.write_bytes(content)
    assert of(tmp_path / "b.onnx") != known, "weights beside the model count"


TEXT = """m (float[N, 4] x) => (float[N, 4] y)
{ c = Constant<value_strings = ["a", "b"]>() s = Softmax<axis = 1>(x) z = Add(s, w) y = Relu(z) }"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("axis = 1", "axis = 0"),
        ("axis = 1", "axes = 1"),
        ('"a", "b"', '"ab", ""'),
        ("Add(s, w)", "Add(w, s)"),
        ("Add(s, w)", "Sub(s, w)"),
        ("Relu(z)", "Relu(s)"),
        ("float[N, 4] x", "float[M, 4] x"),
        ("float[N, 4] x", "float16[N, 4] x"),
    ],
)
def test_whatever_counts_changes_it(old, new, models) -> None:
    w = models.random(4)
    assert old in TEXT
    changed = models.make(TEXT.replace(old, new, 1), w=w)
    assert content_hash(ir.from_proto(changed)) != content_hash(ir.from_proto(models.make(TEXT, w=w)))


def test_weights_and_opsets_count(models) -> None:
    w = models.random(4)
    nudged = w.copy()
    nudged[3] = np.nextafter(w[3], 9)
    known = of(models.make(TEXT, w=w))
    others = (
        models.make(TEXT, w=nudged),
        models.make(TEXT, w=w.reshape(1, 4)),
        models.make(TEXT, w=w.view(np.int32)),
        models.make(TEXT, w=w, opset=17),
    )
    assert len({known, *map(of, others)}) == 5
    assert of(models.make(TEXT, w=w)) == known


def test_bodies_functions_and_texts_count(models) -> None:
    def loop(op: str) -> onnx.ModelProto:
        return models.make(
            f"""m (float[4] x, bool c) => (float[4] y)
            {{ y = If(c) <then_branch = t () => (float[4] a) {{ a = {op}(x) }},
                          else_branch = e () => (float[4] b) {{ b = Exp(x) }}> }}"""
        )

    def function(op: str) -> onnx.ModelProto:
        return onnx.parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 18, "f" : 1]>
            m (float[4] x) => (float[4] y) {{ y = f.g(x) }}
            <domain: "f", opset_import: ["" : 18]> g (a) => (b) {{ b = {op}(a) }}"""
        )

    def text(word: str) -> onnx.ModelProto:
        made = models.make("m (float[4] x) => (float[4] y) { y = Relu(x) }")
        made.graph.initializer.append(
            onnx.helper.make_tensor("t", onnx.TensorProto.STRING, [2], ["same", word])
        )
        return made

    for make, words in ((loop, ("Relu", "Tanh")), (function, ("Relu", "Tanh")), (text, ("a", "b"))):
        one, other = words
        assert of(make(one)) == of(make(one))
        assert of(make(one)) != of(make(other))


def test_results_tell_it(models) -> None:
    """As the model was read, not as it was rewritten; also from copies and pickles."""
    model, x = models.mlp(softmax=True), models.random(2, 5)
    known = of(model)
    explainer = ox.Explainer(model)
    for one in (explainer, pickle.loads(pickle.dumps(explainer)), copy.deepcopy(explainer)):
        assert one(x, 1, "saliency").model_hash == known
    assert ox.explain(model, x, 1, method="lrp").model_hash == known
    assert ox.explain(models.mlp(), x, 1, method="lrp").model_hash != known


def test_large_weights_are_hashed_whole(models) -> None:
    w = models.random(300, 300)
    known = of(models.linear(w))
    w[299, 299] += 1
    assert of(models.linear(w)) != known
    assert len(known) == len(hashlib.sha256().hexdigest())
