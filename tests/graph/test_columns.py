"""Which input each number inside a model is made of."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pipelines
import pytest
from onnx import helper

import onnxplain as ox
from onnxplain.graph import facts
from onnxplain.graph.columns import MIXED, Columns, follow, parts
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.shapes import at_shapes
from onnxplain.reading import read

ML = "ai.onnx.ml"
NAMES = sorted(p.stem for p in pipelines.DATA.glob("*.onnx"))


def followed(normal: Normalized, shapes: dict[str, tuple[int, ...]]) -> tuple[ir.Model, Columns]:
    """Follow every element of all inputs, one player each."""
    model = at_shapes(normal.model, shapes)
    ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes.values())])
    players = {k: np.arange(a, b).reshape(shapes[k]) for k, a, b in zip(shapes, ends, ends[1:], strict=False)}
    return model, follow(model.graph, players, normal.opset)


def index(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("body", "width", "expected", "weights"),
    [
        ("y = Relu(x)", 3, [1, 2, 3], {}),
        ("y = Gather<axis = 1>(x, i)", 3, [3, 1, 1], {"i": index(2, 0, 0)}),
        ("a, b = Split<axis = 1, num_outputs = 2>(x) y = Concat<axis = 1>(b, a, c)", 4, [3, 4, 1, 2, 0],
         {"c": np.ones((1, 1), np.float32)}),
        ("y = Slice(x, i, j, k)", 4, [2, 3], {"i": index(1), "j": index(3), "k": index(1)}),
        ("t = Transpose(x) y = Reshape(t, i)", 3, [1, 2, 3], {"i": index(1, -1)}),
        ("s = Shape(x) y = Reshape(x, s)", 3, [1, 2, 3], {}),
        ("m = IsNaN(x) y = Where(m, c, x)", 3, [1, 2, 3], {"c": np.ones((1, 3), np.float32)}),
        ("y = Pad(x, i)", 2, [0, 1, 2], {"i": index(0, 1, 0, 0)}),
        ("y = MatMul(x, w)", 3, [1, MIXED, 3], {"w": [[1, 1, 0], [0, 1, 0], [0, 0, 2]]}),
        ("y = Gemm<transB = 1>(x, w, b)", 2, [2, MIXED, 0], {"w": [[0, 1], [1, 1], [0, 0]], "b": [1, 1, 1]}),
        ("y = ReduceSum(x, i)", 2, [MIXED], {"i": index(1)}),
        ("y = ReduceSum(x, i)", 1, [1], {"i": index(1)}),
        ("y = Softmax(x)", 2, [MIXED, MIXED], {}),
        ("y = LayerNormalization(x, c)", 2, [MIXED, MIXED], {"c": [1.0, 2.0]}),
        ("r = ReduceSum(x, i) y = Div(x, r)", 1, [1], {"i": index(1)}),
        ("a = Gather<axis = 1>(x, i) y = Mul(x, a)", 2, [1, MIXED], {"i": index(0)}),
        ("y = Mul(x, w)", 3, [1, 0, 3], {"w": [[2.0, 0.0, -1.0]]}),
        ("y = ai.onnx.ml.Binarizer<threshold = 0.5>(x)", 2, [1, 2], {}),
        ("k = Cast<to = 7>(x) h = ai.onnx.ml.OneHotEncoder<cats_int64s = [1, 2]>(k) y = Reshape(h, i)", 2,
         [1, 1, 2, 2], {"i": index(1, 4)}),
        ("k = Cast<to = 7>(x) r = Gather(w, k) y = Reshape(r, i)", 2, [1, 1, 2, 2],
         {"w": np.eye(2, dtype=np.float32), "i": index(1, 4)}),
    ],
)  # fmt: skip
def test_codes(body: str, width: int, expected: list[int], weights: dict[str, object], models) -> None:
    graph = f"m (float[N, {width}] x) => (float[N, M] y) {{ {body} }}"
    normal = read(models.make(graph, domain=ML, **weights))
    model, found = followed(normal, {"x": (1, width)})
    assert np.ravel(found.code(model.graph.outputs[0])).tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_what_its_code_does_not_say(name: str) -> None:
    """Change one column after the other: only its own elements, and mixed ones, may change."""
    normal = read(pipelines.path(name))
    rows, others = pipelines.table(name, "rows"), pipelines.table(name, "background")
    model, found = followed(normal, {k: (1, v.shape[1]) for k, v in rows.items()})
    seen = {
        v.name: code for v, code in found.codes.items()
        if code is not None and not facts.is_constant(v) and v.producer() is not None and v.dtype is not None
    }  # fmt: skip
    proto = ir.to_proto(model)
    declared = {o.name for o in proto.graph.output}
    values = {v.name: v for v in found.codes}
    for k in seen:
        if k not in declared:
            kind = values[k].dtype
            assert kind is not None
            proto.graph.output.append(helper.make_tensor_value_info(k, int(kind), seen[k].shape))
    session = ort.InferenceSession(proto.SerializeToString())
    row = {k: v[:1].astype(object) if v.dtype.kind == "U" else v[:1] for k, v in rows.items()}
    before = dict(zip(seen, session.run(list(seen), row), strict=True))
    player, changed = 0, 0
    for key, array in row.items():
        for column in range(array.shape[1]):
            player += 1
            for other in others[key][:, column]:
                near = {**row, key: array.copy()}
                near[key][0, column] = other
                after = dict(zip(seen, session.run(list(seen), near), strict=True))
                for value, code in seen.items():
                    a, b = before[value], after[value]
                    both_missing = (a != a) & (b != b)
                    moved = (a != b) & ~both_missing
                    assert np.isin(code[moved], [player, MIXED]).all(), value
                    changed += int(moved.sum())
    assert changed


def test_what_an_ensemble_sees_of_a_pipeline() -> None:
    normal = read(pipelines.path("columns_stacked"))
    model, found = followed(normal, dict.fromkeys(pipelines.NAMES, (1, 1)))
    made = parts(found, model.graph.outputs[0])
    encoded = [1, 2, 3, 4, 5, 5, 5, 6]  # three numbers, rooms, three jobs, the number of the city
    assert [np.ravel(found.code(v)).tolist() for v in made.pieces] == [encoded]
    assert len(made.ensembles) == 2
    for node in made.ensembles:
        assert np.ravel(found.code(node.inputs[0])).tolist() == encoded


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "matrix_pca",
            "MatMul node 'MatMul' makes columns out of several inputs.*feature_mask.*kernel_shap",
        ),
        ("matrix_normalized", "ReduceSum node .*Normalizer.* makes columns out of several inputs"),
        ("matrix_products", "ReduceProd node .* is not linear in what several inputs make together"),
        ("columns_boosting", "Sigmoid node .* stands behind the trees of .*TreeEnsemble.* and is not linear"),
    ],
)
def test_what_is_no_sum_is_refused_by_name(name: str, words: str) -> None:
    normal = read(pipelines.path(name))
    shapes = {k: (1, v.shape[1]) for k, v in pipelines.table(name, "rows").items()}
    model, found = followed(normal, shapes)
    scored = next(v for v in model.graph.outputs if facts.is_float(v))
    with pytest.raises(ox.errors.NotExplainableError, match=words):
        parts(found, scored)
