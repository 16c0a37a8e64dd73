"""Relevance through what is no linear layer: recurrent cells, control flow, normalisations, attention."""

from __future__ import annotations

import numpy as np
import pytest
from relevance_formulas import close, stab

import onnxplain as ox
from onnxplain.errors import UnsupportedRuleError


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def recurrent(models, op_type: str, steps: int, *, bias: bool = False, direction: str = "forward"):
    """(N, T, 3) to (N, 2): the last state of a recurrent layer of 4 units, and a dense end."""
    gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type], 2 if direction == "bidirectional" else 1
    return models.make(
        f"""m (float[N, {steps}, 3] x) => (float[N, 2] y) {{
          s = Transpose<perm = [1, 0, 2]>(x)
          a, h = {op_type}<hidden_size = 4, direction = "{direction}">(s, w, r, b)
          t = Transpose<perm = [1, 0, 2]>(h)
          f = Flatten(t)
          y = MatMul(f, v)
        }}""",
        w=models.random(ways, gates * 4, 3, seed=1), r=models.random(ways, gates * 4, 4, seed=2),
        b=models.random(ways, gates * 8, seed=3) * bias, v=models.random(4 * ways, 2, seed=4),
    )  # fmt: skip


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("steps", [1, 3, 7])
def test_recurrent_cells_conserve_without_biases(op_type, steps, direction, models) -> None:
    """Gates get nothing, signals all; short sequences are written out, long ones are a Scan."""
    x = models.random(2, steps, 3, seed=5)
    found = ox.explain(recurrent(models, op_type, steps, direction=direction), x, 1, method="lrp")
    assert found.relative_delta.max() < 1e-3
    assert op_type in [row[1] for row in found.rule_table]


@pytest.mark.parametrize("steps", [3, 6])
def test_lstm_is_its_naive_replica(steps, models) -> None:
    """Arras et al. (2017), LRP-all, cell by cell."""
    model = recurrent(models, "LSTM", steps, bias=True)
    weights = {t.name: np.frombuffer(t.raw_data, np.float32).reshape(t.dims) for t in model.graph.initializer}
    W, U, v = (weights[k].astype(np.float64) for k in "wrv")
    W, U, b = W[0], U[0], weights["b"][0].astype(np.float64)
    b = b[:16] + b[16:]
    x = models.random(1, steps, 3, seed=6)
    found = ox.explain(model, x, 1, method=ox.LRP("epsilon", bias="keep"))
    hs, cs, saved = [np.zeros(4)], [np.zeros(4)], []
    for t in range(steps):
        own, past = W @ x[0, t] + b, U @ hs[-1]
        i, o, f = (sigmoid(z) for z in np.split((own + past)[:12], 3))
        g = np.tanh((own + past)[12:])
        saved.append((own, past, i, f, g))
        cs.append(f * cs[-1] + i * g)
        hs.append(o * np.tanh(cs[-1]))
    Rh = hs[-1] * v[:, 1] / stab(hs[-1] @ v[:, 1]) * (hs[-1] @ v[:, 1])
    Rc, expected = np.zeros(4), np.zeros((steps, 3))
    for t in reversed(range(steps)):
        own, past, i, f, g = saved[t]
        Rc = Rc + Rh
        R = i * g / stab(cs[t + 1]) * Rc  # of the candidate; the rest stays in the cell
        Rc = f * cs[t] / stab(cs[t + 1]) * Rc
        z = (own + past)[12:]
        R_own, R_past = own[12:] / stab(z) * R, past[12:] / stab(z) * R
        Rh = hs[t] * (U[12:].T @ (R_past / stab(past[12:])))
        expected[t] = x[0, t] * (W[12:].T @ (R_own / stab(own[12:])))
    close(found.values[0], expected)


