"""Windows asked about as patches have the scores that they have in full, whatever layers they reach."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnxplain as ox
from onnxplain.graph.local import localise as writing
from onnxplain.kernels import operators_library
from onnxplain.runtime.plans import nearby as asking
from onnxplain.runtime.plans import run as running

pytestmark = pytest.mark.skipif(operators_library() is None, reason="the operators were not built here")

DEPTHWISE = "Conv({},c) kernel_shape=3,3 pads=1,1,1,1 group=2"

#: Nodes of a graph, each of which takes x, earlier ones (by number, from 1), and weights.
LAYERS = {
    "conv": ["Conv(x,a) kernel_shape=3,3 pads=1,1,1,1"],
    "pads of all lengths": ["Conv(x,a) kernel_shape=3,3 pads=0,2,1,3"],
    "strides": ["Conv(x,a) kernel_shape=3,3 strides=2,3 pads=1,0,2,1"],
    "strides without overlap": ["Conv(x,b) kernel_shape=1,1 strides=3,2"],
    "dilations": ["Conv(x,a) kernel_shape=3,3 dilations=2,3 pads=2,1,0,3"],
    "same upper": ["Conv(x,a) kernel_shape=3,3 strides=2,2 auto_pad=SAME_UPPER"],
    "same lower": ["Conv(x,a) kernel_shape=3,3 strides=2,2 auto_pad=SAME_LOWER"],
    "valid": ["Conv(x,a) kernel_shape=3,3 auto_pad=VALID"],
    "depthwise": [DEPTHWISE.format("x")],
    "max": ["MaxPool(x) kernel_shape=2,3 strides=2,1"],
    "max with pads": ["MaxPool(x) kernel_shape=3,3 strides=2,2 pads=1,1,1,1"],
    "max with a ceiling": ["MaxPool(x) kernel_shape=3,3 strides=2,3 ceil_mode=1"],
    "max with dilations": ["MaxPool(x) kernel_shape=2,2 dilations=3,2 pads=0,1,1,0"],
    "mean": ["AveragePool(x) kernel_shape=3,2 strides=1,2"],
    "mean with pads": ["AveragePool(x) kernel_shape=3,3 pads=1,0,1,2 count_include_pad=1"],
    "mean of what is there": ["AveragePool(x) kernel_shape=3,3 pads=1,1,1,1"],
    "each place": ["Relu(x)", "Mul(1,d)", "Clip(2,e,f)", "Add(3,d)", "Sigmoid(4)"],
    "two branches": [DEPTHWISE.format("x"), "MaxPool(x) kernel_shape=3,3 pads=1,1,1,1", "Add(1,2)"],
    "branches of two sizes": [
        "Conv(x,g) kernel_shape=5,1 pads=2,0,2,0 group=2",
        DEPTHWISE.format("x"),
        "Mul(1,2)",
        "Concat(3,x,2) axis=1",
    ],
    "a way round": [DEPTHWISE.format("x"), "Add(1,x)", "Relu(2)", DEPTHWISE.format("3"), "Sub(4,3)"],
    "a gate of all places": [
        "GlobalAveragePool(x)", "Sigmoid(1)", "Mul(x,2)", "Conv(3,a) kernel_shape=3,3",
    ],
    "rows that differ": ["Add(x,h)", "Conv(1,a) kernel_shape=3,3"],
    "deep": [
        "Conv(x,a) kernel_shape=3,3 pads=1,1,1,1", "Relu(1)", "MaxPool(2) kernel_shape=2,2 strides=2,2",
        "Conv(3,i) kernel_shape=3,3 pads=1,1,1,1", "Relu(4)", "AveragePool(5) kernel_shape=2,2 strides=2,2",
    ],
}  # fmt: skip
SIDES = (11, 13)


def _number(rng, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def network(layers: list[str]) -> onnx.ModelProto:
    """Return (N, 2, 11, 13) to (N, 3): layers, and a dense end."""
    rng = np.random.default_rng(0)
    weights = {
        "a": _number(rng, 4, 2, 3, 3), "b": _number(rng, 4, 2, 1, 1), "c": _number(rng, 2, 1, 3, 3),
        "d": _number(rng, 2, 1, 1), "e": np.float32(-0.5), "f": np.float32(0.7),
        "g": _number(rng, 2, 1, 5, 1), "h": _number(rng, 11, 1), "i": _number(rng, 3, 4, 3, 3),
    }  # fmt: skip
    nodes = []
    for number, line in enumerate(layers, 1):
        call, *options = line.split()
        kind, inputs = call[:-1].split("(")
        takes = [f"v{k}" if k.isdigit() else k for k in inputs.split(",")]
        read = {
            k: [int(p) for p in v.split(",")] if "," in v else int(v) if v.isdigit() else v
            for k, v in (o.split("=") for o in options)
        }
        nodes.append(helper.make_node(kind, takes, [f"v{number}"], **read))
    nodes.append(helper.make_node("Flatten", [f"v{number}"], ["flat"]))
    info, real = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    takes = info("x", real, ["N", 2, *SIDES])
    body = helper.make_graph(
        nodes, "g", [takes], [info("flat", real, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18)]
    model = helper.make_model(body, opset_imports=imports, ir_version=8)
    shapes = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0].type.tensor_type.shape
    width = shapes.dim[1].dim_value
    model.graph.initializer.append(numpy_helper.from_array(_number(rng, width, 3), "dense"))
    model.graph.node.append(helper.make_node("MatMul", ["flat", "dense"], ["y"]))
    del model.graph.output[:]
    model.graph.output.append(info("y", real, ["N", 3]))
    return model


@pytest.fixture
def always(monkeypatch) -> list[asking.Nearby]:
    """Patches wherever they can be used; which were."""
    monkeypatch.setattr(asking, "_GAIN", 0.0)
    monkeypatch.setattr(asking, "_FEWEST", 1)
    monkeypatch.setattr(writing, "_MOST", 1.0)
    used: list[asking.Nearby] = []

    def noted(*given):
        made = asking.nearby(*given)
        used.extend([] if made is None else [made])
        return made

    monkeypatch.setattr(running, "nearby", noted)
    return used


def in_full(explainer, *given, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "nearby", lambda *_: None)
        return explainer(*given, **options)


WINDOWS = (
    ox.Occlusion((2, 3, 2), (1, 1, 1)),
    ox.Occlusion((1, 2, 4), (1, 2, 3)),  # of one channel, the last ones cut off
    ox.Occlusion((2, 4, 5), (1, 3, 4)),
)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, always) -> None:
    explainer = ox.Explainer(network(LAYERS[name]), device="cpu", accelerate=True)
    x = _number(np.random.default_rng(3), 2, 2, *SIDES)
    for method in WINDOWS:
        found, expected = (
            e(x, [0, 2], method, baselines=0.5, internal_batch_size=7)
            for e in (explainer, lambda *a, **k: in_full(explainer, *a, **k))
        )
        largest = np.abs(expected.values).max()
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-5 * largest)
    assert len(always) == len(WINDOWS)
    followed = [bool(u.local.wholes) for u in always]
    assert any(followed)
    if name == "deep":
        assert max(u.local.gain for u in always) > 1.2


def test_every_window_by_itself(always) -> None:
    """A window's score is that of the row without it, wherever it lies."""
    model = network(LAYERS["deep"])
    explainer = ox.Explainer(model, device="cpu", accelerate=True)
    x = _number(np.random.default_rng(4), 1, 2, *SIDES)
    explainer(x, 1, ox.Occlusion((2, 2, 3), (1, 1, 1)))
    (ready,) = always
    for which, start in enumerate(np.ndindex(10, 11)):
        hidden = x.copy()
        hidden[:, :, start[0] : start[0] + 2, start[1] : start[1] + 3] = 0
        expected = explainer(hidden, 1, ox.Saliency()).score
        np.testing.assert_allclose(ready.scores(np.array([which]))[0], expected, rtol=1e-5, atol=1e-5)


