"""ROAR: data sets without features, and what is learned from them; on data whose truth is known."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics import ROAR, perturbed
from onnxplain.metrics.retrained import accuracy

N, WIDTH = 400, 10


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two classes, told apart by columns 2 and 5 together, of ten."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2 * N, WIDTH)).astype(np.float32)
    y = (x[:, 2] + x[:, 5] > 0).astype(np.int64)
    return x[:N], y[:N], x[N:], y[N:]


@pytest.fixture(scope="module")
def least_squares(models):
    """Trains a linear model, and gives it as ONNX."""

    def train(x: np.ndarray, y: np.ndarray, seed: int) -> onnx.ModelProto:
        flat = np.c_[x.reshape(len(x), -1), np.ones(len(x))].astype(np.float64)
        wanted = np.eye(2)[y]
        found = np.linalg.solve(flat.T @ flat + 1e-3 * np.eye(flat.shape[1]), flat.T @ wanted)
        return models.linear(found[:-1].T, found[-1].tolist())

    return train


def truth(n: int, best: float = 1.0) -> np.ndarray:
    made = np.zeros((n, WIDTH))
    made[:, [2, 5]] = best
    return made


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("shape", [(6,), (2, 3, 4), (5, 5)])
def test_the_replica_of_perturbed(shape, keep, monkeypatch) -> None:
    rng = np.random.default_rng(1)
    x, a = (rng.integers(0, 9, (7, *shape)).astype(np.float32) for _ in range(2))
    monkeypatch.setattr("onnxplain.metrics.roar._ELEMENTS", 30)
    for share in (0.0, 0.3, 0.5, 1.0):
        found = perturbed(x, a, share, 100.0, keep=keep)
        for row, values, made in zip(x, a, found, strict=True):
            order = sorted(range(row.size), key=lambda k: (-values.flat[k], k))
            top = set(order[: round(share * row.size)])
            for k in range(row.size):
                assert made.flat[k] == (100.0 if (k in top) != keep else row.flat[k])


def test_channels_go_together_and_integers_stay_integers() -> None:
    x = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(1, 3, 2, 4)
    maps = np.arange(8.0).reshape(1, 2, 4)
    found = perturbed(x, maps, 0.25, np.array([10.4, 20.6, 30.0]).reshape(3, 1, 1))
    assert found.dtype == np.uint8
    assert found[0, :, 1, 2:].tolist() == [[10, 10], [21, 21], [30, 30]]
    np.testing.assert_array_equal(found[0, :, :, :2], x[0, :, :, :2])
    np.testing.assert_array_equal(found, perturbed(x, maps[:, None], 0.25, [[[10]], [[21]], [[30]]]))


def test_the_true_features_are_worth_everything(data, least_squares) -> None:
    x, y, x_test, y_test = data
    orders = {
        "truth": (truth(N), truth(N)),
        "random": "random",
        "reversed": (truth(N, -1), truth(N, -1)),
        "constant": "constant",
    }
    roar = ROAR(shares=(0.2, 0.8))
    found = roar(least_squares, (x, y), (x_test, y_test), orders)
    assert found.shares.tolist() == [0, 0.2, 0.8]
    curves = {k: v[:, 0] for k, v in found.accuracies.items()}
    assert all(c[0] == curves["truth"][0] > 0.9 for c in curves.values())
    assert abs(curves["truth"][1] - 0.5) < 0.1  # nothing is left: chance
    assert curves["reversed"][2] >= curves["reversed"][0]  # all that matters is left
    assert 0.6 < curves["random"][2] < curves["random"][1] < 0.95
    assert curves["constant"][1] == pytest.approx(curves["reversed"][1], abs=0.02)  # columns 0 and 1 are gone
    assert next(iter(found.area)) == "truth"
    assert list(found.area)[-1] == "reversed"
    assert not found.higher_is_better
    sides = (curves["random"][1:] + curves["random"][:-1]) / 2
    assert found.area["random"] == pytest.approx((sides * [0.2, 0.6]).sum() / 0.8)
    assert found.table().splitlines()[2].startswith("| `truth` |")
    assert repr(found).startswith("Retrained(truth: ")


def test_features_are_kept_instead(data, least_squares) -> None:
    x, y, x_test, y_test = data
    orders = {"reversed": (truth(N, -1), truth(N, -1)), "truth": (truth(N), truth(N))}
    found = ROAR(shares=(0.2, 0.8), keep=True)(least_squares, (x, y), (x_test, y_test), orders)
    assert found.shares.tolist() == [0.2, 0.8, 1]
    assert found.higher_is_better
    assert list(found.area) == ["truth", "reversed"]
    assert found.accuracies["truth"][0, 0] > 0.95
    assert abs(found.accuracies["reversed"][1, 0] - 0.5) < 0.1


def test_runs_and_seeds(data) -> None:
    x, y, x_test, y_test = data
    seen: list[tuple[int, bytes]] = []

    def trainer(x: np.ndarray, y: np.ndarray, seed: int):
        seen.append((seed, x.tobytes()))
        return lambda rows: np.full(len(rows), seed % 2)

    roar = ROAR(shares=(0.5,), n_runs=2, seed=4)
    found = roar(trainer, (x, y), (x_test, y_test), {"random": "random"})
    assert [s for s, _ in seen] == [4, 5, 4, 5]
    ones = y_test.mean()
    np.testing.assert_allclose(found.accuracies["random"], [[1 - ones, ones]] * 2)
    assert found.areas("random").shape == (2,)
    assert " ± " in found.table()
    first = [s[2] for s in roar.sets((x, y), (x_test, y_test), {"random": "random"})][1]
    assert first.tobytes() == seen[2][1]
    other = [s[2] for s in ROAR(shares=(0.5,), seed=5).sets((x, y), (x_test, y_test), {"random": "random"})][
        1
    ]
    assert not np.array_equal(first, other)
    gone = first == x.mean(0, dtype=np.float64).astype(np.float32)
    assert (gone.sum(1) == 5).all()


def test_training_elsewhere(data, least_squares, tmp_path) -> None:
    x, y, x_test, y_test = data
    orders = {"truth": (truth(N), truth(N)), "random": "random"}
    roar = ROAR(shares=(0.2, 0.5), instead=0.0)
    written = roar.write(tmp_path / "sets", (x, y), (x_test, y_test), orders)
    assert [p.relative_to(tmp_path / "sets").as_posix() for p in written] == [
        "original.npz", "truth/0.2.npz", "truth/0.5.npz", "random/0.2.npz", "random/0.5.npz",
    ]  # fmt: skip
    with pytest.raises(DataInputError, match=r"no model 'original\.onnx'"):
        roar.compare(tmp_path / "sets")
    for path in written:
        held = np.load(path)
        onnx.save(least_squares(held["x"], held["y"], 0), path.with_name(path.name[: -len(".npz")] + ".onnx"))
    found = roar.compare(tmp_path / "sets")
    direct = roar(least_squares, (x, y), (x_test, y_test), orders)
    assert found.accuracies.keys() == direct.accuracies.keys()
    for name in orders:
        np.testing.assert_allclose(found.accuracies[name], direct.accuracies[name], atol=0.006)
    onnx.save(least_squares(x, y, 0), tmp_path / "sets" / "original-1.onnx")
    with pytest.raises(DataInputError, match="from 1 to 2 models"):
        roar.compare(tmp_path / "sets")
    with pytest.raises(DataInputError, match="no file"):
        roar.compare(tmp_path / "nothing")


def test_accuracy(models) -> None:
    x = models.random(30, 5)
    scores = ox.Explainer(models.mlp()).predict(x)["y"]
    y = scores.argmax(1)
    y[:6] = (y[:6] + 1) % 3
    for model in (models.mlp(), ox.Explainer(models.mlp()), lambda rows: np.zeros(len(rows))):
        expected = (y == 0).mean() if callable(model) and not isinstance(model, ox.Explainer) else 0.8
        assert accuracy(model, x, y) == pytest.approx(expected)
    with pytest.raises(DataInputError, match=r"gives \(30, 1\) for 30 samples"):
        accuracy(models.single(), models.random(30, 4), y)


def test_what_does_not_fit_is_told(data, least_squares) -> None:
    x, y, x_test, y_test = data
    roar = ROAR()

    def fails(error: type[Exception], match: str, train=(x, y), test=(x_test, y_test), **orders) -> None:
        with pytest.raises(error, match=match):
            roar(lambda *_: pytest.fail("trained"), train, test, orders)

    fails(DataInputError, "no order")
    fails(DataInputError, r"inputs \(400, 10\) and classes \(399,\)", train=(x, y[1:]), a="random")
    fails(DataInputError, r"test samples \(9,\)", test=(x_test[:, 1:], y_test), a="random")
    fails(DataInputError, r"attributions have shape \(400, 9\)", a=(truth(N)[:, 1:], truth(N)))
    fails(DataInputError, "training and of the test", a=truth(N))
    fails(DataInputError, "NaN", a=(truth(N), truth(N) * np.nan))
    fails(MethodError, "no order 'best'", a="best")
    fails(MethodError, "cannot name", **{"a/b": "random"})
    fails(MethodError, "cannot name", original="random")
    for shares in ((), (0.5, 0.2), (0.0, 0.5), (0.5, 0.5), (1.5,)):
        with pytest.raises(MethodError, match="shares"):
            ROAR(shares=shares)
    with pytest.raises(MethodError, match="n_runs"):
        ROAR(n_runs=0)
    with pytest.raises(DataInputError, match="instead has shape"):
        perturbed(x, truth(N), 0.5, np.zeros(3))
    with pytest.raises(DataInputError, match="features are replaced in numbers"):
        perturbed(np.full((3, 2), "a"), np.zeros((3, 2)), 0.5, 0)
