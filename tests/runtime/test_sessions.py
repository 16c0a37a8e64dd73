"""Programs are built once, weights are held once, devices are checked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward import program as programs_module
from onnxplain.errors import InvalidModelError, RuntimeUnavailableError
from onnxplain.graph.load import load
from onnxplain.runtime import device, programs
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import WeightStore


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """What is built and compiled."""
    seen: list[str] = []
    build, init = programs.build, Executable.__init__

    def count_build(source, question):
        seen.append(question.walk.composite.name if question.backward else "scores")
        return build(source, question)

    def count_session(self, *args, **options):
        seen.append("session")
        init(self, *args, **options)

    monkeypatch.setattr(programs, "build", count_build)
    monkeypatch.setattr(Executable, "__init__", count_session)
    return seen


@pytest.fixture
def wide(models):
    """A model with two weights that are worth sharing."""
    return models.make(
        "m (float[N, 64] x) => (float[N, 64] y) { a = MatMul(x, w) h = Relu(a) y = MatMul(h, v) }",
        w=models.random(64, 64), v=models.random(64, 64, seed=1),
    )  # fmt: skip


def test_a_second_call_builds_nothing(models, built) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(3, 5)
    explainer(x, 0, "saliency")
    assert built == ["gradient", "session"], "the one walk brings the predictions along"
    built.clear()
    explainer(x, [0, 1, 2], "saliency")
    assert built == []
    explainer(models.random(1, 5), "predicted", "saliency", internal_batch_size=1)
    assert built == [], "the walk itself picks the highest score"
    explainer(x, 0, "guided_backprop")
    assert built == ["guided_backprop", "session"]
    built.clear()
    explainer(x, 0, ox.LRP("epsilon"))
    explainer(x, 0, ox.LRP("epsilon"))
    assert built == ["epsilon", "session"]


def test_only_what_a_method_needs_is_built(models, built) -> None:
    ox.explain(models.mlp(), models.random(3, 5), 0, method="lrp")
    assert built == ["conserving", "session"]


def test_methods_of_equal_passes_share_their_program(models, built) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(3, 5)
    explainer(x, 0, ox.Saliency(abs=False))
    built.clear()
    explainer(x, 0, "integrated_gradients")
    explainer(x, 0, "smooth_grad")
    assert built == ["scores", "session"], "only the plain forward, for the ends of the path"


def test_threads_build_a_program_once(models, built) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(3, 5)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: explainer(x, 0, "saliency"), range(16)))
    assert built.count("gradient") == 1
    assert built.count("session") == 1


def test_weights_are_held_once(wide, models) -> None:
    explainer = ox.Explainer(wide)
    store = explainer._programs.weights
    x = models.random(2, 64)
    explainer.predict(x)
    assert len(store) == 2
    explainer(x, 0, "saliency")
    assert len(store) == 4, "the gradient multiplies by the transposed weights"
    for method in ("input_x_gradient", "guided_backprop", "integrated_gradients", "smooth_grad"):
        explainer(x, 0, method)
        assert len(store) == 4, method


def test_weights_of_equal_content_are_one(models) -> None:
    w = models.random(64, 64)
    other = w.copy()
    other[-1, -1] += 1
    model = models.make(
        "m (float[N, 64] x) => (float[N, 64] y) { a = MatMul(x, w) b = MatMul(a, v) y = MatMul(b, u) }",
        w=w, v=w.copy(), u=other,
    )  # fmt: skip
    explainer = ox.Explainer(model)
    np.testing.assert_allclose(explainer.predict(w[:2])["y"], w[:2] @ w @ w @ other, rtol=1e-3, atol=1e-3)
    assert len(explainer._programs.weights) == 2


def test_sessions_get_the_same_values(wide, monkeypatch, models) -> None:
    given: list[dict[str, ort.OrtValue]] = []
    serialize = WeightStore.serialize

    def record(self, model):
        content, shared = serialize(self, model)
        assert len(content) < 8000, "the weights are not in the file"
        given.append(shared)
        return content, shared

    monkeypatch.setattr(WeightStore, "serialize", record)
    explainer = ox.Explainer(wide)
    for method in ("saliency", "guided_backprop"):
        explainer(models.random(2, 64), 0, method)
    explainer.predict(models.random(2, 64))
    assert len(given) == 3
    for name in ("w", "v"):
        assert len({id(shared[name]) for shared in given}) == 1


def test_flipped_and_split_weights_are_the_only_additions(models) -> None:
    """Gradients of convolutions need the kernel flipped: once, whatever the method."""
    model = models.make(
        """m (float[N, 9, 8, 8] x) => (float[N, 9] y) {
          a = Conv<pads = [1, 1, 1, 1]>(x, w) h = Relu(a) c = Conv<pads = [1, 1, 1, 1]>(h, v)
          g = GlobalAveragePool(c) y = Flatten(g)
        }""",
        w=models.random(9, 9, 3, 3), v=models.random(9, 9, 3, 3, seed=1),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    store, x = explainer._programs.weights, models.random(2, 9, 8, 8)
    explainer(x, 0, "saliency")
    assert len(store) == 4
    explainer(x, 0, "guided_backprop")
    explainer(x, 0, "deconvolution")
    assert len(store) == 4


def test_small_weights_travel_inside(models) -> None:
    store = WeightStore()
    content, shared = store.serialize(load(models.mlp()))
    assert not shared
    assert len(store) == 0
    assert ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
        None, {"x": np.ones((1, 5), "f")}
    )


def test_a_model_may_use_our_names(models) -> None:
    """Inputs and outputs called target, score and attribution/x are the model's own."""
    model = models.make(
        """m (float[N, 3] target, float[N, 3] x) => (float[N, 3] score) {
          s = Mul(target, x)
          r = Relu(s)
          score = Identity(r)
        }"""
    )
    x = np.ones((2, 3), np.float32)
    found = ox.explain(model, {"x": 3 * x, "target": 2 * x}, 1, method="saliency")
    np.testing.assert_allclose(found.arrays["x"], [[0, 2, 0]] * 2)
    np.testing.assert_allclose(found.arrays["target"], [[0, 3, 0]] * 2)
    np.testing.assert_allclose(found.predictions, 6 * x)


