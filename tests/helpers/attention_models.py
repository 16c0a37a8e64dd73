"""Small transformers in ONNX's text form, and the same in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

HEADS, SIZE, WIDTH, WORDS = 2, 4, 8, 20

#: How the axes of queries, keys and values are turned, and what is joined before the product.
LAYOUTS = {"apart": "0, 2, 1, 3", "batch first": "0, 2, 1, 3", "heads first": "2, 0, 1, 3"}


def weights(models: Any, layers: int) -> dict[str, np.ndarray]:
    made = {f"w{p}{k}": models.random(WIDTH, WIDTH, seed=10 * k + i) for k in range(layers)
            for i, p in enumerate("qkvo")}  # fmt: skip
    return made | {"end": models.random(WIDTH, 3, seed=99)}


def block(k: int, layout: str = "apart", *, masked: bool = False) -> str:
    """One layer of the text form, from h{k} to h{k + 1}; its weights are A{k}."""
    lines = []
    for p in "qkv":
        lines.append(f"{p}{k} = MatMul(h{k}, w{p}{k}) {p}s{k} = Reshape({p}{k}, split)")
        lines.append(f"{p}t{k} = Transpose<perm = [{LAYOUTS[layout]}]>({p}s{k})")
        joined = f"Identity({p}t{k})" if layout == "apart" else f"Reshape({p}t{k}, stack)"
        lines.append(f"{p}j{k} = {joined}")
    turn = "0, 1, 3, 2" if layout == "apart" else "0, 2, 1"
    lines.append(f"kk{k} = Transpose<perm = [{turn}]>(kj{k}) l{k} = MatMul(qj{k}, kk{k})")
    lines.append(f"m{k} = {f'Add(l{k}, hidden)' if masked else f'Identity(l{k})'}")
    lines.append(f"A{k} = Softmax(m{k}) o{k} = MatMul(A{k}, vj{k})")
    back = f"Identity(o{k})" if layout == "apart" else f"Reshape(o{k}, unstack)"
    lines.append(f"ob{k} = {back} ot{k} = Transpose<perm = [{LAYOUTS[layout]}]>(ob{k})")
    if layout == "heads first":
        lines[-1] = f"ob{k} = {back} ot{k} = Transpose<perm = [1, 2, 0, 3]>(ob{k})"
    lines.append(f"oj{k} = Reshape(ot{k}, join) om{k} = MatMul(oj{k}, wo{k}) t{k} = Tanh(om{k})")
    lines.append(f"h{k + 1} = Add(h{k}, t{k})")
    return "\n".join(lines)


def shapes(layout: str, length: int) -> dict[str, np.ndarray]:
    unstack = (HEADS, -1) if layout == "heads first" else (-1, HEADS)
    return {
        "split": np.array([0, 0, HEADS, SIZE]),
        "stack": np.array([-1, length, SIZE]),
        "unstack": np.array([*unstack, length, SIZE]),
        "join": np.array([0, 0, WIDTH]),
        "one": np.array([1]),
        "first": np.array(0),
    }


def encoder(
    models: Any, layers: int = 2, *, layout: str = "apart", batch: str = "N", end: str = "mean"
) -> onnx.ModelProto:
    """(N, 5, 8) to (N, 3)."""
    body = "\n".join(block(k, layout) for k in range(layers))
    pool = "ReduceMean<keepdims = 0>(last, one)" if end == "mean" else "Gather<axis = 1>(last, first)"
    return models.make(
        f"""m (float[{batch}, 5, 8] x) => (float[{batch}, 3] y) {{
          h0 = Identity(x)
          {body}
          last = Identity(h{layers})
          p = {pool}
          y = MatMul(p, end)
        }}""",
        **weights(models, layers), **shapes(layout, 5),
    )  # fmt: skip


def text(models: Any, *, segments: bool = False) -> onnx.ModelProto:
    """From ids and mask (N, L) to (N, 3): masked attention in two layers, a masked mean."""
    body = "\n".join(block(k, masked=True) for k in range(2))
    inputs = "int64[N, L] ids, int64[N, L] mask" + (", int64[N, L] kinds" if segments else "")
    embed = (
        "e = Gather(table, ids) f = Gather(table, kinds) h0 = Add(e, f)"
        if segments
        else "h0 = Gather(table, ids)"
    )
    return models.make(
        f"""m ({inputs}) => (float[N, 3] y) {{
          {embed}
          keep = Cast<to = 1>(mask)
          drop = Sub(keep, unit) huge = Mul(drop, many) hidden = Unsqueeze(huge, places)
          {body}
          wide = Unsqueeze(keep, end_axis) kept = Mul(h2, wide)
          total = ReduceSum<keepdims = 0>(kept, one) count = ReduceSum<keepdims = 0>(wide, one)
          p = Div(total, count)
          y = MatMul(p, end)
        }}""",
        **weights(models, 2), **shapes("apart", 0), table=models.random(WORDS, WIDTH, seed=7), unit=1.0,
        many=np.float32(10000), places=np.array([1, 2]), end_axis=np.array([2]),
    )  # fmt: skip


def forward(
    w: dict[str, np.ndarray], x: np.ndarray, end: str, bumps: dict[int, np.ndarray]
) -> tuple[Any, Any]:
    """One sample (L, 8), float64: the scores, and the weights (heads, L, L) of each layer."""
    h, attention = x.astype(np.float64), []
    for k in range(sum(name.startswith("wq") for name in w)):
        q, key, v = ((h @ w[f"w{p}{k}"].astype(np.float64)).reshape(len(x), HEADS, SIZE) for p in "qkv")
        mixed = np.zeros_like(q)
        layer = np.zeros((HEADS, len(x), len(x)))
        for head in range(HEADS):
            e = np.exp(q[:, head] @ key[:, head].T)
            layer[head] = e / e.sum(1, keepdims=True) + bumps.get(k, np.zeros_like(layer))[head]
            mixed[:, head] = layer[head] @ v[:, head]
        attention.append(layer)
        h = h + np.tanh(mixed.reshape(len(x), WIDTH) @ w[f"wo{k}"])
    return (h.mean(0) if end == "mean" else h[0]) @ w["end"], attention


def slopes(w: dict[str, np.ndarray], x: np.ndarray, end: str, target: int, k: int, step: float = 1e-5) -> Any:
    """dS/dA of one layer by central differences."""
    made = np.zeros((HEADS, len(x), len(x)))
    for place in np.ndindex(made.shape):
        bump = np.zeros_like(made)
        bump[place] = step
        up, down = (forward(w, x, end, {k: sign * bump})[0][target] for sign in (1, -1))
        made[place] = (up - down) / (2 * step)
    return made


def vision(models: Any, *, class_token: bool, last: bool = False) -> onnx.ModelProto:
    """(N, 3, 8, 12) to (N, 3): patches of 4 x 4, one layer; channels may come last."""
    count = 6 + class_token
    shape = "N, 8, 12, 3" if last else "N, 3, 8, 12"
    return models.make(
        f"""m (float[{shape}] x) => (float[N, 3] y) {{
          i = Transpose<perm = [{"0, 3, 1, 2" if last else "0, 1, 2, 3"}]>(x)
          c = Conv<kernel_shape = [4, 4], strides = [4, 4]>(i, kernel)
          r = Reshape(c, rows) t = Transpose<perm = [0, 2, 1]>(r)
          padded = Pad(t, ends) h0 = Add(padded, positions)
          {block(0)}
          p = Gather<axis = 1>(h1, first)
          y = MatMul(p, end)
        }}""",
        **weights(models, 1), **shapes("apart", count),
        kernel=models.random(WIDTH, 3, 4, 4, seed=3, scale=0.05),
        rows=np.array([0, WIDTH, -1]), ends=np.array([0, int(class_token), 0, 0, 0, 0]),
        positions=models.random(count, WIDTH, seed=4, scale=0.3),
    )  # fmt: skip
