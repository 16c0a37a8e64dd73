"""Programs that keep to blocked values make the same bits, and fewer values are laid out anew."""

from __future__ import annotations

import collections
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain.errors import ModelRunError
from onnxplain.runtime import improving, programs
from onnxplain.runtime.improving import Improving, InBlocks
from onnxplain.runtime.relaid import Relaid, block_size

METHODS = {
    "saliency": ox.Saliency(),
    "guided": ox.GuidedBackprop(),
    "lrp": ox.LRP("epsilon"),
    "plus": ox.LRP("epsilon_plus"),
    "deep_lift": ox.DeepLift(),
}
BODIES = {
    "residual": """
        c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
        p1 = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(r1)
        c2 = Conv<pads = [1, 1, 1, 1]>(p1, w2) r2 = Relu(c2) c3 = Conv<pads = [1, 1, 1, 1]>(r2, w2)
        s = Add(c3, p1) h = Relu(s)""",
    "strided": """
        c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Clip(c1, zero, six)
        c2 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(r1, w2) r2 = Relu(c2)
        c3 = Conv<strides = [2, 2]>(r2, w3) h = Relu(c3)""",
    "excited": """
        c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
        a = GlobalAveragePool(r1) b = Conv(a, w3) e = Sigmoid(b)
        s = Mul(r1, e) c2 = Conv<pads = [1, 1, 1, 1]>(s, w2) h = Relu(c2)""",
    "rows": """
        c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1) m = ReduceMean<axes = [1]>(r1) s = Mul(r1, m)
        c2 = Conv<pads = [1, 1, 1, 1]>(s, w2) h = Sigmoid(c2)""",
    "power": """
        c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1) a = Add(r1, six) p = Pow(a, half)
        c2 = Conv<pads = [1, 1, 1, 1]>(p, w2) h = Relu(c2)""",
}  # fmt: skip


def network(models, body: str, channels: int):
    text = f"""m (float[N, 3, 11, 10] x) => (float[N, 4] y) {{ {BODIES[body]}
        g = GlobalAveragePool(h) f = Flatten(g) y = Gemm(f, v) }}"""
    c, rng = channels, models.random
    return models.make(
        text, opset=17, w1=rng(c, 3, 3, 3), w2=rng(c, c, 3, 3, seed=1), w3=rng(c, c, 1, 1, seed=2),
        v=rng(c, 4, seed=3), zero=np.float32(0), six=np.float32(6), half=np.float32(0.5),
    )  # fmt: skip


@pytest.fixture
def made(monkeypatch) -> list[Improving]:
    """Return the programs that are compiled while a test runs."""
    found: list[Improving] = []

    class Watched(Improving):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            found.append(self)

    monkeypatch.setattr(programs, "Improving", Watched)
    return found


@pytest.mark.parametrize(
    ("body", "channels"),
    [*((body, c) for body in BODIES for c in (16, 24)), ("residual", 20), ("strided", 6)],
)
def test_the_bits_are_the_same(body, channels, models, made) -> None:
    """Also where channels do not fill the last block, and where gates and rows broadcast."""
    proto, x = network(models, body, channels), models.random(2, 3, 11, 10)
    for name in METHODS if channels == 16 else ("lrp", "deep_lift"):
        method = METHODS[name]
        first = ox.Explainer(proto)(x, [0, 2], method)
        again = ox.Explainer(proto, accelerate=True)(x, [0, 2], method)
        np.testing.assert_array_equal(again.values, first.values)
        np.testing.assert_array_equal(again.predictions, first.predictions)
    if channels == 16 and block_size() is not None:
        assert any(e.improved for e in made)


def test_a_reference_that_does_not_fill_its_last_block_is_kept_in_blocks(models, made) -> None:
    proto, x = network(models, "residual", 20), models.random(2, 3, 11, 10)
    plain, explainer = ox.Explainer(proto, accelerate=False), ox.Explainer(proto, accelerate=True)
    for seed in (1, 2):
        reference = models.random(1, 3, 11, 10, seed=seed)
        found, expected = (e(x, [0, 1], "deep_lift", baselines=reference).values for e in (explainer, plain))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert made[-1].improved or block_size() is None


