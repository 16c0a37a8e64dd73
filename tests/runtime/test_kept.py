"""What stays in memory between calls, and that threads need not wait for one another."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime import programs
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.programs import MOST_PROGRAMS
from onnxplain.runtime.session import Executable

TESTS = Path(__file__).parents[1]

START = f"""
import ctypes, gc, sys
sys.path.insert(0, {str(TESTS)!r})
import numpy as np, onnxplain as ox
from conftest import Models, make, random

def rss():
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free but not given back
    except AttributeError:
        pass
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
"""

START += """
def peak():
    for line in open("/proc/self/status"):  # what getrusage says begins with the peak of the parent
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
"""

linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


def numbers(code: str) -> list[float]:
    """Run code in a process of its own, and return the numbers that it prints."""
    done = subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


@linux
def test_two_hundred_values_of_a_parameter_keep_memory_flat() -> None:
    early, late, held = numbers("""
c = 96
explainer = ox.Explainer(make(f'''m (float[N, 3, 16, 16] x) => (float[N, 10] y) {{
  c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
  c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2) r2 = Relu(c2)
  g = GlobalAveragePool(r2) f = Flatten(g) y = Gemm(f, v) }}''',
  w1=random(c, 3, 3, 3), w2=random(c, c, 3, 3), v=random(c, 10)), threads=1)
x = random(1, 3, 16, 16)
for k in range(200):
    method = ox.LRP("zero_epsilon_gamma", gamma=0.1 + k / 1000, epsilon=(k + 1) / 1000)
    explainer(x, 0, method)
    if k == 59:
        print(rss())
print(rss(), len(explainer._programs))
""")
    assert held <= MOST_PROGRAMS
    assert late - early < 20, "140 more programs of 1.5 MB or more each, of which none may stay"


@linux
def test_large_batches_of_many_methods_share_their_memory() -> None:
    first, after, end = numbers("""
explainer = ox.Explainer(make('''m (float[N, 3, 48, 48] x) => (float[N, 4] y) {
  c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
  c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2) r2 = Relu(c2)
  g = GlobalAveragePool(r2) f = Flatten(g) y = Gemm(f, v) }''',
  w1=random(24, 3, 3, 3), w2=random(24, 24, 3, 3), v=random(24, 4)), threads=1)
x = random(64, 3, 48, 48)
start = rss()
explainer(x, 0, "saliency")
print(rss() - start)
for method in ("lrp", "guided_backprop", "deconvolution", "excitation_backprop", "beta_smooth"):
    explainer(x, 0, method)
print(rss() - start)
del explainer, method
print(rss() - start)
""")
    assert first > 50, "the activations are large"
    assert after < 2.3 * first, "six programs need little more than one"
    assert end < first / 2, "and nothing when the explainer is gone"


@linux
@pytest.mark.parametrize("options", ["'saliency'", "'deep_lift'", "'deep_lift', rule='reveal_cancel'"])
def test_activations_keep_to_the_budget(options) -> None:
    (budgets,) = numbers(f"""
explainer = ox.Explainer(make('''m (float[N, 3, 64, 64] x) => (float[N, 4] y) {{
  c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
  c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2) r2 = Sigmoid(c2)
  p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r2)
  g = GlobalAveragePool(p) f = Flatten(g) y = Gemm(f, v) }}''',
  w1=random(24, 3, 3, 3), w2=random(24, 24, 3, 3), v=random(24, 4)), threads=1, memory_budget=100 << 20)
