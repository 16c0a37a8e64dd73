"""Operators on images: convolution, pooling, resizing, sampling, padding."""

from __future__ import annotations

import numpy as np

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Dims, Mixes

__all__: list[str] = []

_SPATIAL = 2  # the first axis of the image


def _first(node: Node) -> At:
    """Return the place in the first input, which must be its first axis."""
    at = node.at(0)
    if at.axis:
        raise Mixes(f"it works along axis {at.axis} of {node.name(0)}, along which the samples lie")
    return at


@rule("Conv", "ConvTranspose")
def convolution(node: Node) -> Result:
    """Each sample by itself, with weights that are the same for all."""
    node.shared(1, 2, why="is made from the samples, as weights of a convolution")
    return _first(node)


@rule("ConvInteger")
def convolution_integer(node: Node) -> Result:
    """Do the same, with zero points."""
    node.shared(1, 2, 3)
    return _first(node)


@rule("QLinearConv")
def convolution_quantised(node: Node) -> Result:
    """Do the same, with scales and zero points."""
    node.shared(*range(1, 9))
    return _first(node)


@rule("DeformConv")
def deformed(node: Node) -> Result:
    """Do the same, with offsets and masks for each sample."""
    node.shared(1, 3)
    return node.aligned(0, 2, 4)


@rule("CausalConvWithState")
def causal(node: Node) -> Result:
    """Do the same, with a state for each sample."""
    node.shared(1, 2)
    return node.aligned(0, 3)


@rule("AveragePool", "LpPool", "MaxPool")
def pooling(node: Node) -> Result:
    """Each channel of each sample by itself; MaxPool's indices count those before, too."""
    node.apart(0, range(_SPATIAL, node.x.rank))
    made = node.made(_pooled(node), node.at(0)) if node.integer("ceil_mode", 0) else node.at(0)
    if len(node.source.outputs) == 1:
        return made
    return [made, node.lost("its indices count the elements of all samples before")]


def _pooled(node: Node) -> Dims:
    """Return the shape that pooling gives with ``ceil_mode``, in which the standard's inference errs."""
    shape, kernel = node.x.shape, node.ints("kernel_shape")
    assert shape is not None
    assert kernel is not None
    n = len(kernel)
    strides, dilations = node.ints("strides") or (1,) * n, node.ints("dilations") or (1,) * n
    pads = node.ints("pads") or (0,) * 2 * n
    auto = node.text("auto_pad", "NOTSET")
    lengths: list[int | None] = []
    for k, size in enumerate(shape[_SPATIAL:]):
        if size is None or auto.startswith("SAME"):
            lengths.append(None if size is None else -(-size // strides[k]))
            continue
        before, after = (pads[k], pads[n + k]) if auto == "NOTSET" else (0, 0)
        reach = dilations[k] * (kernel[k] - 1) + 1
        made = -(-(size + before + after - reach) // strides[k]) + 1
        made -= (made - 1) * strides[k] >= size + before  # no window may start behind the image
        lengths.append(made)
    return (*shape[:_SPATIAL], *lengths)


@rule("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
def pooling_all(node: Node) -> Result:
    """One number for each channel."""
    node.apart(0, range(_SPATIAL, node.x.rank))
    return node.at(0)


@rule("MaxUnpool")
def unpooling(node: Node) -> Result:
    """Refuse: its indices count the elements of the whole tensor."""
    raise Mixes("its indices count the elements of all samples before")


@rule("Resize", "Upsample", reads=(2, 3))
def resize(node: Node) -> Result:
    """Stretch axes; that of the samples keeps its length."""
    at, rank = node.at(0), node.x.rank
    axes = [a % rank for a in node.ints("axes") or range(rank)]
    node.shared(1, 2, 3)
    if at.axis not in axes:
        for k in (2, 3):
            if node.has(k):
                node.content(k)  # must not depend on the batch size
        return at
    place = axes.index(at.axis)
    if node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        node.apart(0, axes, "crops")
    if node.has(3):
        sizes = node.contents(3)
        rest = [tuple(np.delete(s, place)) for s in sizes]
        if len(set(rest)) > 1:
            raise Mixes("its sizes depend on the batch size")
        if any(int(s[place]) != at.length(n) for s, n in zip(sizes, node.sizes, strict=True)):
            raise Mixes("it changes the number of samples, or was written for one batch size")
        if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise Mixes("it scales the axis of the samples together with the others")
        return at
    scales = node.content(1 if node.source.op_type == "Upsample" else 2)
    if scales[place] != 1:
        raise Mixes("it stretches the axis of the samples")
    return at


@rule("GridSample")
def sampled(node: Node) -> Result:
    """Read each sample at its own places."""
    return node.aligned(0, 1)


@rule("AffineGrid", reads=(1,))
def grid(node: Node) -> Result:
    """Places for each sample's matrix."""
    at = _first(node)
    sizes = node.contents(1)
    if len({tuple(s[1:]) for s in sizes}) > 1 or any(
        int(s[0]) != at.length(n) for s, n in zip(sizes, node.sizes, strict=True)
    ):
        raise Mixes("its size was written for one batch size")
    return node.made((int(sizes[0][0]), *map(int, sizes[0][2:]), len(sizes[0]) - 2), at)


@rule("MaxRoiPool", "RoiAlign")
def regions(node: Node) -> Result:
    """Refuse: regions name the samples that they lie in by number."""
    raise Mixes("its regions name samples by number")


@rule("DepthToSpace", "SpaceToDepth", "Col2Im")
def folded(node: Node) -> Result:
    """Move blocks between channels and image."""
    node.shared(1, 2)
    return _first(node)


@rule("Pad")
def padded(node: Node) -> Result:
    """Put entries around; none along the axis of the samples."""
    node.shared(1, 2, 3)
    at, rank = node.at(0), node.x.rank
    axes = [int(a) % rank for a in np.ravel(node.content(3))] if node.has(3) else list(range(rank))
    if at.axis in axes:
        amounts = np.ravel(node.content(1))
        place = axes.index(at.axis)
        if amounts[place] or amounts[place + len(axes)]:
            raise Mixes(f"it pads axis {at.axis}, along which the samples lie")
    return at


@rule("CenterCropPad")
def cropped(node: Node) -> Result:
    """Cut or pad the axes given."""
    node.shared(1)
    node.content(1)
    node.apart(0, node.ints("axes") or range(node.x.rank), "cuts or pads")
    return node.at(0)


@rule("STFT")
def spectrum(node: Node) -> Result:
    """Transform windows of each signal."""
    node.shared(1, 2, 3)
    return _first(node)
