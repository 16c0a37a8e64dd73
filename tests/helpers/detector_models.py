"""Small detectors in every form in which detectors give boxes, and overlaps by the book."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Corners of four boxes, and how they move with the input.
BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 40], [0, 2, 10, 11]], np.float32)
WANTED = (0.0, 0.0, 10.0, 10.0)


def written(boxes: np.ndarray, form: str) -> np.ndarray:
    if form == "yxyx":
        return boxes[..., [1, 0, 3, 2]]
    if form == "cxcywh":
        return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)
    return boxes


def detector(models, form: str = "xyxy", boxes: str = "Identity(b)", scores: str = "Identity(s)"):
    """x (N, 6) to scores (N, 4, 3) and boxes (N, 4, 4), which move a little with the input."""
    return models.make(
        f"""m (float[N, 6] x) => (float[N, B, C] scores, float[N, D, E] boxes) {{
          a = MatMul(x, w) t = Tanh(a) s = Reshape(t, to_scores) scores = {scores}
          m = MatMul(x, u) r = Reshape(m, to_boxes) b = Add(r, corners) boxes = {boxes}
        }}""",
        w=models.random(6, 12, seed=1), u=models.random(6, 16, seed=2, scale=0.3),
        to_scores=np.array([-1, 4, 3]), to_boxes=np.array([-1, 4, 4]), corners=written(BOXES, form),
        last=np.array([2]),
    )  # fmt: skip


def columns(models, form: str = "xyxy", *, sure: bool = False, turned: bool = False):
    """x (N, 6) to 7 boxes of 4 + 1 + 1 (or 2) columns, maybe turned."""
    first = "Concat<axis = 2>(b, o, l)" if sure else "Concat<axis = 2>(b, l)"
    return models.make(
        f"""m (float[N, 6] x) => (float[N, B, C] y) {{
          a = MatMul(x, w) t = Tanh(a) l = Reshape(t, to_scores)
          m = MatMul(x, u) r = Reshape(m, to_boxes) b = Add(r, corners)
          c = MatMul(x, v) p = Sigmoid(c) o = Reshape(p, to_one)
          k = {first} y = {"Transpose<perm = [0, 2, 1]>(k)" if turned else "Identity(k)"}
        }}""",
        w=models.random(6, 14, seed=1), u=models.random(6, 28, seed=2, scale=0.3),
        v=models.random(6, 7, seed=3), to_scores=np.array([-1, 7, 2]), to_boxes=np.array([-1, 7, 4]),
        to_one=np.array([-1, 7, 1]), corners=written(np.concatenate([BOXES, BOXES[:3] + 5]), form),
    )  # fmt: skip


def share(a: Any, b: Any) -> float:
    """Intersection over union, by the book."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(high, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def corners(box: Any, form: str) -> list[float]:
    if form == "yxyx":
        return [box[1], box[0], box[3], box[2]]
    if form == "cxcywh":
        return [box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2]
    return list(box)


def overlapping(boxes: np.ndarray, wanted: Any, iou: float, form: str) -> list[int]:
    return [k for k, box in enumerate(boxes) if share(corners(box, form), wanted) >= iou]
