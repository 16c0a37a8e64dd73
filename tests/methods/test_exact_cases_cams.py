"""Activation maps beside one line of NumPy each, from activations and gradients taken by finite means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cam_models import CASES
from halves import Halves, resized, turned

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, NotExplainableError
from onnxplain.runtime.session import Executable

#: Sums over the places of each channel, kept as axes.
PLACES = {"axis": (1, 2), "keepdims": True}


def plus(array: Any) -> np.ndarray:
    return np.maximum(array, 0)


#: By method: the signed map of A and G.
MAPS: dict[str, Callable[[Any, Any], Any]] = {
    "grad_cam": lambda a, g: (g.mean(**PLACES) * a).sum(0),
    "grad_cam_plus_plus": lambda a, g: (
        (plus(g) * g**2 / (2 * g**2 + g**3 * a.sum(**PLACES) + (g == 0))).sum(**PLACES) * a
    ).sum(0),
    "hi_res_cam": lambda a, g: (g * a).sum(0),
    "layer_cam": lambda a, g: (plus(g) * a).sum(0),
    "x_grad_cam": lambda a, g: ((g * a).sum(**PLACES) / (a.sum(**PLACES) + (a == 0).all(**PLACES)) * a).sum(
        0
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_as_defined(case, models) -> None:
    make, shape, layer, kind, grid = CASES[case]
    model, x, targets = make(models), models.random(2, *shape, seed=5), [2, 0]
    halves, explainer = Halves(model, layer), ox.Explainer(model)
    channel = shape.index(3 if 3 in shape else 2)
    space = tuple(d for k, d in enumerate(shape) if k != channel)
    found = {name: explainer(x, targets, ox.method(name, relu_attributions=False)) for name in MAPS}
    for k, target in enumerate(targets):
        one = x[k : k + 1]
        a, g = (turned(v, kind) for v in (halves.activations(one), halves.gradients(one, target)))
        flat = [v.reshape(len(v), 1, -1) for v in (a, g)]  # no formula asks how places lie
        for name, made in found.items():
            wanted = MAPS[name](*flat).reshape(grid)
            near = {"rtol": 0, "atol": 2e-4 * np.abs(wanted).max() + 1e-12, "err_msg": name}
            np.testing.assert_allclose(made.extras["map"]["x"][k], wanted, **near)
            shown = np.moveaxis(made.values[k], channel, 0)
            assert (shown == shown[:1]).all(), "all channels get the same"
            np.testing.assert_allclose(shown[0], resized(wanted, space), **near)
    for name, made in found.items():
        assert made.values.shape == x.shape
        assert made.values.dtype == np.float32
        assert np.abs(made.values).max() > 0
        assert any(f"that of '{layer}'" in note for note in made.notes)
        usual, signed = explainer(x, targets, name).extras["map"]["x"], made.extras["map"]["x"]
        np.testing.assert_array_equal(usual, signed if name == "hi_res_cam" else plus(signed))


def test_grad_cam_is_cam_where_the_average_enters_a_linear_layer(models) -> None:
    """Up to the number of places; HiResCAM's map then sums to the score but for the bias."""
    model, x = models.conv(), models.random(3, 2, 8, 8, seed=1)
    explainer, weights = ox.Explainer(model), models.random(8, 4, seed=7)
    a = Halves(model, "r3").activations(x)
    cam = np.einsum("c,nchw->nhw", weights[:, 1], a)
    found = explainer(x, 1, ox.GradCam(relu_attributions=False))
    np.testing.assert_allclose(found.extras["map"]["x"], cam / 4, rtol=1e-4, atol=1e-6)
    total = explainer(x, 1, "hi_res_cam").extras["map"]["x"].sum((1, 2))
    np.testing.assert_allclose(total, found.score - models.random(4, seed=8)[1], rtol=1e-4, atol=1e-5)


def test_the_last_value_with_space_is_before_what_reads_one_place_only(models) -> None:
    """Behind the last attention a classifier reads its class token alone; a residual stream is read whole."""
    for case, wanted in (("class token", "h0"), ("convolutions", "r3")):
        make, shape, *_ = CASES[case]
        found = ox.explain(make(models), models.random(1, *shape), 1, "grad_cam")
        assert any(f"'{wanted}'" in note for note in found.notes), case
    found = ox.explain(CASES["class token"][0](models), models.random(1, 3, 8, 12), 1, "grad_cam")
    assert any("of 2 x 3 places, without 1 in front" in note for note in found.notes)


