"""Saved attributions: every name survives, and a damaged file is one named error."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError

NAMES = (
    "x",
    "x.npy",
    "x.npy.npy",
    "a/b",
    "../up",
    "a\\b",
    "50%",
    "%41",
    "a\0b",
    "你好",
    "meta",
    " ",
    "A",
    "\x1b[31m",
)


def attribution(names: tuple[str, ...] = NAMES, n: int = 2) -> ox.Attribution:
    rng = np.random.default_rng(0)
    return ox.Attribution(
        arrays={name: rng.standard_normal((n, 3)).astype(np.float32) for name in names},
        inputs={name: rng.standard_normal((n, 3)).astype(np.float32) for name in names},
        target=np.arange(n).reshape(n, 1),
        score=rng.standard_normal(n),
        predictions=rng.standard_normal((n, 4)),
        delta=rng.standard_normal(n),
        reference=rng.standard_normal(n),
        method="Saliency()",
        output=("y", "z"),
        rule_table=(("a", "Relu", "pass"),),
        notes=("one", "two"),
        extras={"error": {name: rng.standard_normal(n) for name in names}, "ledger": np.arange(3.0)},
    )


def same(a: ox.Attribution, b: ox.Attribution) -> bool:
    def flat(one: ox.Attribution) -> dict[str, np.ndarray]:
        arrays = {("arrays", k): v for k, v in one.arrays.items()} | {
            ("in", k): v for k, v in one.inputs.items()
        }
        arrays |= {("error", k): v for k, v in one.extras["error"].items()}
        arrays |= {k: getattr(one, k) for k in ("target", "score", "predictions", "delta", "reference")}
        return arrays | {"ledger": one.extras["ledger"]}

    left, right = flat(a), flat(b)
    text = all(getattr(a, k) == getattr(b, k) for k in ("method", "output", "rule_table", "notes"))
    return (
        text
        and left.keys() == right.keys()
        and all(v.dtype == right[k].dtype and np.array_equal(v, right[k]) for k, v in left.items())
    )


def test_all_names_come_back(tmp_path) -> None:
    held = attribution()
    held.save(tmp_path / "a.npz")
    assert same(ox.Attribution.load(tmp_path / "a.npz"), held)


def test_inputs_that_differ_by_an_ending(models, tmp_path) -> None:
    model = models.make("m (float[N, 2] x, float[N, 2] x_npy) => (float[N, 2] y) { y = Sub(x, x_npy) }")
    model.graph.input[1].name = model.graph.node[0].input[1] = "x.npy"
    given = {"x": np.ones((1, 2), np.float32), "x.npy": np.full((1, 2), 5, np.float32)}
    found = ox.explain(model, given, 0, method="input_x_gradient")
    found.save(tmp_path / "a.npz")
    held = ox.Attribution.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(held.arrays["x"], [[1, 0]])
    np.testing.assert_array_equal(held.arrays["x.npy"], [[-5, 0]])
    np.testing.assert_array_equal(held.inputs["x.npy"], given["x.npy"])


def test_numpy_reads_plain_names(tmp_path) -> None:
    held = attribution(("x", "table"))
    held.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as content:
        np.testing.assert_array_equal(content["values/x"], held.arrays["x"])
        assert json.loads(str(content["meta"]))["method"] == "Saliency()"


def test_files_of_numpys_own_writer_are_read(tmp_path) -> None:
    held = attribution(("x",))
    held.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as content:
        np.savez_compressed(tmp_path / "b.npz", **{k: content[k] for k in content.files})
    assert same(ox.Attribution.load(tmp_path / "b.npz"), held)


@pytest.mark.parametrize("kind", ["flipped", "cut", "noise"])
def test_damaged_files(kind, tmp_path) -> None:
    """Flip a byte, cut, or overwrite a piece, 400 times: a named error, or what was saved."""
    held = attribution(("x", "x.npy"))
    path = tmp_path / "a.npz"
    held.save(path)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged, at = content.copy(), int(rng.integers(content.size))
        if kind == "flipped":
            damaged[at] ^= rng.integers(1, 256, dtype=np.uint8)
        elif kind == "cut":
            damaged = damaged[:at]
        else:
            piece = damaged[at : at + 16]
            piece[:] = rng.integers(0, 256, piece.size, dtype=np.uint8)
        path.write_bytes(damaged.tobytes())
        with suppress(DataInputError):
            refused += 1
            found = ox.Attribution.load(path)
            refused -= 1
            assert same(found, held)
    assert refused > 200


@pytest.mark.parametrize(
    "meta",
    [
        "[]",
        "3",
        "{",
        "{}",
        '{"method": 1}',
        '{"method": "a", "output": 3, "rule_table": [], "notes": []}',
        "[" * 9999,
    ],
)
def test_other_archives(meta, tmp_path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, meta=np.array(meta), target=1, score=1, predictions=1)
    with pytest.raises(DataInputError, match="no saved attribution"):
        ox.Attribution.load(path)


def test_a_header_that_claims_more_than_there_is(tmp_path) -> None:
    path = tmp_path / "a.npz"
    attribution(("x",)).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        header = str({"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1 << 10)}).ljust(117) + "\n"
        archive.writestr(
            "inputs/z.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        )
    with pytest.raises(DataInputError, match="ends before its array does"):
        ox.Attribution.load(path)