def loop_model(models):
    """Three times x -> relu(x W), in a Loop."""
    return models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          y = Loop (trips, go, x) <body = step (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t) {
            d = Identity(c) a = MatMul(s, w) t = Relu(a)
          }>
        }""",
        trips=np.array(3), go=np.array(True), w=np.abs(models.random(4, 4, seed=1)),
    )  # fmt: skip


def test_loops_conserve_and_show_their_rules(models) -> None:
    x = np.abs(models.random(2, 4, seed=2))
    found = ox.explain(loop_model(models), x, 1, method=ox.LRP("zplus"))
    assert found.relative_delta.max() < 1e-4
    assert [row[1:] for row in found.rule_table] == [
        ("Loop", "inside"), ("MatMul", "zplus"), ("Relu", "pass"),
    ]  # fmt: skip
    w = np.abs(models.random(4, 4, seed=1)).astype(np.float64)
    a = [x.astype(np.float64)]
    for _ in range(3):
        a.append(a[-1] @ w)
    R = np.zeros((2, 4))
    R[:, 1] = a[3][:, 1]
    for t in reversed(range(3)):
        R = a[t] * ((R / a[t + 1]) @ w.T)
    close(found.values, R)


def test_branches_of_if_take_their_own_rules(models) -> None:
    model = models.make(
        """m (float[N, 4] x, bool c) => (float[N, 2] y) {
          y = If (c) <
            then_branch = yes () => (float[N, 2] t) { a = MatMul(x, w) t = Relu(a) },
            else_branch = no () => (float[N, 2] e) { e = MatMul(x, v) }
          >
        }""",
        w=models.random(4, 2, seed=1), v=models.random(4, 2, seed=2),
    )  # fmt: skip
    x = models.random(1, 4, seed=3)
    for chosen, matrix in ((True, models.random(4, 2, seed=1)), (False, models.random(4, 2, seed=2))):
        found = ox.explain(model, {"x": x, "c": np.array(chosen)}, 0, method=ox.LRP("epsilon"), wrt="x")
        score = (x @ matrix)[0, 0]
        if chosen and score < 0:
            assert not found.values.any()
        else:
            close(found.values[0], x[0] * matrix[:, 0])
        assert [row[1] for row in found.rule_table] == ["If", "MatMul", "Relu", "MatMul"]


def test_what_has_no_rule_inside_a_body_is_told_before_anything_runs(models) -> None:
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          y = Loop (trips, go, x) <body = step (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t) {
            d = Identity(c) t = LogSoftmax(s)
          }>
        }""",
        trips=np.array(3), go=np.array(True),
    )  # fmt: skip
    with pytest.raises(UnsupportedRuleError, match="no rule for LogSoftmax"):
        ox.explain(model, models.random(2, 4), 1, method="lrp")


NORMS = {
    "LayerNormalization": ("LayerNormalization(x, s, b)", (2, 5), (5,), (-1,)),
    "LayerNormalization of two axes": ("LayerNormalization<axis = 1>(x, s, b)", (2, 3, 4), (3, 4), (-2, -1)),
    "InstanceNormalization": ("InstanceNormalization(x, s, b)", (2, 3, 4), (3,), (-1,)),
    "GroupNormalization": ("GroupNormalization<num_groups = 2>(x, s, b)", (2, 4, 3), (4,), None),
}


@pytest.mark.parametrize("case", NORMS)
def test_normalisations_share_as_linear_layers(case, models) -> None:
    """R_x = x * J^T (R / stab y), J with the deviation held constant."""
    node, shape, scales, axes = NORMS[case]
    scale, shift = models.random(*scales, seed=1), models.random(*scales, seed=2)
    sizes = ", ".join(["N", *map(str, shape[1:])])
    made = models.make(
        f"m (float[{sizes}] x) => (float[N, 2] y) {{ n = {node} f = Reshape(n, shape) y = MatMul(f, v) }}",
        s=scale, b=shift, v=models.random(int(np.prod(shape[1:])), 2, seed=3),
        shape=np.array([-1, int(np.prod(shape[1:]))]), opset=21 if "Group" in node else 18,
    )  # fmt: skip
    x = models.random(*shape, seed=4).astype(np.float64)
    found = ox.explain(made, x.astype(np.float32), 1, method=ox.LRP("epsilon", bias="keep"))
    v = models.random(int(np.prod(shape[1:])), 2, seed=3)[:, 1].astype(np.float64).reshape(shape[1:])

    def centre(a: np.ndarray) -> np.ndarray:
        grouped = a.reshape(2, -1) if axes is None else a
        return (grouped - grouped.mean(axes or 1, keepdims=True)).reshape(a.shape)

    for k in range(2):
        if axes is None:  # groups of two channels
            grouped, per = x[k].reshape(2, -1), (scale[:, None], shift[:, None])
            sd = np.sqrt(grouped.var(1) + 1e-5).repeat(2)[:, None]
        else:
            sd = np.sqrt(x[k].var(axes, keepdims=True) + 1e-5)
            wide = scale.ndim == x[k].ndim or case == "LayerNormalization"
            per = (scale, shift) if wide else (scale[:, None], shift[:, None])
        y = centre(x[k]) / sd * per[0] + per[1]
        R = y * v
        expected = x[k] * centre(R / stab(y) * per[0] / sd)
        close(found.values[k], expected)


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "zplus", "epsilon_alpha2_beta1"])
def test_what_nodes_keep_is_what_is_missing(composite, models) -> None:
    x = models.random(3, 2, 8, 8, seed=4)
    found = ox.explain(models.conv(), x, [0, 1, 2], method=ox.LRP(composite, bias="keep", account=True))
    kept = found.extras["kept"]
    total = sum(float(v) for v in kept.values())
    assert abs(total + found.delta.sum()) < 1e-3 * np.abs(found.score).sum()
    assert abs(total) > 1e-2
    for node, amount in kept.items():  # without biases, and where nothing is zero, nothing stays
        if node.split()[0] not in ("Conv", "Gemm"):
            assert abs(amount) < 1e-3 * np.abs(found.score).sum(), node