def test_auto_is_the_best_there_is(models) -> None:
    assert ox.Explainer(models.mlp()).device == device.resolve("auto")
    assert ox.Explainer(models.mlp(), device="cpu").device == "cpu"


def test_auto_takes_the_gpu_only_if_there_is_one(monkeypatch) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: both)
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(device, "_has_gpu", lambda there=there: there)
        assert device.resolve("auto") == expected


@pytest.mark.parametrize("name", ["cuda", "tensorrt", ""])
def test_missing_devices(name, monkeypatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeUnavailableError, match=r"use .*'cpu'"):
        device.resolve(name)


def test_what_onnxruntime_refuses_is_named(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = odd.Thing(x) }", domain="odd")
    with pytest.raises(InvalidModelError, match=r"does not accept the model.*Thing.*InferenceSession"):
        ox.Explainer(model).predict(np.ones((1, 3), np.float32))


def test_predict_is_the_model(models) -> None:
    x = models.random(5, 2, 8, 8)
    for batch in ("N", "1", "2"):
        model = models.conv(softmax=True, batch=batch)
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        size = 5 if batch == "N" else int(batch)
        parts = [
            session.run(None, {"x": np.resize(x[k : k + size], (size, 2, 8, 8))})[0]
            for k in range(0, 5, size)
        ]
        expected = np.concatenate(parts)[:5]
        np.testing.assert_allclose(ox.Explainer(model).predict(x)["y"], expected, rtol=1e-5, atol=1e-6)


def test_threads_option(models) -> None:
    x = models.random(3, 5)
    one, many = (ox.explain(models.mlp(), x, 0, method="saliency", threads=k) for k in (1, None))
    np.testing.assert_allclose(one.values, many.values, rtol=1e-6)


def test_question_keys_the_cache() -> None:
    """Equal questions are equal keys, down to the composite."""
    first, second = (programs_module.Question("y", ("x",), ox.LRP("epsilon").needs()) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != programs_module.Question("y", ("x",))


def test_weights_that_only_a_detached_node_reads(models) -> None:
    """A body that was taken out of the graph still counts as a user of what it read."""
    model = load(
        models.make(
            "m (float[N, 3] x) => (float[N, 2] y) { y = MatMul(x, w) }",
            w=models.random(3, 2),
            big=models.random(64, 64),
        )
    )
    gone = ir.node("Relu", [model.graph.initializers["big"]])
    executable = Executable(model, WeightStore(), "cpu")
    assert gone.inputs[0] is not None
    assert executable.run({"x": np.ones((1, 3), np.float32)})["y"].shape == (1, 2)
