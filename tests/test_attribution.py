"""Saved attributions: every name survives, and a damaged file is one named error."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.checks import Completeness, Conservation, StandardError, Unchecked
from onnxplain.errors import DataInputError, OutputError
from onnxplain.json_arrays import read_json, write_json
from onnxplain.written import WrittenMethod

GOLDEN = Path(__file__).with_name("golden") / "results"
every_ending = pytest.mark.parametrize("ending", [".npz", ".json"])

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
        check=Completeness(rng.standard_normal(n), rng.standard_normal(n)),
        method=ox.IntegratedGradients(n_steps=7),
        output=("y", "z"),
        rule_table=(("a", "Relu", "pass"),),
        notes=("one", "two"),
        extras={"error": {name: rng.standard_normal(n) for name in names}, "ledger": np.arange(3.0)},
        model_hash="ab" * 32,
        seed=2**64 - 1,
        versions={"onnxplain": "0"},
        feature_names=dict.fromkeys(names, ("one", "two", "\udc80")),
        sample_axes=dict.fromkeys(names, 0),
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
    facts = (
        "method", "output", "rule_table", "notes", "model_hash", "seed", "versions", "feature_names",
        "sample_axes",
    )  # fmt: skip
    text = all(getattr(a, k) == getattr(b, k) for k in facts) and type(a.check) is type(b.check)
    return (
        text
        and left.keys() == right.keys()
        and all(v.dtype == right[k].dtype and np.array_equal(v, right[k]) for k, v in left.items())
    )


@every_ending
def test_all_names_come_back(ending, tmp_path) -> None:
    held = attribution()
    held.save(tmp_path / f"a{ending}")
    assert same(ox.Attribution.load(tmp_path / f"a{ending}"), held)


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
        assert json.loads(str(content["meta"]))["method"] == repr(held.method)


def test_files_of_numpys_own_writer_are_read(tmp_path) -> None:
    held = attribution(("x",))
    held.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as content:
        np.savez_compressed(tmp_path / "b.npz", **{k: content[k] for k in content.files})
    assert same(ox.Attribution.load(tmp_path / "b.npz"), held)


@every_ending
@pytest.mark.parametrize("kind", ["flipped", "cut", "noise"])
def test_damaged_files(kind, ending, tmp_path) -> None:
    """Flip a byte, cut, or overwrite a piece, 400 times: a named error, or what was saved."""
    held = attribution(("x", "x.npy"))
    path = tmp_path / f"a{ending}"
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


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("integrated_gradients", Completeness),
        ("lrp", Conservation),
        ("smooth_grad", StandardError),
        ("saliency", Unchecked),
    ],
)
def test_files_of_the_first_form_are_read(name, check, models) -> None:
    """As they were written when a method was its text, and a sum two arrays."""
    held = ox.Attribution.load(GOLDEN / f"{name}.npz")
    assert type(held.check) is check
    assert isinstance(held.method, WrittenMethod)
    now = ox.explain(models.mlp(), models.random(2, 5), 1, method=eval(held.method, vars(ox)))
    assert type(now.check) is check
    np.testing.assert_allclose(held.values, now.values, atol=1e-5)
    for one in ("delta", "reference"):
        if getattr(now, one) is not None:
            np.testing.assert_allclose(getattr(held, one), getattr(now, one), atol=1e-5)
    if check is StandardError:
        np.testing.assert_allclose(held.check.relative_error, now.check.relative_error, rtol=1e-4)


@every_ending
@pytest.mark.parametrize(
    "method",
    [
        ox.SmoothGrad(ox.LRP("epsilon_plus", zero_params=("bias",)), n_samples=3, seed=2**64 - 1),
        ox.SmoothGrad(ox.IntegratedGradients(n_steps=3), n_samples=2, stdevs=0.1),
        ox.LRP("epsilon_gamma_box", low=(-1.0, 0.5), high=2.0),
    ],
    ids=str,
)
def test_methods_come_back(method, ending, tmp_path) -> None:
    replace(attribution(("x",)), method=method).save(tmp_path / f"a{ending}")
    held = ox.Attribution.load(tmp_path / f"a{ending}")
    assert held.method == method
    assert type(held.method) is type(method)


def composite_file(folder: Path) -> str:
    path = folder / "mine.toml"
    path.write_text('name = "mine"\n[[rules]]\nrule = "epsilon"\n')
    return str(path)


@every_ending
@pytest.mark.parametrize("kind", ["function", "file", "composite", "inside another", "text"])
def test_methods_that_a_file_cannot_hold_come_back_as_written(kind, ending, tmp_path) -> None:
    file = composite_file(tmp_path)
    method = {
        "function": lambda: ox.LRP(epsilon=lambda op, z: z),
        "file": lambda: ox.LRP(file),
        "composite": lambda: ox.LRP(ox.Composite("mine", ((ox.Match(), ox.rule("epsilon")),))),
        "inside another": lambda: ox.SmoothGrad(ox.LRP(file), n_samples=2),
        "text": lambda: WrittenMethod("Gone(by=3)"),
    }[kind]()
    found = replace(attribution(("x",)), method=method)
    for _ in range(2):  # and so they do when they are saved again
        found.save(tmp_path / f"a{ending}")
        found = ox.Attribution.load(tmp_path / f"a{ending}")
        assert isinstance(found.method, WrittenMethod)
        assert found.method == repr(method) == repr(found.method)
        assert repr(found).startswith(f"Attribution({method!r}: x")


def test_a_file_of_results_opens_no_other_file(tmp_path, monkeypatch) -> None:
    file = composite_file(tmp_path)
    replace(attribution(("x",)), method=ox.LRP(file)).save(tmp_path / "a.json")
    opened = []
    monkeypatch.setattr("onnxplain.methods.relevance.preset", lambda name, **_: opened.append(name))
    ox.Attribution.load(tmp_path / "a.json")
    assert not opened


@pytest.mark.parametrize(
    "made",
    [
        {"name": "gone", "parameters": {}},
        {"name": ["saliency"], "parameters": {}},
        {"name": "saliency", "parameters": {"abs": "yes"}},
        {"name": "saliency", "parameters": {"gone": 1}},
        {"name": "saliency", "parameters": 3},
        {"name": "lrp", "parameters": {"composite": ["zero"]}},
        {"name": "saliency"},
        {"name": "saliency", "parameters": {"abs": False}},  # is not what was written
        3,
    ],
)
def test_descriptions_that_make_no_method(made, tmp_path) -> None:
    attribution(("x",)).save(tmp_path / "a.json")
    meta, arrays = read_json(tmp_path / "a.json", "file")
    write_json(tmp_path / "a.json", {**meta, "method": "Saliency(abs=True)", "made": made}, arrays)
    held = ox.Attribution.load(tmp_path / "a.json")
    assert isinstance(held.method, WrittenMethod)
    assert held.method == "Saliency(abs=True)"


@every_ending
def test_standard_errors_are_saved_once(ending, models, tmp_path) -> None:
    found = ox.explain(models.mlp(), models.random(2, 5), 1, method=ox.SmoothGrad(n_samples=3))
    found.save(tmp_path / f"a{ending}")
    held = ox.Attribution.load(tmp_path / f"a{ending}")
    assert held.check.errors["x"] is held.extras["standard_error"]["x"]
    np.testing.assert_array_equal(held.check.errors["x"], found.check.errors["x"])
    replace(found, extras={}).save(tmp_path / f"a{ending}")
    apart = ox.Attribution.load(tmp_path / f"a{ending}")
    assert not apart.extras
    np.testing.assert_array_equal(apart.check.errors["x"], found.check.errors["x"])
    np.testing.assert_array_equal(apart.check.norms, found.check.norms)


@pytest.mark.parametrize(
    "dtype", "bool int8 int64 uint64 float16 float32 float64 U".split()
)  # fmt: skip
def test_arrays_come_back_from_json_bit_by_bit(dtype, tmp_path) -> None:
    if dtype == "U":
        arrays = {"a": np.array([["", "\udc80"], ["ab", "\0c"]]), "b": np.array("one")}
    elif dtype.startswith("float"):
        width = np.dtype(dtype).itemsize
        drawn = np.random.default_rng(0).integers(0, 256, 4096 * width, np.uint8).view(dtype)
        special = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal], dtype)
        arrays = {"a": np.where(np.isnan(drawn), dtype_nan(dtype), drawn).reshape(4, -1), "b": special}
    else:
        limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        arrays = {"a": np.array([limits], dtype), "b": np.array(limits[1], dtype)}
    arrays["none"] = np.zeros((0, 3), dtype)
    write_json(tmp_path / "a.json", {}, arrays)
    json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)  # JSON as the standard has it
    _, held = read_json(tmp_path / "a.json", "file")
    assert held.keys() == arrays.keys()
    for name, array in arrays.items():
        assert held[name].shape == array.shape
        assert held[name].dtype == array.dtype
        assert held[name].tobytes() == array.tobytes()


def dtype_nan(dtype: str) -> np.ndarray:
    return np.array(np.nan, dtype)


def test_json_of_other_arrays_is_refused(tmp_path) -> None:
    found = replace(attribution(("x",)), predictions=np.zeros((2, 3), np.complex64))
    with pytest.raises(OutputError, match=r"'predictions'.*complex64.*\.npz"):
        found.save(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"float64"', '"object"'),
        ('"float64"', '"V999999999"'),
        ('"shape": [2, 3]', '"shape": [9, 9]'),
        ('"uint64"', '"uint8"'),
        ('"check": "completeness"', '"check": "promise"'),
        ('"arrays"', '"array"'),
    ],
)
def test_json_that_says_something_else(old, new, tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.json"
    held = attribution(("x",))
    replace(held, extras={"n": np.array([300], np.uint64)}).save(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataInputError, match="content is not what was written"):
        ox.Attribution.load(path)
    monkeypatch.setattr("onnxplain.json_arrays._digest", lambda content: json.loads(text)["digest"])
    with pytest.raises(DataInputError, match=r"a\.json"):
        ox.Attribution.load(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"digest": 1}', '{"digest": NaN}', "[" * 99999, "\xe9"]
)
def test_other_json(text, tmp_path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataInputError, match=r"cannot be read as JSON.*Attribution\.save"):
        ox.Attribution.load(tmp_path / "a.json")


def test_results_of_calls_are_made_like_others(models) -> None:
    found = ox.Explainer(models.mlp())(models.random(2, 5), 0, "saliency", feature_names=list("abcde"))
    assert list(vars(found)) == [f.name for f in fields(ox.Attribution)]
    assert found.feature_names == {"x": (tuple("abcde"),)}
    again = replace(found)
    assert repr(again) == repr(found)
    assert all(vars(again)[k] is v or k == "feature_names" for k, v in vars(found).items())
    with pytest.raises(FrozenInstanceError):
        found.score = again.score


def test_names_of_features() -> None:
    held = attribution(("x",))
    assert held.feature_names == {"x": (("one", "two", "\udc80"),)}
    assert replace(held, feature_names={"x": [["a", "b", "c"]]}).feature_names == {"x": (("a", "b", "c"),)}
    assert replace(held, feature_names={"x": [None]}).feature_names == {"x": (None,)}
    assert replace(held, feature_names=None).feature_names is None
    wide = replace(
        held,
        arrays={"x": np.zeros((3, 5, 2))},
        sample_axes={"x": 2},
        feature_names={"x": [None, list("abcde")]},
    )
    assert wide.feature_names == {"x": (None, tuple("abcde"))}
    for wrong in (("a", "b"), "abc", 3, (("a",),), (None, None), [3]):
        with pytest.raises(DataInputError, match="feature_names of 'x'"):
            replace(held, feature_names={"x": wrong})
    with pytest.raises(DataInputError, match="'z', which was not explained"):
        replace(held, feature_names={"z": ("a", "b", "c")})


def test_only_endings_that_load_reads_are_written(tmp_path) -> None:
    held = attribution(("x",))
    held.save(tmp_path / "plain")
    assert same(ox.Attribution.load(tmp_path / "plain"), held)
    for ending in (".csv", ".png", ".npy"):
        with pytest.raises(OutputError, match=r"saved as \.npz or \.json"):
            held.save(tmp_path / f"a{ending}")
    assert [p.name for p in tmp_path.iterdir()] == ["plain"]
