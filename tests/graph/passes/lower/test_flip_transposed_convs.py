"""Transposed convolutions of stride 1 become plain ones, where a walk wrote them."""

from __future__ import annotations

import pytest
from one_pass import TEXT, apply, ops

from onnxplain.graph.passes.lower import FlipTransposedConvs

CONVS = {
    "plain": ("ConvTranspose(x, w)", (2, 3, 12, 12), (3, 9, 3, 3)),
    "pads": ("ConvTranspose<pads = [1, 0, 1, 2], output_padding = [0, 0]>(x, w)", (1, 3, 4, 4), (3, 9, 3, 3)),
    "dilations": ("ConvTranspose<dilations = [2, 1], pads = [2, 1, 0, 1]>(x, w)", (1, 3, 4, 4), (3, 9, 3, 2)),
    "groups": ("ConvTranspose<group = 2, pads = [1, 1, 1, 1]>(x, w)", (2, 4, 4, 4), (4, 3, 3, 3)),
    "depthwise": ("ConvTranspose<group = 3>(x, w)", (1, 3, 5), (3, 1, 4)),
    "3d": ("ConvTranspose<pads = [0, 0, 1, 1, 0, 1]>(x, w)", (1, 2, 3, 3, 3), (2, 9, 2, 1, 3)),
    "1x1": ("ConvTranspose(x, w)", (1, 2, 3, 3), (2, 9, 1, 1)),
    "many places": ("ConvTranspose<pads = [4, 4, 4, 4]>(x, w)", (1, 2, 6, 6), (2, 17, 5, 5)),
    "large": ("ConvTranspose<pads = [1, 1, 1, 1]>(x, w)", (1, 2, 65, 64), (2, 1, 3, 3)),
}


@pytest.mark.parametrize("name", CONVS)
def test_flip_transposed_convs(name, models) -> None:
    node, x, w = CONVS[name]
    text = TEXT.format(x=", ".join(map(str, x)), y=", ".join("ABCDE"[: len(x)]), body=f"y = {node}")
    model = apply(
        FlipTransposedConvs(),
        models.make(text, w=models.random(*w)),
        written=True,
        x=models.random(*x, seed=1),
    )
    assert ops(model) == ["Conv"]


def test_flip_leaves_the_models_own_nodes_alone(models) -> None:
    text = TEXT.format(x="2, 3, 12, 12", y="A, B, C, D", body="y = ConvTranspose(x, w)")
    model = models.make(text, w=models.random(3, 5, 3, 3))
    apply(FlipTransposedConvs(), model, changed=False, x=models.random(2, 3, 12, 12))


def test_flip_tells_groups_of_one_weight_apart(models) -> None:
    """And does not take a weight of the model's own for one that it made."""
    body = "a = ConvTranspose<group = 2>(x, w) b = ConvTranspose(u, w) y = Concat<axis = 1>(a, b)"
    text = "m (float[1, 4, 5, 5] x, float[1, 4, 5, 5] u) => (float[A, B, C, D] y) { " + body + " }"
    model = models.make(text, **{"w": models.random(4, 3, 3, 3), "w/flipped_2": models.random(6, 2, 3, 3)})
    inputs = {"x": models.random(1, 4, 5, 5, seed=1), "u": models.random(1, 4, 5, 5, seed=2)}
    apply(FlipTransposedConvs(), model, written=True, **inputs)


@pytest.mark.parametrize(
    "node",
    [
        "ConvTranspose<strides = [2, 2]>(x, w)",
        "ConvTranspose<pads = [3, 3, 3, 3]>(x, w)",
        "ConvTranspose<strides = [2, 2], output_padding = [1, 1]>(x, w)",
        'ConvTranspose<auto_pad = "SAME_UPPER">(x, w)',
    ],
)
def test_flip_leaves_alone(node, models) -> None:
    model = models.make(
        TEXT.format(x="1, 3, 6, 6", y="A, B, C, D", body=f"y = {node}"), w=models.random(3, 2, 3, 3)
    )
    apply(FlipTransposedConvs(), model, changed=False, written=True, x=models.random(1, 3, 6, 6))


def test_flip_leaves_outputs_alone_that_are_much_larger_than_the_input(models) -> None:
    text = TEXT.format(x="1, 3, 2, 2", y="A, B, C, D", body="y = ConvTranspose(x, w)")
    model = models.make(text, w=models.random(3, 2, 7, 7))
    apply(FlipTransposedConvs(), model, changed=False, written=True, x=models.random(1, 3, 2, 2))


@pytest.mark.parametrize(
    ("x", "w"), [((1, 2, 6, 6), (2, 8, 3, 3)), ((1, 2, 6, 6), (2, 16, 5, 5)), ((1, 2, 64, 63), (2, 1, 3, 3))]
)
def test_flip_leaves_small_images_of_few_channels_alone(x, w, models) -> None:
    body = f"y = ConvTranspose<pads = [{', '.join([str(w[-1] // 2)] * 4)}]>(x, w)"
    text = TEXT.format(x=", ".join(map(str, x)), y="A, B, C, D", body=body)
    apply(FlipTransposedConvs(), models.make(text, w=models.random(*w)), changed=False, written=True,
          x=models.random(*x))  # fmt: skip


def test_flip_holds_a_shared_weight_once(models) -> None:
    body = "a = ConvTranspose(x, w) y = ConvTranspose<pads = [1, 1, 1, 1]>(a, w)"
    proto = models.make(TEXT.format(x="1, 9, 12, 12", y="A, B, C, D", body=body), w=models.random(9, 9, 3, 3))
    model = apply(FlipTransposedConvs(), proto, written=True, x=models.random(1, 9, 12, 12))
    assert len({node.inputs[1] for node in model.graph}) == 1