def test_any_layer_by_name(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    shapes = {"r1": (8, 8), "p1": (4, 4), "s": (4, 4), "r3": (2, 2)}
    for layer, shape in shapes.items():
        found = explainer(x, 1, ox.GradCam(layer))
        assert found.extras["map"]["x"].shape == (2, *shape), layer
    model = models.conv()
    model.graph.node[3].name = "second convolution"
    by_node = ox.explain(model, x, 1, ox.GradCam("second convolution"))
    np.testing.assert_array_equal(by_node.values, explainer(x, 1, "grad_cam", layer="c2").values)
    nearest = explainer(x, 1, ox.GradCam("r1", interpolate_mode="nearest", relu_attributions=False))
    np.testing.assert_array_equal(nearest.values[:, 0], nearest.extras["map"]["x"].astype(np.float32))
    coarse = explainer(x, 1, ox.GradCam("r3", interpolate_mode="nearest"))
    blocks = coarse.extras["map"]["x"].repeat(4, 1).repeat(4, 2).astype(np.float32)
    np.testing.assert_array_equal(coarse.values[:, 1], blocks)


def test_errors_come_before_anything_runs(models, monkeypatch) -> None:
    explainer = ox.Explainer(models.conv())
    monkeypatch.setattr(Executable, "run", None)
    x = models.random(1, 2, 8, 8)
    with pytest.raises(DataInputError, match=r"no input or inner value 'r33' \(did you mean 'r3'"):
        explainer(x, 1, ox.GradCam("r33"))
    with pytest.raises(NotExplainableError, match=r"'y' has no channels and space"):
        explainer(x, 1, ox.GradCam("y"))
    with pytest.raises(MethodError, match="interpolate_mode is 'bicubic'"):
        ox.GradCam(interpolate_mode="bicubic")


def test_a_map_that_is_nowhere_positive_says_so(models) -> None:
    model = models.make(
        """m (float[N, 1, 4, 4] x) => (float[N, 1] y) {
          c = Conv(x, k) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, w)
        }""",
        k=np.ones((1, 1, 3, 3), np.float32), w=[[-1.0]],
    )  # fmt: skip
    x = np.ones((1, 1, 4, 4), np.float32)
    found = ox.explain(model, x, None, "grad_cam")
    assert not found.values.any()
    assert any("nowhere above 0" in note for note in found.notes)
    signed = ox.explain(model, x, None, ox.GradCam(relu_attributions=False))
    np.testing.assert_allclose(signed.values, -9 / 4)


def test_of_several_inputs_those_get_a_map_that_it_lies_over(models) -> None:
    model = models.make(
        """m (float[N, 1, 6, 6] image, float[N, 3] table) => (float[N, 2] y) {
          c = Conv(image, k) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g)
          all = Concat<axis = 1>(f, table) y = MatMul(all, w)
        }""",
        k=models.random(4, 1, 3, 3), w=models.random(7, 2, seed=1),
    )  # fmt: skip
    inputs = {"image": models.random(2, 1, 6, 6), "table": models.random(2, 3)}
    explainer = ox.Explainer(model)
    found = explainer(inputs, 1, "layer_cam")
    assert found.arrays["image"].any()
    assert not found.arrays["table"].any()
    assert list(found.extras["map"]) == ["image"]
    assert any("no map lies over 'table'" in note for note in found.notes)
    with pytest.raises(NotExplainableError, match="lies over 'table'"):
        explainer(inputs, 1, "layer_cam", wrt="table")
    two = models.make(
        """m (float[N, 1, 6, 6] a, float[N, 1, 8, 8] b) => (float[N, 2] y) {
          ca = Conv(a, k) ra = Relu(ca) ga = GlobalAveragePool(ra) fa = Flatten(ga)
          cb = Conv(b, k) rb = Relu(cb) gb = GlobalAveragePool(rb) fb = Flatten(gb)
          all = Concat<axis = 1>(fa, fb) y = MatMul(all, w)
        }""",
        k=models.random(4, 1, 3, 3), w=models.random(8, 2, seed=1),
    )  # fmt: skip
    both = {"a": models.random(2, 1, 6, 6), "b": models.random(2, 1, 8, 8)}
    made = ox.explain(two, both, 0, "grad_cam").extras["map"]
    assert {k: v.shape for k, v in made.items()} == {"a": (2, 4, 4), "b": (2, 6, 6)}
    alone = ox.explain(two, both, 0, "grad_cam", wrt="b").extras["map"]
    np.testing.assert_allclose(alone["b"], made["b"], rtol=1e-5)


def test_tokens_get_their_places_number(models) -> None:
    ids = np.array([[3, 4, 5, 6], [7, 8, 9, 1]])
    inputs = {"ids": ids, "mask": np.ones((2, 4), np.int64)}
    found = ox.explain(models.tokens(), inputs, 1, ox.GradCam(relu_attributions=False))
    assert list(found.arrays) == ["ids"]
    np.testing.assert_allclose(found.values, found.extras["map"]["ids"], rtol=1e-5)
    assert np.abs(found.values).min() > 0


def test_segmentations_are_explained_at_their_bottleneck(models) -> None:
    model = models.make(
        """m (float[N, 1, 8, 8] x) => (float[N, 2, 8, 8] y) {
          c1 = Conv<pads = [1, 1, 1, 1]>(x, w1) r1 = Relu(c1)
          p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
          c2 = Conv<pads = [1, 1, 1, 1]>(p, w2) r2 = Relu(c2)
          up = Resize<mode = "linear">(r2, , scales)
          both = Concat<axis = 1>(up, r1)
          c3 = Conv<pads = [1, 1, 1, 1]>(both, w3) r3 = Relu(c3) y = Conv(r3, w4)
        }""",
        w1=models.random(3, 1, 3, 3, seed=1), w2=models.random(4, 3, 3, 3, seed=2),
        w3=models.random(3, 7, 3, 3, seed=3), w4=models.random(2, 3, 1, 1, seed=4),
        scales=np.array([1, 1, 2, 2], np.float32),
    )  # fmt: skip
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = True
    found = ox.explain(model, models.random(1, 1, 8, 8), ox.Region(mask, 1), "hi_res_cam")
    assert any("that of 'r2', of 4 x 4 places" in note for note in found.notes)
    shown = np.abs(found.extras["map"]["x"][0])
    assert shown[:2, :2].any()
    assert not shown[3:, 3:].any(), "the region does not see that far"


def test_detections_have_maps(models) -> None:
    """Boxes and scores from a convolution's places: the map shows the place of the box."""
    corners = np.array([[8 * k, 8 * i, 8 * k + 8, 8 * i + 8] for i in range(2) for k in range(2)], np.float32)
    model = models.make(
        """m (float[N, 1, 16, 16] x) => (float[N, 4, 2] scores, float[N, 4, 4] boxes) {
          c = Conv<strides = [8, 8]>(x, k) r = Relu(c) s = Conv(r, w)
          flat = Reshape(s, rows) scores = Transpose<perm = [0, 2, 1]>(flat)
          zero = Mul(scores, nothing) none = ReduceSum<keepdims = 1>(zero, last) boxes = Add(none, corners)
        }""",
        k=np.abs(models.random(3, 1, 8, 8, seed=1)), w=np.abs(models.random(2, 3, 1, 1, seed=2)),
        rows=np.array([0, 2, -1]), nothing=0.0, last=np.array([2]), corners=corners,
    )  # fmt: skip
    x = np.abs(models.random(1, 1, 16, 16, seed=3))
    found = ox.explain(model, x, ox.Detection((8, 0, 16, 8), 1, boxes="boxes"), "hi_res_cam", output="scores")
    shown = found.extras["map"]["x"][0]
    assert shown[0, 1] > 0
    assert not shown[[0, 1, 1], [0, 0, 1]].any()
    assert found.values[0, 0, :8, 8:].mean() > found.values[0, 0, 8:, :8].mean()


def test_images_that_a_body_reads_first_have_maps(models) -> None:
    body = "k = Conv(i, w) q = Relu(k) g = GlobalAveragePool(q) f = Flatten(g) y = MatMul(f, v)"
    weights = {"w": models.random(4, 2, 3, 3, seed=1), "v": models.random(4, 3, seed=2)}
    first = """If(c) <then_branch = t () => (float[N, 2, 6, 6] a) { a = Sin(x) },
                     else_branch = e () => (float[N, 2, 6, 6] b) { b = Cos(x) }>"""
    hidden, plain = (
        models.make(f"m (float[N, 2, 6, 6] x{more}) => (float[N, 3] y) {{ i = {made} {body} }}", **weights)
        for more, made in ((", bool c", first), ("", "Sin(x)"))
    )
    x, method = models.random(2, 2, 6, 6, seed=3), ox.GradCam(relu_attributions=False)
    found = ox.explain(hidden, {"x": x, "c": np.array(True)}, 1, method)
    np.testing.assert_allclose(found.values, ox.explain(plain, x, 1, method).values, rtol=1e-4, atol=1e-6)
