"""A data set explained part by part: the same as the explainer, resumed, and nothing else put beside it."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gathered import gathered, same

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, OptionError, OutputError, TargetError
from onnxplain.scale import explain_files, running
from onnxplain.scale.worker import Worker

FORMS = ["npz", "parquet"]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


@pytest.mark.parametrize("rows_a_part", [1, 7, None])
def test_all_rows_as_the_explainer_says(numbers: Any, tmp_path: Path, form: str, rows_a_part: int) -> None:
    data, model, x = numbers
    done = explain_files(data, model, tmp_path / "out", rows_a_part=rows_a_part, form=form, n_steps=10)
    found = gathered(tmp_path / "out")
    asked = ox.Explainer(model)(x, "predicted", n_steps=10)
    np.testing.assert_allclose(found["attribution/x"], asked.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["prediction"], asked.predictions, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["target"], asked.target[:, 0])
    np.testing.assert_allclose(found["delta"], asked.delta, atol=1e-5)
    np.testing.assert_array_equal(found["row"], np.arange(len(x)))
    assert set(found["source"]) == {"x.npy"}
    assert not any(found["error"])
    assert (done.rows, done.explained, done.failed, done.kept) == (len(x), len(x), 0, 0)
    assert done.parts == (1 if rows_a_part is None else -(-len(x) // rows_a_part))


def test_images_of_folders(pictures: Any, tmp_path: Path, form: str) -> None:
    data, model, x = pictures
    explain_files(data, model, tmp_path / "out", "saliency", rows_a_part=2, form=form)
    found = gathered(tmp_path / "out")
    assert found["source"].tolist() == ["0/0.png", "0/2.png", "0/4.png", "1/1.png", "1/3.png"]
    assert found["row"].tolist() == [0] * 5
    asked = ox.Explainer(model)(x, "predicted", "saliency").values
    np.testing.assert_allclose(found["attribution/x"], asked, rtol=1e-4, atol=1e-6)


def test_tables_of_folders(table: Any, tmp_path: Path, form: str) -> None:
    data, model, x = table
    asking = {"ids": ["key"], "target_column": "class", "rows_a_part": 4, "form": form}
    explain_files(data, model, tmp_path / "out", "lrp", **asking)
    found = gathered(tmp_path / "out")
    targets = (np.arange(len(x)) % 3).tolist()
    asked = ox.Explainer(model)(x, targets, "lrp").values
    np.testing.assert_allclose(found["attribution/x"], asked, rtol=1e-5, atol=1e-6)
    assert found["target"].tolist() == targets
    assert found["key"].tolist() == [f'k"{k}\nof two lines' for k in range(len(x))]
    assert found["source"].tolist() == ["a.csv"] * 14 + ["below/b.csv"] * 9
    assert found["row"].tolist() == [*range(14), *range(9)]


def test_goes_on_where_it_ended(numbers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model, _ = numbers
    asking = {"method": "smooth_grad", "form": "npz", "rows_a_part": 3, "n_samples": 3}
    explain_files(data, model, tmp_path / "whole", **asking)
    plain, seen = Worker.__call__, []

    def stopped(self: Worker, number: int, piece: Any) -> Any:
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(number)
        return plain(self, number, piece)

    monkeypatch.setattr(Worker, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        explain_files(data, model, tmp_path / "out", **asking)
    monkeypatch.setattr(Worker, "__call__", plain)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    assert len(before) == 4
    assert not (tmp_path / "out/_summary.json").exists()
    (tmp_path / "out/part-00000001.npz").unlink()  # anywhere
    del asking["rows_a_part"]  # as it was
    done = explain_files(data, model, tmp_path / "out", **asking)
    assert (done.kept, done.parts, done.explained) == (3, 8, 23 - 9)
    same(tmp_path / "out", tmp_path / "whole")
    for name in before.keys() - {"part-00000001.npz"}:
        assert (tmp_path / "out" / name).stat().st_mtime_ns == before[name]
    assert json.loads((tmp_path / "out/_summary.json").read_text())["rows"] == 23
    assert explain_files(data, model, tmp_path / "out", **asking).explained == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "saliency"}, "another method"),
        ({"n_steps": 6}, "another method"),
        ({"target": 1}, "another target or option"),
        ({"baselines": np.ones((1, 5), np.float32)}, "another target or option"),
        ({"through_softmax": True}, "another target or option"),
        ({"form": "parquet"}, r"another form of parts \(npz, now parquet\)"),
        ({"rows_a_part": 4}, r"another number of rows a part \(5, now 4\)"),
    ],
)
def test_nothing_else_into_the_same_folder(
    numbers: Any, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    if change.get("form") == "parquet":
        pytest.importorskip("pyarrow")
    data, model, _ = numbers
    asking: dict[str, Any] = {"form": "npz", "rows_a_part": 5, "n_steps": 5}
    explain_files(data, model, tmp_path / "out", **asking)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    if change.get("method") == "saliency":
        del asking["n_steps"]
    with pytest.raises(OutputError, match=words):
        explain_files(data, model, tmp_path / "out", **{**asking, **change})
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_another_model_or_other_data(numbers: Any, models: Any, tmp_path: Path) -> None:
    data, model, x = numbers
    asking = {"form": "npz", "method": "saliency"}
    explain_files(data, model, tmp_path / "out", **asking)
    onnx.save(models.mlp(bias=False), tmp_path / "other.onnx")
    with pytest.raises(OutputError, match="another model"):
        explain_files(data, tmp_path / "other.onnx", tmp_path / "out", **asking)
    np.save(data, x + 1)
    os.utime(data, ns=(1, 1))
    with pytest.raises(OutputError, match="another data set"):
        explain_files(data, model, tmp_path / "out", **asking)


def test_damaged_folders(numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    asking = {"form": "npz", "method": "saliency"}
    explain_files(data, model, tmp_path / "out", **asking)
    manifest = tmp_path / "out/_manifest.json"
    manifest.write_text(manifest.read_text().replace('"npz"', '"npy"'))
    with pytest.raises(OutputError, match="its content is not what was written"):
        explain_files(data, model, tmp_path / "out", **asking)
    manifest.unlink()
    with pytest.raises(OutputError, match=r"holds parts, and no _manifest\.json"):
        explain_files(data, model, tmp_path / "out", **asking)


def test_what_a_killed_run_left_half_written_goes(numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    out = tmp_path / "out"
    out.mkdir()
    (out / ".00ff.part").write_bytes(b"half")
    os.utime(out / ".00ff.part", (1, 1))
    explain_files(data, model, out, "saliency", form="npz")
    assert sorted(p.name for p in out.iterdir()) == ["_manifest.json", "_summary.json", "part-00000000.npz"]


def test_data_that_change_meanwhile(numbers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model, x = numbers
    settle = running.settle

    def later(*given: Any) -> str:
        np.save(data, x[:, ::-1])
        os.utime(data, ns=(1, 1))
        return settle(*given)

    monkeypatch.setattr(running, "settle", later)
    with pytest.raises(DataInputError, match="has changed since the run began"):
        explain_files(data, model, tmp_path / "out", "saliency", form="npz")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"method": "magic"}, MethodError, "no method 'magic'"),
        ({"steps": 3}, MethodError, "does not take 'steps'"),
        ({"form": "orc"}, DataInputError, "no form 'orc'"),
        ({"kind": "cvs"}, DataInputError, "did you mean 'csv'"),
        ({"kind": "csv"}, DataInputError, r"holds no data \(.csv, .tsv\)"),
        ({"rows_a_part": 0}, OptionError, "rows_a_part is 0"),
        ({"target": 9}, TargetError, "9"),
        ({"target": [1, 2]}, TargetError, "target_column="),
        ({"target": 1, "target_column": "c"}, DataInputError, "both given"),
        ({"ids": ["key"]}, DataInputError, "ids is not for data of the kind npy"),
        ({"ids": "key"}, DataInputError, "give a list of names"),
        ({"images": {"size": (4, 4)}}, DataInputError, "images is not for"),
        ({"input": "y"}, DataInputError, "no input 'y'; it has x"),
        ({"source": "nowhere"}, DataInputError, "no file 'nowhere'"),
        ({"out": "x.npy"}, OutputError, "cannot make the folder"),
        ({"out": "."}, DataInputError, "would be read as data"),
        ({"method": "feature_permutation"}, DataInputError, "at least two samples"),
        ({"method": "auto", "baselines": np.zeros((3, 5))}, MethodError, "ox.Background"),
        ({"model": "none.onnx"}, ox.errors.ModelNotFoundError, "none.onnx"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(
    numbers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, error: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = "." if change.get("out") == "." else "x.npy"
    asking = {"source": source, "model": "mlp.onnx", "out": "out", "form": "npz", **change}
    with pytest.raises(error, match=words):
        explain_files(**asking)
    assert not list(tmp_path.glob("out/*"))


def test_rows_that_touch_one_another_are_refused(models: Any, tmp_path: Path) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[1, 3] y) { y = ReduceMean<keepdims = 1>(x, zero) }", zero=np.array([0])
    )
    np.save(tmp_path / "x.npy", models.random(4, 3))
    with pytest.raises(DataInputError, match="touch one another"):
        explain_files(tmp_path / "x.npy", model, tmp_path / "out", "saliency", form="npz")


def test_an_explainer_that_is_made_already(numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    explainer = ox.Explainer(model, threads=1)
    with pytest.raises(MethodError, match="memory_budget: the explainer is made already"):
        explain_files(data, explainer, tmp_path / "out", form="npz", memory_budget=1 << 20)
    assert explain_files(data, explainer, tmp_path / "out", "saliency", form="npz").explained == 23


def test_jobs_travel(numbers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What workers elsewhere are given gives the same there."""
    data, model, _ = numbers
    explain_files(data, model, tmp_path / "out", "lrp", form="npz", rows_a_part=9)
    plain = Worker.__call__
    monkeypatch.setattr(
        Worker,
        "__call__",
        lambda self, *given: plain(Worker(*pickle.loads(pickle.dumps((self.explainer, self.job)))), *given),
    )
    explain_files(data, model, tmp_path / "other", "lrp", form="npz", rows_a_part=9)
    same(tmp_path / "out", tmp_path / "other")
