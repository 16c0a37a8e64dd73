"""Tables on the command line: CSV and Parquet in, CSV, pictures and pages out."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import MODEL, failure, run
from table_models import ArrowTable, by_column, make, matrix

from onnxplain import Attribution
from onnxplain.data import diabetes_model_path
from onnxplain.table_files import MISSING

HEAD = "id,age,city,income,children\n"
TABLE = HEAD + 'p0,30,Rome,1,1\np1,40,"Oslo, or so",,2\n'
METHOD = ("--method", "feature_ablation")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(by_column(), "people.onnx")
    onnx.save(matrix(), "matrix.onnx")
    Path("t.csv").write_text(TABLE)
    return tmp_path


def rows_of(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="") as held:
        return list(csv.DictReader(held))


def test_one_row_for_each(here: Path) -> None:
    outs = ["-o", "why.csv", "-o", "why.html", "-o", "why.png", "-o", "why.npz"]
    result = run("explain", "people.onnx", "t.csv", *METHOD, "--id", "id", *outs)
    assert "rows         2" in result.stdout
    assert rows_of("why.csv") == [
        {"id": "p0", "prediction": "37.0", "score": "37.0", "age": "30.0", "income": "1.0", "city": "5.0",
         "children": "1.0"},
        {"id": "p1", "prediction": "52.0", "score": "52.0", "age": "40.0", "income": "10.0", "city": "0.0",
         "children": "2.0"},
    ]  # fmt: skip
    page = Path("why.html").read_text()
    assert "t.csv: all 2 rows" in page
    assert "t.csv, p1" in page
    assert Path("why.png").stat().st_size > 3000
    held = Attribution.load("why.npz")
    assert held.inputs["city"][1, 0] == "Oslo, or so"
    assert np.isnan(held.inputs["income"][1, 0])


def test_a_background_in_a_file_may_have_more_columns(here: Path) -> None:
    Path("train.csv").write_text("churn,children,income,age,city\nyes,0,0,30,Oslo\nno,0,2,40,Rome\n")
    result = run(
        "explain", "people.onnx", "t.csv", *METHOD, "--id", "id", "--background", "train.csv", "-o", "why.csv"
    )
    assert "left out     churn of train.csv" in result.stdout
    first = rows_of("why.csv")[0]
    assert [float(first[k]) for k in ("age", "income", "city", "children")] == [-5, 0, 2.5, 1]


def test_a_matrix_and_names(here: Path) -> None:
    Path("m.tsv").write_text("c\ta\tb\n1\t2\t3\n")
    Path("names.txt").write_text("a\nb\nc\n")
    run(
        "explain",
        "matrix.onnx",
        "m.tsv",
        "-m",
        "ig",
        "--names",
        "names.txt",
        "-o",
        "why.csv",
        "-o",
        "why.png",
    )
    (row,) = rows_of("why.csv")
    assert list(row) == ["prediction", "score", "base", "a", "b", "c"]
    assert [round(float(v), 4) for v in row.values()] == [11, 11, 0, 2, 6, 3]
    run("explain", "matrix.onnx", "m.tsv", "-m", "ig", "-o", "why.csv", "-q")
    assert [round(float(v), 4) for v in rows_of("why.csv")[0].values()] == [14, 14, 0, 1, 4, 9]
    np.save("rows.npy", np.ones((4, 3), np.float32))
    run("explain", "matrix.onnx", "m.tsv", "-m", "ig", "--background", "rows.npy", "-o", "why.csv", "-q")
    assert float(rows_of("why.csv")[0]["base"]) == pytest.approx(6)


def test_classes_have_names_and_taken_names_give_way(here: Path) -> None:
    onnx.save(
        make("m (float[N, 2] x) => (float[N, 2] y) { y = Gemm(x, w) }", w=[[1.0, 0.0], [0.0, 1.0]]),
        "two.onnx",
    )
    Path("s.csv").write_text("score;prediction\n1;2\n4;3\n")
    Path("labels.txt").write_text("low\nhigh\n")
    run("explain", "two.onnx", "s.csv", *METHOD, "--labels", "labels.txt", "-o", "why.csv")
    rows = rows_of("why.csv")
    assert list(rows[0]) == ["prediction_", "explained", "score_", "score", "prediction"]
    assert [r["prediction_"] for r in rows] == ["high", "low"]
    assert [r["explained"] for r in rows] == ["1 high", "0 low"]
    assert [float(r["score_"]) for r in rows] == [2, 4]


@pytest.mark.parametrize("word", [*MISSING, "NaN", "N/A", " "])
def test_words_for_what_is_missing(word: str, here: Path) -> None:
    Path("t.csv").write_text(f"{HEAD}p0,30,Rome,{word},1\n".replace("id,", "").replace("p0,", ""))
    run("explain", "people.onnx", "t.csv", *METHOD, "-q", "-o", "why.csv")
    assert rows_of("why.csv")[0]["income"] == "10.0"


def test_true_and_false_are_numbers_and_texts_stay(here: Path) -> None:
    Path("t.csv").write_text("age,city,income,children\ntrue,Rome,FALSE,1\n\nfalse,NA,true,1\n")
    run("explain", "people.onnx", "t.csv", *METHOD, "-q", "-o", "why.npz")
    held = Attribution.load("why.npz")
    assert held.inputs["age"][:, 0].tolist() == [1, 0]
    assert held.inputs["city"][:, 0].tolist() == ["Rome", "NA"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (TABLE, (), "the model has no column 'id'; .* are named with --id"),
        (TABLE, ("--id", "ident"), "--id ident: 't.csv' has no such column; it has id, age"),
        (TABLE.replace("40", "old"), ("--id", "id"), "'t.csv', line 3, column 'age': 'old' is no number"),
        (TABLE.replace(",2\n", ",\n"), ("--id", "id"), "line 3, column 'children': the cell is empty"),
        (TABLE.replace(",2\n", ",2.5\n"), ("--id", "id"), "line 3, column 'children': '2.5' is not whole"),
        (TABLE.replace(",2\n", "\n"), ("--id", "id"), "'t.csv', line 3: 4 cells, but the header has 5"),
        (HEAD, ("--id", "id"), "no rows below its header"),
        ("", (), "no rows below its header"),
        ("a,a\n1,2\n", (), "two columns are called 'a'"),
        (HEAD.replace("age", "Age") + "p,1,x,2,3\n", ("--id", "id"), "lacks column 'age' .*'Age'"),
        (TABLE, ("--id", "id", "--scale", "1"), "--scale: for images only; .csv files"),
        (TABLE, ("--id", "id", "--baseline", "0", "--background", "t.csv"), "keep one of them"),
        (TABLE, ("--id", "id", "--background", "no.csv"), "no.csv"),
        (TABLE, ("--id", "id", "--background", "people.onnx"), "give a table"),
        (b"age\n\xff\n", (), "no text in UTF-8"),
        ('a\n"x\n', (), "cannot be read as CSV"),
    ],
)  # fmt: skip
def test_errors_name_the_line_and_the_column(content: Any, options: Any, message: str, here: Path) -> None:
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    import re

    said = failure("explain", "people.onnx", "t.csv", *METHOD, *options, "-o", "why.csv")
    assert re.search(message, said), said
    assert not Path("why.csv").exists()


def test_a_background_that_lacks_a_column(here: Path) -> None:
    Path("train.csv").write_text("age,city\n1,x\n")
    said = failure("explain", "people.onnx", "t.csv", *METHOD, "--id", "id", "--background", "train.csv")
    assert "--background 'train.csv' lacks column 'income'; it has age, city" in said


def test_what_is_for_tables_only(here: Path) -> None:
    np.save("x.npy", np.zeros((1, 1, 28, 28), np.float32))
    assert "--id a: for tables only" in failure("explain", MODEL, "x.npy", "--id", "a")
    assert "but INPUT is none" in failure("explain", MODEL, "x.npy", "--background", "t.csv")
    assert "are no table" in failure("explain", MODEL, "x.npy", "-q", "-m", "saliency", "-o", "why.csv")


def test_arrays_of_columns_are_written_by_row_too(here: Path) -> None:
    np.save("x.npy", np.ones((2, 3), np.float32))
    run("explain", "matrix.onnx", "x.npy", "-m", "ig", "-o", "why.csv")
    assert list(rows_of("why.csv")[0])[-3:] == ["feature 0", "feature 1", "feature 2"]


def stand_in(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    module = ModuleType("pyarrow.parquet")
    module.read_table = read
    monkeypatch.setitem(sys.modules, "pyarrow", ModuleType("pyarrow"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", module)


def test_parquet_through_a_stand_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.parquet").write_bytes(b"PAR1")
    held = {
        "id": [1, 2], "age": [30, 40], "income": [1.0, np.nan], "children": [1, 2],
        "city": np.array(["Rome", None], object),
    }  # fmt: skip
    stand_in(monkeypatch, lambda path: ArrowTable(held))
    run("explain", "people.onnx", "t.parquet", *METHOD, "--id", "id", "-o", "why.csv", "-q")
    assert [r["city"] for r in rows_of("why.csv")] == ["5.0", "0.0"]
    assert [r["id"] for r in rows_of("why.csv")] == ["1", "2"]

    def damaged(path: Path) -> None:
        raise RuntimeError("no magic")

    stand_in(monkeypatch, damaged)
    said = failure("explain", "people.onnx", "t.parquet", *METHOD)
    assert "'t.parquet' cannot be read as Parquet (no magic)" in said


def test_parquet_needs_pyarrow(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "needs the package pyarrow" in failure("explain", "people.onnx", "t.parquet", *METHOD)


def test_parquet_itself(here: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {"age": [30], "income": arrow.array([None], arrow.float64()), "children": [1], "city": ["Rome"]}
    )
    parquet.write_table(table, "t.parquet")
    run("explain", "people.onnx", "t.parquet", *METHOD, "-o", "why.csv", "-q")
    assert rows_of("why.csv")[0]["income"] == "10.0"
    Path("t.parquet").write_bytes(b"PAR1 no")
    assert "cannot be read as Parquet" in failure("explain", "people.onnx", "t.parquet", *METHOD)


def test_the_built_in_table_as_a_newcomer_types_it(here: Path) -> None:
    """Without a method: trees are found, and explained exactly; what matters is said at once."""
    model = diabetes_model_path()
    table, train = (str(model.with_name(name)) for name in ("diabetes.csv", "diabetes_train.csv"))
    command = ("explain", str(model), table, "--background", train, "--id", "progression")
    said = run(*command, "-o", "why.csv").stdout
    assert "method auto chose tree_shap" in said
    assert re.search(r"columns +bmi [\d.]+, log_triglycerides [\d.]+, .* and 6 more \(mean size\)", said)
    rows = rows_of("why.csv")
    assert list(rows[0])[:4] == ["progression", "prediction", "score", "base"]
    assert len(rows) == 40
    for row in rows:
        score, base, *values = map(float, list(row.values())[2:])
        assert abs(base + sum(values) - score) < 1e-4  # the score is as short as float32 may be written
    Path("less.csv").write_text("sex,bmi\nfirst,20\n")
    told = failure("explain", str(model), "less.csv")
    assert "lacks columns 'age', 'blood_pressure'" in told
    assert "the model takes age, sex, bmi" in told
