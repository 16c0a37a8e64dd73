"""Fixed batches become free where no sample touches another; else the node that mixes them is named."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox


def run(proto, **feeds: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


#: Graphs of a batch of one, of (1, 4, 6) to (1, ...), with what holds the batch.
BODIES = {
    "reshape": "r = Reshape(x, flat) m = MatMul(r, w) y = Relu(m)",
    "reshape_rest": "r = Reshape(x, rest) y = Relu(r)",
    "reshape_merged": "r = Reshape(x, rows) m = MatMul(r, v) y = Reshape(m, back)",
    "expand": "r = Relu(x) y = Expand(r, full)",
    "slice": "r = Slice(x, zero, one, zero) y = Relu(r)",
    "token": "r = Concat<axis = 1>(token, x) y = Tanh(r)",
    "resize": "y = Resize<mode = \"nearest\">(x, , , sizes)",
    "lstm": "t = Transpose<perm = [1, 0, 2]>(x) a, y0 = LSTM<hidden_size = 3>(t, W, R, , , h, c) "
            "y = Transpose<perm = [1, 0, 2]>(y0)",
    "shape": "s = Shape(x) n = Gather(s, zero) k = Concat<axis = 0>(n, minus) r = Reshape(x, k) y = Relu(r)",
}  # fmt: skip


def weights(models, batch: int = 1) -> dict[str, np.ndarray]:
    integers = {
        "flat": [batch, 24], "rest": [batch, -1], "rows": [4 * batch, 6], "back": [batch, 4, 5],
        "full": [batch, 4, 6], "zero": [0], "one": [batch], "sizes": [batch, 8, 12], "minus": [-1],
    }  # fmt: skip
    found = {k: np.array(v, np.int64) for k, v in integers.items()}
    found |= {"w": models.random(24, 3), "v": models.random(6, 5)}
    found["token"] = np.repeat(models.random(1, 1, 6, seed=4), batch, 0)
    found |= {"W": models.random(1, 12, 6), "R": models.random(1, 12, 3)}
    found |= {k: np.repeat(models.random(1, 1, 3), batch, 1) for k in ("h", "c")}
    return found


def graph(models, body: str, batch: int = 1, inputs: str = ""):
    held = weights(models, batch)
    used = {k: v for k, v in held.items() if any(k in part.split(", ") for part in _operands(body))}
    return models.make(f"m (float[{batch}, 4, 6] x{inputs}) => (float[{batch}] y) {{ {body} }}", **used)


def _operands(body: str) -> list[str]:
    return [part.split(")")[0] for part in body.split("(")[1:]]


def unshaped(model):
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_any_number_of_samples(name, batch, models) -> None:
    model = unshaped(graph(models, BODIES[name], batch))
    made = ox.rebatch(model)
    first = made.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in first] == ["batch", 4, 6]
    assert made.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    x = models.random(3 * batch, 4, 6, seed=9)
    ones = [run(model, x=part)[0] for part in np.split(x, 3)]
    np.testing.assert_allclose(run(made, x=x)[0], np.concatenate(ones), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(made, x=x[:1])[0], ones[0][:1], rtol=1e-5, atol=1e-6)


MIXERS = {
    "Softmax": "y = Softmax<axis = 0>(x)",
    "ReduceSum": "y = ReduceSum<keepdims = 1>(x, zero)",
    "Reshape": "r = Reshape(x, flat2) y = Softmax<axis = 1>(r)",
    "MatMul": "f = Reshape(x, flat) t = Transpose<perm = [1, 0]>(f) m = MatMul(f, t) y = MatMul(m, f)",
}


@pytest.mark.parametrize("name", MIXERS)
def test_the_node_that_mixes_samples_is_named(name, models) -> None:
    body = MIXERS[name].replace("flat2", "flat")
    if name == "Reshape":
        model = unshaped(
            models.make(f"m (float[2, 12] x) => (float[1] y) {{ {body} }}", flat=np.array([1, 24]))
        )
        name = "Softmax"
    else:
        model = unshaped(graph(models, body, 2))
    with pytest.raises(ox.errors.InvalidModelError, match=f"(?s)fixed batch cannot become.*{name} node"):
        ox.rebatch(model)


def test_rows_of_their_own_keep_the_batch(models) -> None:
    """A constant that differs from row to row ties each sample to its place."""
    model = unshaped(
        models.make("m (float[2, 3] x) => (float[1] y) { y = Mul(x, w) }", w=np.array([[1, 2, 3], [4, 5, 6]]))
    )
    with pytest.raises(ox.errors.InvalidModelError, match="fixed batch cannot become"):
        ox.rebatch(model)


def test_several_inputs_and_shared_ones(models) -> None:
    model = unshaped(
        models.make("m (float[1, 3] x, float[2, 1, 3] state, float[3] s) => (float[1] y) "
                    "{ t = ReduceSum<keepdims = 0>(state, axis) a = Add(x, t) y = Mul(a, s) }",
                    axis=np.array([0]))
    )  # fmt: skip
    made = ox.rebatch(model)
    shapes = [[d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in made.graph.input]
    assert shapes == [["batch", 3], [2, "batch", 3], [3]]


def test_open_lengths_are_told(models) -> None:
    with pytest.raises(ox.errors.InvalidModelError, match="'x' has the shape"):
        ox.rebatch(models.conv())


@pytest.mark.parametrize("method", ["lrp", "integrated_gradients"])
def test_files_of_any_batch(method, models, tmp_path) -> None:
    model = models.conv(batch="1")
    made = ox.export(model, tmp_path / "made.onnx", method=method, batch="any")
    x = models.random(5, 2, 8, 8)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    found = session.run(["attribution/x"], {"x": x, "target": np.full(5, 2)})[0]
    expected = ox.explain(model, x, 2, method=method).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
