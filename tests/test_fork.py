"""Other processes: forked while threads are at work, spawned, and explainers that travel there."""

from __future__ import annotations

import copy
import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import Any

import numpy as np
import onnx
import pytest
from spawned import spawned

import onnxplain as ox
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.runtime import programs

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_child(code: Any, seconds: float = 60) -> int:
    """Fork, run code in the child, and return the child's exit status; kill it if it hangs."""
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(0.9 * seconds, file=sys.__stderr__)
        status = 1
        try:
            code()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -99


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_while_others_compile_and_run(threads, models) -> None:
    model, x = models.conv(), models.random(2, 2, 8, 8)
    explainer = ox.Explainer(model, threads=threads)
    expected = explainer(x, 1, "saliency").values
    stop = threading.Event()

    def work(start: int) -> None:
        k = start
        while not stop.is_set():
            k += 1
            explainer(x, 1, ox.LRP("epsilon", epsilon=float(k)))

    workers = [threading.Thread(target=work, args=(10**5 * k,)) for k in range(2)]
    for worker in workers:
        worker.start()

    def child() -> None:
        np.testing.assert_allclose(explainer(x, 1, "saliency").values, expected, rtol=1e-5)
        explainer(x, 1, ox.LRP("epsilon", epsilon=0.5))
        ox.Explainer(model).predict(x)

    try:
        statuses = [in_child(child) for _ in range(8)]
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert statuses == [0] * 8
    np.testing.assert_array_equal(explainer(x, 1, "saliency").values, expected)


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_for_a_program_that_is_being_built(models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    building, build = threading.Event(), programs.build

    def slow(source, question):
        building.set()
        time.sleep(0.5)
        return build(source, question)

    monkeypatch.setattr(programs, "build", slow)
    worker = threading.Thread(target=explainer, args=(x, 0, "saliency"))
    worker.start()
    building.wait()
    status = in_child(lambda: explainer(x, 0, "saliency"))
    worker.join()
    assert status == 0


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_ends_as_others_do(models) -> None:
    """The sessions of the parent, whose threads the child does not have, are not destroyed there."""
    explainer, x = ox.Explainer(models.mlp(), threads=2), models.random(2, 5)
    explainer(x, 0, "saliency")
    child = os.fork()
    if child == 0:
        try:
            explainer(x, 0, "saliency")
            del explainer
            import gc

            gc.collect()
        finally:
            os._exit(0)
    end = time.monotonic() + 30
    while not os.waitpid(child, os.WNOHANG)[0]:
        assert time.monotonic() < end
        time.sleep(0.01)


def equal(one: ox.Explainer, other: ox.Explainer, inputs: Any, target: Any) -> None:
    assert [i.name for i in one.inputs] == [i.name for i in other.inputs]
    assert (one.outputs, one.notes) == (other.outputs, other.notes)
    assert (one.device, one.memory_budget) == (other.device, other.memory_budget)
    for name, value in one.predict(inputs).items():
        np.testing.assert_array_equal(value, other.predict(inputs)[name])
    for method in ("saliency", "lrp", "deep_lift", "ig"):
        a, b = one(inputs, target, method), other(inputs, target, method)
        for name in a.arrays:
            np.testing.assert_array_equal(a.arrays[name], b.arrays[name])
        assert a.rule_table == b.rule_table


MODELS = {
    "conv": (lambda m: m.conv(softmax=True), lambda m: m.random(2, 2, 8, 8), 1),
    "fixed": (lambda m: m.conv(batch="1"), lambda m: m.random(2, 2, 8, 8), 1),
    "tokens": (lambda m: m.tokens(),
               lambda m: {"ids": np.array([[1, 2, 3]]), "mask": np.ones((1, 3), np.int64)}, 2),
    "two inputs": (lambda m: m.two_inputs(),
                   lambda m: {"image": m.random(2, 2, 4), "table": m.random(2, 3)}, 0),
    "half": (lambda m: half(m), lambda m: m.random(2, 64), 3),
}  # fmt: skip


def half(models) -> onnx.ModelProto:
    return models.make(
        "m (float16[N, 64] x) => (float16[N, 8] y) { a = MatMul(x, w) y = Relu(a) }",
        w=models.random(64, 8).astype(np.float16),
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "send",
    [copy.deepcopy, copy.copy, lambda e: pickle.loads(pickle.dumps(e))],
    ids=["deep", "copy", "pickle"],
)
def test_explainers_travel(name, send, models) -> None:
    model, inputs, target = MODELS[name]
    explainer = ox.Explainer(model(models), threads=1, memory_budget=1 << 28)
    explainer(inputs(models), target, "saliency")  # sessions stay behind
    equal(explainer, send(explainer), inputs(models), target)


def test_an_explainer_of_a_file_with_weights_beside_it_travels_whole(models, tmp_path) -> None:
    path = tmp_path / "model.onnx"
    model = models.make(
        "m (float[N, 64] x) => (float[N, 64] y) { a = MatMul(x, w) y = Relu(a) }", w=models.random(64, 64)
    )
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    explainer, x = ox.Explainer(path), models.random(2, 64)
    content = pickle.dumps(explainer)
    for file in tmp_path.iterdir():
        file.unlink()
    equal(explainer, pickle.loads(content), x, 0)


def test_explainers_methods_and_attributions_go_to_a_spawned_process(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    method = ox.SmoothGrad(ox.LRP("epsilon_plus"), n_samples=2)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=spawned, args=(explainer, method, x, answers))
    process.start()
    found = answers.get(timeout=120)
    process.join(60)
    np.testing.assert_array_equal(found.values, explainer(x, 1, method).values)
    assert found.method == method


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in ("epsilon_gamma_box", "deep_taylor")])
def test_composites_travel(name, models) -> None:
    composite = preset(name)
    for sent in (pickle.loads(pickle.dumps(composite)), copy.deepcopy(composite)):
        assert sent == composite
        assert hash(sent) == hash(composite)


def test_attributions_travel(models) -> None:
    found = ox.explain(models.conv(), models.random(2, 2, 8, 8), 1, method=ox.SmoothGrad(n_samples=2))
    for sent in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        np.testing.assert_array_equal(sent.values, found.values)
        assert sent.method == found.method


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_interrupt_while_running_leaves_the_explainer_usable(models) -> None:
    """In a process of its own: an interrupt may come in the middle of anything."""

    def interrupt_and_go_on() -> None:
        explainer, x = ox.Explainer(models.conv()), models.random(8, 2, 8, 8)

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            stopped = 0
            for delay in np.linspace(0.002, 0.2, 12):
                signal.setitimer(signal.ITIMER_REAL, float(delay))
                try:
                    explainer(x, 1, ox.LRP("epsilon", epsilon=float(delay)))
                    explainer(x, 1, "ig", n_steps=500, internal_batch_size=1)
                except KeyboardInterrupt:
                    stopped += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert stopped
        for method in ("saliency", ox.LRP("epsilon", epsilon=0.002)):
            expected = ox.explain(models.conv(), x, 1, method=method).values
            np.testing.assert_array_equal(explainer(x, 1, method).values, expected)

    assert in_child(interrupt_and_go_on, 120) == 0