def test_programs_are_made_again_once_they_were_dropped(always) -> None:
    explainer = ox.Explainer(network(LAYERS["conv"]), device="cpu", accelerate=True)
    x, method = _number(np.random.default_rng(8), 1, 2, *SIDES), ox.Occlusion((2, 2, 3), (1, 1, 1))
    first = explainer(x, 1, method)
    always[0].problem.driver.programs._compiled.clear()
    again = explainer(x, 1, method)
    assert len(always) == 2
    np.testing.assert_array_equal(again.values, first.values)


def test_no_bit_depends_on_blocks(always) -> None:
    explainer = ox.Explainer(network(LAYERS["deep"]), device="cpu", accelerate=True)
    x, method = _number(np.random.default_rng(9), 2, 2, *SIDES), ox.Occlusion((2, 2, 3), (1, 1, 1))
    found = [explainer(x, 1, method, internal_batch_size=size).values for size in (None, 2, 7)]
    assert len(always) == 3
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_what_else_is_given_goes_along(always) -> None:
    """Inputs that are not explained, and the target of each sample."""
    model = network(["Mul(x,d)", "Conv(1,a) kernel_shape=3,3"])
    model.graph.initializer.remove(next(w for w in model.graph.initializer if w.name == "d"))
    model.graph.input.append(helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, ["N", 2, 1, 1]))
    explainer = ox.Explainer(model, device="cpu", accelerate=True)
    rng, method = np.random.default_rng(10), ox.Occlusion((2, 3, 2), (1, 1, 1))
    given = {"x": _number(rng, 3, 2, *SIDES), "d": _number(rng, 3, 2, 1, 1)}
    weights = ox.Weights(_number(rng, 3, 3))
    for target in ([0, 1, 2], "predicted", weights):
        found = explainer(given, target, method, wrt="x", internal_batch_size=8)
        expected = in_full(explainer, given, target, method, wrt="x", internal_batch_size=8)
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-5)
    assert len(always) == 3


