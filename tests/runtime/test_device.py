"""A device is what programs really run on: onnxruntime falls back without an error, we do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain import kernels
from onnxplain.errors import OnnxplainError, RuntimeUnavailableError
from onnxplain.runtime import device, operators, session

BOTH = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def sessions(monkeypatch):
    """Pretend to be onnxruntime-gpu; returns what each session was asked for, and how to break it."""

    class Sessions:
        asked: ClassVar[list] = []
        falls_back = True

    operators.why_not()  # makes a session, once
    real = ort.InferenceSession
    state = Sessions()
    state.asked = []

    class Session:
        def __init__(self, content, options, providers) -> None:
            state.asked.append(providers)
            self._real = real(content, options, providers=["CPUExecutionProvider"])

        def __getattr__(self, name):
            return getattr(self._real, name)

        def get_providers(self):
            return ["CPUExecutionProvider"] if state.falls_back else BOTH

    operators.why_not()  # what is known of the CPU stays known
    monkeypatch.setattr(ort, "get_available_providers", lambda: BOTH)
    monkeypatch.setattr(ort, "InferenceSession", Session)
    monkeypatch.setattr(kernels, "built_with_cuda", lambda: False)
    device._has_gpu.cache_clear()
    yield state
    device._has_gpu.cache_clear()
    operators._tried.cache_clear()  # it may have been asked about this GPU


def test_auto_is_the_cpu_where_no_gpu_answers(sessions, models) -> None:
    assert ox.Explainer(models.mlp()).device == "cpu"
    assert len(sessions.asked) == 1, "one probe"
    assert ox.Explainer(models.mlp()).device == "cpu"
    assert len(sessions.asked) == 1, "asked once for a process"


def test_asking_for_a_gpu_that_does_not_answer_is_refused(sessions, models) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"runs on the CPU instead.*device='cpu'"):
        ox.Explainer(models.mlp(), device="cuda")


def test_a_build_with_kernels_asks_the_driver_first(sessions, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "built_with_cuda", lambda: True)
    monkeypatch.setattr(kernels, "cuda_device_count", lambda: 0)
    assert device.resolve("auto") == "cpu"
    assert not sessions.asked


@pytest.mark.parametrize("kernels_too", [True, False])
def test_auto_is_the_gpu_where_a_program_runs_on_it(kernels_too, sessions, monkeypatch) -> None:
    sessions.falls_back = False
    monkeypatch.setattr(kernels, "built_with_cuda", lambda: kernels_too)
    monkeypatch.setattr(kernels, "cuda_device_count", lambda: int(kernels_too))
    assert device.resolve("auto") == device.resolve("cuda") == "cuda"


def test_every_session_is_asked_where_it_is(sessions, models) -> None:
    """The probe answered, but a program falls back later."""
    sessions.falls_back = False
    explainer = ox.Explainer(models.mlp(), device="cuda")
    sessions.falls_back = True
    with pytest.raises(RuntimeUnavailableError, match="runs on the CPU instead"):
        explainer.predict(models.random(1, 5))


@pytest.mark.parametrize("allowed", [None, True, False])
def test_tf32_is_off_unless_asked_for(allowed, sessions, models) -> None:
    sessions.falls_back = False
    options = {} if allowed is None else {"allow_tf32": allowed}
    explainer = ox.Explainer(models.mlp(), device="cuda", **options)
    explainer.predict(models.random(1, 5))
    name, given = sessions.asked[-1][0]
    assert name == "CUDAExecutionProvider"
    assert given == {"use_tf32": int(bool(allowed))}
    assert sessions.asked[-1][1] == "CPUExecutionProvider"
    assert device.providers("cpu", allow_tf32=True) == ["CPUExecutionProvider"]


def test_a_session_works_on_the_stream_of_our_kernels(sessions, models, monkeypatch) -> None:
    sessions.falls_back = False
    stream = SimpleNamespace(address=4711)
    monkeypatch.setattr(session, "own_stream", lambda where: stream if where == "cuda" else None)
    ox.Explainer(models.mlp(), device="cuda").predict(models.random(1, 5))
    assert sessions.asked[-1][0] == ("CUDAExecutionProvider", {"use_tf32": 0, "user_compute_stream": "4711"})
    assert device.own_stream("cpu") is None


def test_tf32_is_yes_or_no(models) -> None:
    with pytest.raises(OnnxplainError, match="allow_tf32"):
        ox.Explainer(models.mlp(), allow_tf32="no")