def test_little_is_laid_out_anew(models, monkeypatch) -> None:
    if block_size() is None:
        pytest.skip("onnxruntime has no blocks on this processor")
    counts: list[dict[str, int]] = []
    real = improving.relaid

    def counted(*arguments) -> Relaid | None:
        found = real(*arguments)
        if found is not None:
            counts.append(collections.Counter(node.op_type for node in found.model.graph))
        return found

    monkeypatch.setattr(improving, "relaid", counted)
    for body in ("residual", "strided"):
        for name in ("saliency", "lrp", "deep_lift"):
            explainer = ox.Explainer(network(models, body, 32), accelerate=True)
            explainer(models.random(1, 3, 11, 10), 0, METHODS[name])
            assert counts[-1]["ReorderOutput"] + counts[-1]["ReorderInput"] <= 6, (body, name)


def test_compiled_anew_once_it_has_run_long(models, made, monkeypatch) -> None:
    explainer, x = ox.Explainer(network(models, "residual", 16)), models.random(1, 3, 11, 10)
    first = explainer(x, 0)
    assert {e.improved for e in made} == {None}
    monkeypatch.setattr(improving, "PATIENCE", 0.0)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: explainer(x, 0), range(12)):
            np.testing.assert_array_equal(found.values, first.values)
    assert made[-1].improved


def test_what_makes_other_bits_is_not_used(models, made, monkeypatch) -> None:
    real = improving.relaid

    def wrong(*arguments) -> Relaid | None:
        found = real(*arguments)
        for node in found.model.graph if found is not None else ():
            if "constants" in node.attributes:
                constants = [c + 1e-3 for c in node.attributes["constants"].as_floats()]
                node.attributes["constants"] = ir.AttrFloat32s("constants", constants)
        return found

    proto, x = network(models, "residual", 16), models.random(1, 3, 11, 10)
    first = ox.Explainer(proto)(x, 0)
    monkeypatch.setattr(improving, "relaid", wrong)
    explainer = ox.Explainer(proto, accelerate=True)
    for _ in range(2):
        np.testing.assert_array_equal(explainer(x, 0).values, first.values)
    assert made[-1].improved is False


def test_what_does_not_run_later_runs_as_before(models, made, monkeypatch) -> None:
    proto, x = network(models, "residual", 16), models.random(1, 3, 11, 10)
    explainer = ox.Explainer(proto, accelerate=True)
    first = explainer(x, 0)
    assert made[-1].improved or block_size() is None

    def broken(*_) -> None:
        raise ModelRunError("shapes do not broadcast")

    monkeypatch.setattr(InBlocks, "run", broken)
    for _ in range(2):
        np.testing.assert_array_equal(explainer(x, 0).values, first.values)
    assert not made[-1].improved


def test_a_reference_may_change(models, made) -> None:
    """What is kept in blocks is that of the reference at hand."""
    proto, x = network(models, "residual", 16), models.random(2, 3, 11, 10)
    plain, explainer = ox.Explainer(proto, accelerate=False), ox.Explainer(proto, accelerate=True)
    for seed in (1, 2, 1, 3, 3):
        reference = models.random(1, 3, 11, 10, seed=seed)
        found, expected = (e(x, [0, 1], "deep_lift", baselines=reference).values for e in (explainer, plain))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_inputs_at_fault_change_nothing_for_others(models, made) -> None:
    explainer, x = ox.Explainer(network(models, "residual", 16), accelerate=True), models.random(1, 3, 11, 10)
    first = explainer(x, 0)
    program = made[-1]
    feeds = {name: x[:, :2] if name == "x" else np.zeros(1, np.int64) for name in program.inputs}
    with pytest.raises(ModelRunError):
        program.run(feeds)
    np.testing.assert_array_equal(explainer(x, 0).values, first.values)