def test_what_is_not_right_is_not_used(always, monkeypatch) -> None:
    reckoned = writing.sliding

    def wrong(node, shape_of):
        made = reckoned(node, shape_of)
        return made and writing.Sliding(made.kernel, made.strides, made.dilations, (0, 0), made.made)

    explainer = ox.Explainer(network(LAYERS["conv"]), device="cpu", accelerate=True)
    x, method = _number(np.random.default_rng(5), 1, 2, *SIDES), ox.Occlusion((2, 3, 2), (1, 1, 1))
    expected = in_full(explainer, x, 1, method)
    monkeypatch.setattr(writing, "sliding", wrong)
    found = explainer(x, 1, method)
    assert not always
    np.testing.assert_array_equal(found.values, expected.values)


def test_scores_that_are_no_numbers_are_found_in_full(always) -> None:
    """The error names what makes them, as ever."""
    model = network(["Log(x)", "Conv(1,a) kernel_shape=3,3"])
    explainer = ox.Explainer(model, device="cpu", accelerate=True)
    x = np.abs(_number(np.random.default_rng(6), 1, 2, *SIDES)) + 0.1
    with pytest.raises(ox.errors.NotFiniteError, match="NaN or infinite"):
        explainer(x, 1, ox.Occlusion((2, 3, 2), (1, 1, 1)), baselines=0.0)


@pytest.mark.parametrize(
    ("accelerate", "size", "used"), [(True, (2, 1, 1), 1), (False, (2, 1, 1), 0), (True, (2, 6, 7), 0)]
)
def test_where_they_are_used(accelerate, size, used, monkeypatch) -> None:
    """Where our operators run, and enough is saved for enough windows."""
    asked: list[bool] = []

    def noted(*given):
        made = asking.nearby(*given)
        asked.append(made is not None)
        return made

    monkeypatch.setattr(running, "nearby", noted)
    layers = [DEPTHWISE.format("x"), "Conv(1,a) kernel_shape=3,3"]
    explainer = ox.Explainer(network(layers), device="cpu", accelerate=accelerate)
    x = _number(np.random.default_rng(7), 1, 2, *SIDES)
    explainer(x, 1, ox.Occlusion(size, (2, 1, 1)))
    assert asked == [bool(used)]