x = random(64, 3, 64, 64)
explainer(x[:1], 0, method={options})
start = rss()
explainer(x, 0, method={options})
print((peak() - start) / 105)
""")
    assert budgets < 1.75


def test_what_is_forgotten_is_freed(models) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    explainer(x, 0, ox.LRP("epsilon", epsilon=0.5))
    (held,) = explainer._programs._compiled
    gone = weakref.ref(held.executable)
    del held
    for k in range(MOST_PROGRAMS):
        assert gone() is not None
        explainer(x, 0, ox.LRP("epsilon", epsilon=1.0 + k))
    gc.collect()
    assert gone() is None
    assert len(explainer._programs) == MOST_PROGRAMS


def test_weights_go_with_the_programs_that_use_them(models) -> None:
    model = models.make(
        "m (float[N, 64] x) => (float[N, 64] y) { a = MatMul(x, w) h = Relu(a) y = MatMul(h, v) }",
        w=models.random(64, 64), v=models.random(64, 64, seed=1),
    )  # fmt: skip
    explainer, x = ox.Explainer(model, memory_budget=1), models.random(2, 64)
    for k in range(12):
        explainer(x, 0, ox.LRP("zero_epsilon_gamma", gamma=0.1 + k))
    gc.collect()
    assert len(explainer._programs) == 4, "a call needs a few, whatever the budget"
    assert len(explainer._programs.weights) < 2 + 4 * 6


def test_different_programs_are_built_at_once(models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    both = threading.Barrier(2, timeout=30)
    build = programs.build

    def meet(source, question):
        both.wait()
        return build(source, question)

    monkeypatch.setattr(programs, "build", meet)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda m: explainer(x, 0, m).values, ("saliency", "guided_backprop")))
    monkeypatch.undo()
    for values, name in zip(found, ("saliency", "guided_backprop"), strict=True):
        np.testing.assert_array_equal(values, ox.explain(models.mlp(), x, 0, method=name).values)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("where", ["build", "session", "run"])
def test_a_call_that_was_stopped_leaves_the_explainer_usable(stop, where, models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)

    def interrupted(*_, **__):
        raise stop

    target, name = {"build": (programs, "build"), "session": (Executable, "__init__"),
                    "run": (Executable, "_unbound_run")}[where]  # fmt: skip
    monkeypatch.setattr(target, name, interrupted)
    with pytest.raises((stop, ox.errors.ModelRunError)):
        explainer(x, 0, "saliency")
    monkeypatch.undo()
    found = explainer(x, 0, "saliency")
    np.testing.assert_array_equal(found.values, ox.explain(models.mlp(), x, 0, method="saliency").values)


def test_a_cache_forgets_what_was_used_longest_ago() -> None:
    made: list[int] = []

    def get(key: int) -> int:
        return cache.get(key, lambda: made.append(key) or key)

    cache: Cache[int] = Cache(6, 60, lambda held: held)
    for key in (1, 2, 3, 4, 5, 6):
        get(key)
    get(1)
    get(7)
    assert list(cache) == [3, 4, 5, 6, 1, 7]
    get(50)
    assert list(cache) == [6, 1, 7, 50], "64 bytes are too many, but four things stay"
    assert get(6) == 6
    assert made == [1, 2, 3, 4, 5, 6, 7, 50]


def test_what_is_seen_counts_as_used_from_any_thread() -> None:
    cache: Cache[int] = Cache(6, 10**6, lambda held: held)
    for key in range(6):
        cache.get(key, lambda key=key: key + 1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: cache.seen(0), range(400)))
        assert cache.seen(17) is None
        cache.get(6, lambda: 7)
        assert list(cache) == [3, 4, 5, 6, 1, 7], "the second, which nobody saw, is forgotten"
        made = list(pool.map(lambda k: cache.get(k % 12, lambda: k % 12 + 1), range(1200)))
    assert made == [k % 12 + 1 for k in range(1200)]
    assert len(cache) == 6


def test_threads_that_wait_for_what_fails_try_themselves() -> None:
    cache: Cache[int] = Cache(4, 100, lambda held: held)
    tries: list[int] = []
    lock = threading.Lock()

    def make() -> int:
        with lock:
            tries.append(len(tries))
            number = tries[-1]
        if number < 2:
            raise ValueError(number)
        return number

    def get(_: int) -> int | None:
        try:
            return cache.get("key", make)
        except ValueError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(get, range(8)))
    assert found.count(None) == 2
    assert set(found) <= {None, *range(2, len(tries))}
    assert cache.get("key", make) in found
