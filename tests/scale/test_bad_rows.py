"""Rows that cannot be explained: an error in their place, and the others as if they were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gathered import gathered

import onnxplain as ox
from onnxplain.errors import DataInputError, OnnxplainError, RuntimeUnavailableError
from onnxplain.scale import explain_files

HEADER = "a,b,c,d,e,key"
CELLS = ["0.1,0.2,0.3,0.4,0.5,k"] * 20
BAD = {
    3: ("0.1,abc,0.3,0.4,0.5,k", r"line 5, column 'b'"),
    8: ("0.1,0.3,0.4,0.5,k", "5 cells, but the header has 6"),
    9: (b"0.1,0.2,0.3,0.4,\xff,k", "no text in UTF-8"),
    19: ("0.1,0.2,0.3,0.4,0.5,k,more", "7 cells"),
}


@pytest.fixture
def spoilt(models: Any, tmp_path: Path) -> tuple[Path, Path]:
    model, data = tmp_path / "mlp.onnx", tmp_path / "t.csv"
    onnx.save(models.mlp(), model)
    rows: list[Any] = list(CELLS)
    for row, (cells, _) in BAD.items():
        rows[row] = cells
    lines = [HEADER, *rows]
    data.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return data, model


@pytest.mark.parametrize("form", ["npz", "parquet"])
@pytest.mark.parametrize("rows_a_part", [1, 6, 50])
def test_only_bad_rows_fail(spoilt: Any, tmp_path: Path, rows_a_part: int, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    data, model = spoilt
    asking = {"ids": ["key"], "rows_a_part": rows_a_part, "form": form}
    done = explain_files(data, model, tmp_path / "out", "saliency", **asking)
    found = gathered(tmp_path / "out")
    assert (done.explained, done.failed) == (20, len(BAD))
    x = np.tile(np.asarray([[0.1, 0.2, 0.3, 0.4, 0.5]], np.float32), (20, 1))
    asked = ox.Explainer(model)(x, "predicted", "saliency")
    good = np.asarray([row not in BAD for row in range(20)])
    np.testing.assert_allclose(found["attribution/x"][good], asked.values[good], rtol=1e-5)
    assert np.isnan(found["attribution/x"][~good]).all()
    assert (found["target"][~good] == -1).all()
    for row, (_, words) in BAD.items():
        assert found["error"][row].startswith("DataInputError: ")
        assert words in found["error"][row], found["error"][row]
    assert not any(found["error"][good])


def test_strict(spoilt: Any, tmp_path: Path) -> None:
    data, model = spoilt
    with pytest.raises(DataInputError, match=r"source t.csv, row 3: .*line 5, column 'b'"):
        explain_files(
            data, model, tmp_path / "out", "saliency", ids=["key"], form="npz", rows_a_part=2, strict=True
        )
    assert len(list((tmp_path / "out").glob("part-*"))) == 1  # what was done before it stays


def test_retry(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tmp_path / "mlp.onnx", tmp_path / "x.npy"
    onnx.save(models.mlp(), model)
    np.save(data, models.random(12, 5))
    asking = {"method": "saliency", "form": "npz", "rows_a_part": 3}
    plain, refused = ox.Explainer.__call__, {6, 7}

    def shaky(self: Any, inputs: Any, *given: Any, **more: Any) -> Any:
        if {tuple(r) for r in inputs["x"]} & {tuple(models.random(12, 5)[r]) for r in refused}:
            raise ox.errors.ModelRunError("out of memory")
        return plain(self, inputs, *given, **more)

    monkeypatch.setattr(ox.Explainer, "__call__", shaky)
    assert explain_files(data, model, tmp_path / "out", **asking).failed == 2
    assert explain_files(data, model, tmp_path / "out", **asking).explained == 0
    refused.clear()
    done = explain_files(data, model, tmp_path / "out", retry=True, **asking)
    assert (done.explained, done.failed, done.kept) == (3, 0, 3)
    assert not any(gathered(tmp_path / "out")["error"])


def test_what_no_row_is_to_blame_for_ends_the_run(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", models.random(12, 5))
    plain, calls = ox.Explainer.__call__, []

    def gone(self: Any, *given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeUnavailableError("the GPU is gone")
        return plain(self, *given, **more)

    monkeypatch.setattr(ox.Explainer, "__call__", gone)
    with pytest.raises(RuntimeUnavailableError, match="the GPU is gone"):
        explain_files(
            tmp_path / "x.npy", models.mlp(), tmp_path / "out", "saliency", form="npz", rows_a_part=4
        )
    assert len(list((tmp_path / "out").glob("part-*"))) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b,c,d,e\n", "has no rows"),
        (b"a,b,c,d,a\n1,2,3,4,5\n", "two columns are called 'a'"),
        (b"a,b,c\n1,2,3\n", "5 columns"),
        (b"a,b,c,d,e\n" + b"x,x,x,x,x\n" * 20, "line 2, column 'a'"),
        (b'a,b,c,d,e\n1,2,3,4,5\n1,"2"x,3,4,5\n', "line 3 cannot be read as CSV"),
        (b'a,b,c,d,"e\n', "no names of columns"),
        (b"\xff\xfe\n", "no names of columns"),
    ],
)
def test_tables_that_are_none(models: Any, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(OnnxplainError, match=words):
        explain_files(tmp_path / "t.csv", models.mlp(), tmp_path / "out", "saliency", form="npz")
    assert not list((tmp_path / "out").glob("*"))


def test_bad_images(pictures: Any, tmp_path: Path) -> None:
    data, model, _ = pictures
    (data / "0/2.png").write_bytes(b"no image")
    done = explain_files(data, model, tmp_path / "out", "saliency", form="npz")
    found = gathered(tmp_path / "out")
    assert (done.rows, done.failed) == (5, 1)
    assert "cannot be read as an image" in found["error"][1]
    assert np.isfinite(found["attribution/x"][[0, 2, 3, 4]]).all()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"no array"])
def test_bad_arrays(models: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataInputError, match="cannot be read as a NumPy array"):
        explain_files(tmp_path / "x.npy", models.mlp(), tmp_path / "out", "saliency", form="npz")


def test_arrays_that_end_early(numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(DataInputError, match="ends before its array does"):
        explain_files(data, model, tmp_path / "out", "saliency", form="npz")


def test_several_kinds(numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    folder = tmp_path / "all"
    folder.mkdir()
    data.rename(folder / "x.npy")
    (folder / "labels.csv").write_text("a\n1\n")
    with pytest.raises(DataInputError, match=r"several kinds \(1 of csv, 1 of npy\)"):
        explain_files(folder, model, tmp_path / "out", "saliency", form="npz")
    assert explain_files(folder, model, tmp_path / "out", "saliency", form="npz", kind="npy").rows == 23
