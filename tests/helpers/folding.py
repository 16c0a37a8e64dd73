"""FoldBatchNorm on small models, with what the model was before beside what it is after."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from one_pass import TEXT, run

from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal import FoldBatchNorm


def close(found: list[np.ndarray], wanted: list[np.ndarray], rtol: float = 1e-5) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
        assert a.dtype == b.dtype


def fold(proto: onnx.ModelProto, *, changed: bool = True, shared: bool = False, **feeds: Any) -> ir.Model:
    """Run the pass; compare numbers, names, types and shapes with the model as it was."""
    model = load(proto)
    infer_shapes(model)
    before = run(model, **feeds)
    names = [v.name for v in model.graph.outputs]
    contents = {n: v.const_value.numpy().copy() for n, v in model.graph.initializers.items()}
    fold_batchnorm = FoldBatchNorm(shared=shared)
    assert fold_batchnorm(model).modified is changed
    assert not fold_batchnorm(model).modified, "a second time there is nothing to do"
    for name, content in contents.items():
        np.testing.assert_array_equal(model.graph.initializers[name].const_value.numpy(), content)
    assert [v.name for v in model.graph.outputs] == names
    every = [v for node in model.graph for v in node.outputs if v.name]
    assert len({v.name for v in every}) == len(every)
    said = {v.name: (v.dtype, facts.dims(v)) for v in every}
    assert all(shape is not None for _, shape in said.values())
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    infer_shapes(model)
    assert {v.name: (v.dtype, facts.dims(v)) for v in every} == said
    close(run(model, **feeds), before)
    return model


def norm(n: int, letter: str = "") -> dict[str, Any]:
    """Parameters s, o, m, v of a normalisation (or such names with a letter in front)."""
    rng = np.random.default_rng(5 + len(letter))
    return {
        f"{letter}s": rng.uniform(0.3, 2, n).astype(np.float32) * rng.choice([-1, 1], n).astype(np.float32),
        f"{letter}o": rng.standard_normal(n).astype(np.float32),
        f"{letter}m": rng.standard_normal(n).astype(np.float32),
        f"{letter}v": rng.uniform(0.1, 2, n).astype(np.float32),
    }


BN = "BatchNormalization<epsilon = 0.01>"


def text(body: str, x: tuple[int, ...], batch: int | str = "N") -> str:
    dims = ", ".join(map(str, (batch, *x[1:])))
    return TEXT.format(x=dims, y=", ".join("ABCDE"[: len(x)]), body=body)
