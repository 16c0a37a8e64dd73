"""Files of every form, cut anywhere: the rows are those that are written, in order, each once."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gathered import gathered
from hypothesis import given, settings
from hypothesis import strategies as st

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionalDependencyError
from onnxplain.graph.interface import InputInfo
from onnxplain.scale import explain_files, read_parts
from onnxplain.scale.forms.columns import Roles
from onnxplain.scale.forms.csv_files import CsvFiles
from onnxplain.scale.places import File, Place

ROLES = Roles((InputInfo("x", np.dtype("float32"), ("N", 1), "float", ("x",), True),), {}, ("text",))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=9), min_size=1
    ),
    st.integers(1, 7),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_csv_of_any_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, mark: str, end: str, bom: bool
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["text", "x"])
        for k, text in enumerate(texts):
            writer.writerow([text, k])
            if k % 3 == 0:
                file.write(end)  # empty lines are no rows
    place, form = Place.of(path), CsvFiles(ROLES)
    pieces = list(form.cut(place, place.files(), size))
    blocks = [form.read(place, pickle.loads(pickle.dumps(p))) for p in reversed(pieces)][::-1]
    assert [text for b in blocks for text in b.ids["text"]] == texts
    numbers = [b.take(list(range(p.count)))[0]["x"] for b, p in zip(blocks, pieces, strict=True)]
    assert np.concatenate(numbers).tolist() == list(range(len(texts)))
    assert [p.first for p in pieces] == list(range(0, len(texts), size))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_in_another_order(models: Any, tmp_path: Path, ending: str) -> None:
    """Without names they would go to the wrong places of the model."""
    data = tmp_path / "data"
    data.mkdir()
    x = models.random(2, 5, seed=3)
    for name, order in (("1", "abcde"), ("2", "edcba")):
        columns = {c: x[:, "abcde".index(c)] for c in order}
        if ending == "parquet":
            parquet_of(data / f"{name}.parquet", columns)
        else:
            rows = [",".join(order), *(",".join(map(str, r)) for r in zip(*columns.values(), strict=True))]
            (data / f"{name}.csv").write_text("\n".join(rows))
    asking = {"method": "saliency", "form": "npz", "kind": ending}
    with pytest.raises(DataInputError, match=r"'2\..* has its columns in another order than the first file"):
        explain_files(data, models.mlp(), tmp_path / "out", **asking)
    explain_files(data, models.mlp(), tmp_path / "out", feature_names=list("abcde"), **asking)
    found = gathered(tmp_path / "out")["attribution/x"]
    np.testing.assert_array_equal(found[:2], found[2:])


def test_keys_of_another_type(models: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, key in (("1", ["k"]), ("2", [3])):
        parquet_of(data / f"{name}.parquet", {"key": key, **{c: [1.0] for c in "abcde"}})
    with pytest.raises(DataInputError, match=r"column 'key' is int64, and string in the first file"):
        explain_files(data, models.mlp(), tmp_path / "out", "saliency", ids=["key"])


def parquet_of(path: Path, columns: dict[str, Any], group: int = 10) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


@pytest.mark.parametrize("rows_a_part", [3, 7, 10, 40])
def test_parquet(models: Any, tmp_path: Path, rows_a_part: int) -> None:
    x = models.random(34, 5, seed=3)
    columns = {"key": list(range(34)), **{name: x[:, k] for k, name in enumerate("abcde")}}
    data = parquet_of(tmp_path / "t.parquet", columns)
    explain_files(data, models.mlp(), tmp_path / "out", "lrp", ids=["key"], rows_a_part=rows_a_part)
    found = gathered(tmp_path / "out")
    asked = ox.explain(models.mlp(), x, "predicted", "lrp").values
    np.testing.assert_allclose(found["attribution/x"], asked, rtol=1e-4, atol=1e-6)
    assert found["row"].tolist() == found["key"].tolist() == list(range(34))


def test_parquet_of_arrays_and_of_types(models: Any, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    image, table = models.random(12, 2, 4, seed=3), models.random(12, 3, seed=4)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(image.ravel()), 8)  # laid out as the model says
    data = parquet_of(
        tmp_path / "t.parquet", {"image": flat, "table": list(table), "when": list(range(12))}, 5
    )
    out = tmp_path / "out"
    explain_files(
        data, models.two_inputs(), out, "integrated_gradients", ids=["when"], n_steps=5, rows_a_part=4
    )
    asked = ox.explain(models.two_inputs(), {"image": image, "table": table}, "predicted", n_steps=5)
    found = gathered(out)
    for name in ("image", "table"):
        np.testing.assert_allclose(found[f"attribution/{name}"], asked.values[name], rtol=1e-4, atol=1e-6)
    schema = pq.read_schema(out / "part-00000000.parquet")
    assert schema.field("attribution/image").type == pa.list_(pa.float32(), 8)
    assert schema.field("attribution/image").metadata == {b"shape": b"[2, 4]"}
    assert schema.field("prediction").type == pa.list_(pa.float32(), 2)
    told = {
        "source": "string",
        "row": "int64",
        "when": "int64",
        "target": "int64",
        "delta": "double",
        "error": "string",
    }
    assert {name: str(schema.field(name).type) for name in told} == told
    assert pq.read_table(out).num_rows == 12  # as one data set; what begins with _ is left


def test_arrays_of_different_lengths_are_bad_rows(models: Any, tmp_path: Path) -> None:
    rows = [[1.0] * 5, [1.0] * 5, [1.0] * 4, None, [2.0] * 5]
    data = parquet_of(tmp_path / "t.parquet", {"x": rows})
    done = explain_files(data, models.mlp(), tmp_path / "out", "saliency")
    found = gathered(tmp_path / "out")
    assert done.failed == 2
    assert [bool(e) for e in found["error"]] == [False, False, True, True, False]


def test_damaged_parquet(models: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataInputError, match="cannot be read as Parquet"):
        explain_files(tmp_path / "t.parquet", models.mlp(), tmp_path / "out", "saliency")


def test_behind_a_url(models: Any, tmp_path: Path, pictures: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    data, model, x = pictures
    store = fsspec.filesystem("memory")
    store.put(str(data), "/photos", recursive=True)
    try:
        asking = {"form": "npz", "rows_a_part": 2}
        done = explain_files("memory://photos", model, "memory://why", "saliency", **asking)
        assert (done.rows, done.failed) == (5, 0)
        parts = list(read_parts("memory://why"))
        asked = ox.explain(model, x, "predicted", "saliency").values
        got = np.concatenate([p["attribution/x"] for p in parts])
        np.testing.assert_allclose(got, asked, rtol=1e-4, atol=1e-6)
        assert explain_files("memory://photos", model, "memory://why", "saliency", **asking).kept == 3
        store.rm("/why/part-00000001.npz")
        assert explain_files("memory://photos", model, "memory://why", "saliency", **asking).explained == 2
        with pytest.raises(DataInputError, match="there is nothing at 'memory://other'"):
            explain_files("memory://other", model, "memory://why", "saliency")
    finally:
        store.rm("/photos", recursive=True)
        store.rm("/why", recursive=True)


@pytest.mark.parametrize("module", ["fsspec.core", "pyarrow"])
def test_packages_that_are_missing(
    models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    np.save(tmp_path / "x.npy", models.random(3, 5))
    monkeypatch.setitem(__import__("sys").modules, module, None)
    source = "s3://bucket/x" if module == "fsspec.core" else str(tmp_path / "x.npy")
    form = "npz" if module == "fsspec.core" else "parquet"
    with pytest.raises(OptionalDependencyError, match=r"pip install 'onnxplain\[parquet\]'"):
        explain_files(source, models.mlp(), tmp_path / "out", "saliency", form=form)


def test_hidden_files_are_left(tmp_path: Path) -> None:
    for name in ("a.npy", ".b.npy", "_c.npy", ".hidden/d.npy", "_more/e.npy", "below/f.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [f.name for f in Place.of(tmp_path).files()] == ["a.npy", "below/f.npy"]


def test_files_remember_when_they_changed(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"1234")
    (found,) = Place.of(tmp_path / "a.npy").files()
    assert found == File("a.npy", 4, str((tmp_path / "a.npy").stat().st_mtime_ns))
