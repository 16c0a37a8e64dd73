"""Products of doubles do not follow transpositions directly: onnxruntime 1.19 and 1.20 load no such file."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.exported_file import keep_unfused

TURNED = {
    "turned": ("t = Transpose<perm = [0, 2, 1]>(x)", 1),
    "turned, in another type": (
        "f = Cast<to = 1>(x) u = Transpose<perm = [0, 2, 1]>(f) t = Cast<to = 11>(u)",
        1,
    ),
    "turned round": ("t = Transpose(x)", 1),
    "turned, then changed": ("u = Transpose(x) t = Neg(u)", 1),
}


@pytest.mark.parametrize("case", TURNED)
def test_a_reshape_lies_between(case, models) -> None:
    written, expected = TURNED[case]
    proto = models.make(
        f"m (double[a, b, c] x) => (double[d, e, f] y) {{ {written} y = MatMul(t, w) }}",
        w=models.random(3, 3).astype(np.float64),
    )
    x = models.random(3, 3, 3).astype(np.float64)
    made = ir.from_proto(proto)
    assert keep_unfused(made) == expected
    again = ir.to_proto(made)
    onnx.checker.check_model(again, full_check=True)
    before, after = (
        ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (proto, again)
    )
    np.testing.assert_array_equal(after, before)


def test_floats_stay_as_they_are(models) -> None:
    proto = models.make(
        "m (float[a, b] x) => (float[c, d] y) { t = Transpose(x) y = MatMul(t, w) }", w=models.random(3, 3)
    )
    assert keep_unfused(ir.from_proto(proto)) == 0


@pytest.mark.parametrize("method", ["grad_cam", "score_cam", ox.EigenCam(center=True)], ids=str)
def test_maps_of_files(method, models, tmp_path) -> None:
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method).path
    graph = onnx.load(path).graph
    makers = {o: n.op_type for n in graph.node for o in n.output}
    products = [n for n in graph.node if n.op_type == "MatMul"]
    read = [makers.get(i) for n in products if n.name.startswith("onnxplain/") for i in n.input]
    assert "Reshape" in read
    assert "Transpose" not in read