def test_a_recurrent_node_keeps_as_one(models) -> None:
    x = models.random(2, 7, 3, seed=5)
    model = recurrent(models, "GRU", 7, bias=True)
    found = ox.explain(model, x, 1, method=ox.LRP("epsilon", account=True))
    kept = {node.split()[0]: float(v) for node, v in found.extras["kept"].items()}
    assert set(kept) == {"Transpose", "GRU", "Flatten", "MatMul"}
    assert abs(kept["GRU"] + found.delta.sum()) < 1e-3 * np.abs(found.score).sum()


@pytest.mark.parametrize("start", ["Identity(c)", "Floor(e)", "Tanh(e)"])
@pytest.mark.parametrize("body", ["Add(h, u)", "Mul(h, u)"])
def test_what_a_state_starts_from_keeps_its_part(body, start, models) -> None:
    """A constant, or what lets nothing through: what arrives there is kept, and said to be."""
    model = models.make(
        f"""m (float[N, 2, 3] x) => (float[N, 2] y) {{
          first = Gather<axis = 1>(x, zero) e = Mul(first, c) start = {start}
          last, all = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
            body = step (float[N, 3] h, float[N, 3] u) => (float[N, 3] k, float[N, 3] o)
              {{ d = {body} k = Tanh(d) o = Identity(k) }}>(start, x)
          y = MatMul(last, w)
        }}""",
        w=models.random(3, 2), c=models.random(1, 3, seed=1), zero=np.array(0),
    )  # fmt: skip
    found = ox.explain(model, models.random(1, 2, 3), 1, method=ox.LRP("epsilon", account=True))
    kept = sum(float(v) for v in found.extras["kept"].values())
    assert abs(kept + found.delta.sum()) < 1e-3 * np.abs(found.score).sum()


def test_nodes_keep_also_where_the_type_changes(models) -> None:
    model = models.make(
        """m (float[N, 5] x) => (float[N, 3] y) {
          wide = Cast<to = 11>(x) bent = Tanh(wide) h = Cast<to = 1>(bent) y = MatMul(h, w)
        }""",
        w=models.random(5, 3),
    )
    found = ox.explain(model, models.random(2, 5), 1, method=ox.LRP("epsilon", account=True))
    kept = sum(float(v) for v in found.extras["kept"].values())
    assert abs(kept + found.delta.sum()) < 1e-3 * np.abs(found.score).sum()


def test_relevance_of_a_double_input(models) -> None:
    model = models.make(
        "m (double[N, 5] x) => (float[N, 3] y) { h = Cast<to = 1>(x) y = MatMul(h, w) }",
        w=models.random(5, 3),
    )
    x = models.random(2, 5).astype(np.float64)
    found = ox.explain(model, x, 1, method=ox.LRP("epsilon", account=True))
    np.testing.assert_allclose(found.values, x * models.random(5, 3)[:, 1], rtol=1e-4)


def test_by_batches_nodes_keep_as_much(models) -> None:
    x = models.random(5, 2, 8, 8, seed=4)
    explainer = ox.Explainer(models.conv())
    whole, parts = (
        explainer(x, 1, ox.LRP(account=True), internal_batch_size=size).extras["kept"] for size in (5, 2)
    )
    for node, amount in whole.items():
        np.testing.assert_allclose(parts[node], amount, rtol=1e-3, atol=1e-3)


def test_states_that_do_not_vary_get_nothing(models) -> None:
    """A counter of floats beside the state is a constant factor, and takes no half of the relevance."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          y, z = Loop (trips, go, x, start) <body = step (int64 i, bool c, float[N, 4] s, float k)
            => (bool d, float[N, 4] t, float u) { d = Identity(c) t = Mul(s, k) u = Add(k, one) }>
        }""",
        trips=np.array(3), go=np.array(True), start=np.float32(2), one=np.float32(1),
    )  # fmt: skip
    x = models.random(2, 4)
    found = ox.explain(model, x, 1, method="lrp")
    np.testing.assert_allclose(found.score, x[:, 1] * 24, rtol=1e-5)
    expected = np.zeros((2, 4), np.float32)
    expected[:, 1] = found.score
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def test_a_bias_that_is_an_input_gets_its_share(models) -> None:
    model = models.make(
        "m (float[N, 4] x, float[3] b) => (float[N, 3] y) { y = Gemm(x, w, b) }", w=models.random(4, 3)
    )
    inputs = {"x": models.random(1, 4, seed=1), "b": models.random(3, seed=2)}
    found = ox.explain(model, inputs, 1, method=ox.LRP("epsilon"), wrt=["x", "b"])
    np.testing.assert_allclose(found.arrays["b"], [0, inputs["b"][1], 0], rtol=1e-4)
    np.testing.assert_allclose(found.arrays["x"][0], inputs["x"][0] * models.random(4, 3)[:, 1], rtol=1e-4)
