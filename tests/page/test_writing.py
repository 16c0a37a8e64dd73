"""A site as it is written: its files, what they are made of, and what is refused before that."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import MODEL, failure, run
from PIL import Image

import onnxplain as ox
from onnxplain.data import diabetes_background, diabetes_model_path, diabetes_rows, digits_model_path
from onnxplain.errors import (
    CheckFailedError,
    DataInputError,
    MethodError,
    NotExplainableError,
    OptionalDependencyError,
    OutputError,
    TargetError,
)
from onnxplain.page import offers, write_page, writing
from onnxplain.page.pieces import cut
from onnxplain.page.runtime import FILES, find_runtime


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """Stands for onnxruntime-web, which only a browser needs."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    (folder / "dist").mkdir()
    for name in FILES:
        (folder / "dist" / name).write_text(name)
    (folder / "package.json").write_text('{"version": "9.8.7"}')
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a_grey_one.jpg"
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.new("RGB", (40, 30), "grey").save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def digits(runtime, picture, tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("digits") / "site"
    methods = ["saliency", ox.IntegratedGradients(n_steps=3)]
    made = write_page(digits_model_path(), site, methods=methods, examples=[picture], runtime=runtime)
    assert (made.kind, len(made.methods), made.folder) == ("image", 2, site)
    assert made.size == sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    return site


def manifest(site: Path) -> dict:
    return json.loads((site / "page.json").read_text())


def test_what_is_written(digits) -> None:
    found = manifest(digits)
    assert (found["kind"], found["runtime"], found["output"]) == ("image", "9.8.7", "probabilities")
    assert [m["name"] for m in found["methods"]] == ["saliency", "integrated_gradients"]
    assert set(found["pieces"]) == {"prepare", "model", "saliency", "integrated_gradients"}
    page = (digits / "index.html").read_text()
    assert "Content-Security-Policy" in page
    for word in ("http:", "https:", "unsafe-inline", "style=", "onclick"):
        assert word not in page
    scripts = [f.name for f in digits.iterdir() if f.suffix == ".js"]
    assert {"main.js", "worker.js"} <= set(scripts)


def test_an_example_holds_nothing_but_its_pixels(digits) -> None:
    with Image.open(digits / "examples" / "0.png") as kept:
        assert kept.size == (40, 30)
        assert not kept.getexif()
        assert not kept.info
    assert manifest(digits)["form"]["examples"] == [{"file": "examples/0.png", "name": "a grey one"}]


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients"])
def test_pieces_make_the_file(digits, tmp_path, name) -> None:
    """What the browser puts together is what export writes, and weights lie there once."""
    made, models = manifest(digits), digits / "models"
    weights, rest = (models / "weights.bin").read_bytes(), (models / f"{name}.rest").read_bytes()
    whole, place = b"", 0
    for start, length in made["pieces"][name]:
        whole += rest[place : place + length] if start < 0 else weights[start : start + length]
        place += length if start < 0 else 0
    method = {"saliency": "saliency", "integrated_gradients": ox.IntegratedGradients(n_steps=3)}[name]
    told = {"wrt": ["image"], "output": "probabilities"}
    path = ox.export(digits_model_path(), tmp_path / "e.onnx", method=method, **told).path
    assert whole == path.read_bytes()
    assert made["weights"] == len(weights) < 1.1 * 113_640


def test_pieces_of_weights_within_others(tmp_path, models) -> None:
    """Weights that hold one another, and one that is there twice, come back bit by bit."""
    zeros, ones = np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32)
    both = np.concatenate([zeros, ones])
    proto = models.make(
        """m (float[N, 40] x) => (float[N, 40] y) {
          a = MatMul(x, w) b = MatMul(a, v) c = MatMul(b, u) y = MatMul(c, t)
        }""",
        w=zeros, v=ones, u=zeros, t=both[:40],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    content = path.read_bytes()
    pieces = cut([path], tmp_path / "weights.bin")["m"]
    weights, rest = (tmp_path / "weights.bin").read_bytes(), (tmp_path / "m.rest").read_bytes()
    place, whole = 0, b""
    for start, length in pieces:
        whole += rest[place : place + length] if start < 0 else weights[start : start + length]
        place += length if start < 0 else 0
    assert whole == content
    assert len(weights) <= zeros.nbytes + ones.nbytes


def test_a_row(runtime, tmp_path) -> None:
    rows, _ = diabetes_rows()
    made = write_page(
        diabetes_model_path(), tmp_path / "site", methods=["feature_ablation"], examples=rows,
        background=diabetes_background(), runtime=runtime,
    )  # fmt: skip
    found = manifest(made.folder)
    fields = {f["name"]: f for f in found["form"]["fields"]}
    assert list(fields) == [i.name for i in ox.Explainer(diabetes_model_path()).inputs]
    assert (fields["sex"]["kind"], fields["sex"]["explained"]) == ("text", False)
    assert sorted(set(rows["sex"])) == fields["sex"]["choices"]
    assert (fields["bmi"]["kind"], fields["bmi"]["explained"]) == ("number", True)
    assert len(found["form"]["examples"]) == 20
    assert found["form"]["examples"][0][list(fields).index("bmi")] == pytest.approx(float(rows["bmi"][0]))
    assert found["methods"][0]["against"].startswith("20 rows")
    assert made.notes == ("Taken as given, and not explained: sex.",)


def test_methods_that_do_not_work_are_left_out_and_told(runtime, tmp_path, models) -> None:
    made = write_page(models.mlp(), tmp_path / "site", runtime=runtime, feature_names=list("abcde"))
    assert len(made.methods) == 4
    assert [f["name"] for f in manifest(made.folder)["form"]["fields"]] == list("abcde")
    assert made.notes == ()
    made = write_page(diabetes_model_path(), tmp_path / "site", runtime=runtime)  # which takes its place
    assert len(made.methods) == 3
    assert made.notes[0].startswith("integrated_gradients is left out: ")


TWO = "m (float[N, 3] x, float[N, 4, 4] z) => (float[N, 3] y) { s = ReduceSum<keepdims=0>(z) y = Add(x, s) }"
DENSE = "m (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) { y = Relu(x) }"
FREE = "m (float[N, 3, H, W] x) => (float[N, 3] y) { g = GlobalAveragePool(x) y = Flatten(g) }"
WORDS = "m (int64[N, L] ids) => (float[N, 2] y) { e = Gather(t, ids) y = ReduceMean<keepdims = 0>(e, a) }"
HALF = "m (float16[N, 3] x) => (float16[N, 3] y) { y = Relu(x) }"
LAYER = ox.METHODS["layer_activation"](layer="y")
FLAT = "m (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("body", "options", "error", "words"),
    [
        (TWO, {}, NotExplainableError, r"input 'z' \(N, 4, 4\) is none of them"),
        (DENSE, {}, NotExplainableError, "explains classes"),
        (FREE, {}, DataInputError, "say which one"),
        (HALF, {}, NotExplainableError, "'x' holds float16"),
        (FLAT, {"output": "z"}, TargetError, "no output 'z'"),
        (FLAT, {"labels": ["a"]}, DataInputError, "1 labels, and output 'y' has 3 classes"),
        (FLAT, {"methods": ["magic"]}, MethodError, "magic"),
        (FLAT, {"methods": []}, MethodError, "name at least one"),
        (FLAT, {"methods": ["lrp", "lrp"]}, MethodError, "two methods 'lrp'"),
        (FLAT, {"methods": {"../a": "lrp"}}, MethodError, "cannot be a file's name"),
        (FLAT, {"methods": {"model": "lrp"}}, MethodError, "choose another name"),
        (FLAT, {"methods": ["tree_shap"]}, MethodError, "tree_shap"),
        (
            FLAT,
            {"methods": [ox.METHODS["layer_activation"](layer="y")]},
            MethodError,
            "does not explain the inputs",
        ),
        (FLAT, {"preprocessing": ox.Preprocessing()}, DataInputError, "this model takes none"),
        (FLAT, {"vocabulary": ["a"]}, DataInputError, "this model takes none"),
        (FLAT, {"examples": {"a": [1.0], "b": [2.0]}}, DataInputError, "3 columns"),
        (WORDS, {"vocabulary": ["a", "##b"]}, NotExplainableError, "pieces of words"),
        (WORDS, {"vocabulary": list("abcdefg")}, DataInputError, "7 words"),
        (WORDS, {"background": {"a": [1]}}, DataInputError, "for tables"),
        (WORDS, {"examples": [3]}, DataInputError, "texts"),
        (FREE, {"preprocessing": ox.Preprocessing((8, 8), channels=1)}, DataInputError, "makes 1"),
        (FLAT, {"runtime": "none"}, OptionalDependencyError, "npm pack onnxruntime-web@"),
    ],
)
def test_refused(body, options, error, words, runtime, tmp_path, models) -> None:
    weights = {"t": models.random(6, 2), "a": np.array([1], np.int64)} if "Gather" in body else {}
    with pytest.raises(error, match=words):
        write_page(models.make(body, **weights), tmp_path / "site", **{"runtime": runtime, **options})
    assert not list(tmp_path.iterdir())


def test_an_example_that_is_no_picture(runtime, tmp_path) -> None:
    (tmp_path / "a.png").write_text("none")
    with pytest.raises(DataInputError, match="cannot be read as an image"):
        write_page(digits_model_path(), tmp_path / "site", examples=[tmp_path / "a.png"], runtime=runtime)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_other_folders_stay(runtime, tmp_path, models) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        write_page(models.mlp(), tmp_path / "mine", runtime=runtime)
    with pytest.raises(OutputError, match="there is no folder"):
        write_page(models.mlp(), tmp_path / "none" / "site", runtime=runtime)
    with pytest.raises(OutputError, match="this is a file"):
        write_page(models.mlp(), tmp_path / "mine" / "letter.txt", runtime=runtime)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_the_old_site_stays_where_the_new_one_fails(runtime, tmp_path, models, monkeypatch) -> None:
    site = tmp_path / "site"
    write_page(models.mlp(), site, methods=["saliency"], title="old", runtime=runtime)
    before = {f: f.read_bytes() for f in site.rglob("*") if f.is_file()}

    def refuse(*_, **__):
        raise CheckFailedError("no")

    monkeypatch.setattr(writing, "try_model", refuse)
    with pytest.raises(CheckFailedError):
        write_page(models.mlp(), site, methods=["lrp"], title="new", runtime=runtime)
    assert before == {f: f.read_bytes() for f in site.rglob("*") if f.is_file()}
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_a_file_that_gives_something_else_is_refused(runtime, tmp_path, models, monkeypatch) -> None:
    kept = offers.export

    def wrong(model, path, *, method, **options):
        return kept(models.mlp(bias=False), path, method=method, **options)

    monkeypatch.setattr(offers, "export", wrong)
    with pytest.raises(CheckFailedError, match="the file of 'lrp' gives"):
        write_page(models.mlp(), tmp_path / "site", methods=["lrp"], runtime=runtime)


def test_what_is_explained_before_a_softmax_is_told(runtime, tmp_path, models) -> None:
    made = write_page(models.mlp(softmax=True), tmp_path / "site", methods=["lrp"], runtime=runtime)
    assert made.notes == ("What is explained is the score before the closing Softmax, not the probability.",)
    assert made.notes[0] in (made.folder / "index.html").read_text()


def test_names_and_titles_are_escaped(runtime, tmp_path, models) -> None:
    title = "<script>alert(1)</script>"
    write_page(models.mlp(), tmp_path / "site", methods=["lrp"], title=title, runtime=runtime)
    assert "<script>alert" not in (tmp_path / "site" / "index.html").read_text()


def test_the_runtime_from_an_archive(runtime, tmp_path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(runtime, "package")
    found = find_runtime(tmp_path / "a.tgz")
    assert (found.version, found.files[FILES[0]]) == ("9.8.7", FILES[0].encode())
    (tmp_path / "b.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:100])
    for wrong in ("b.tgz", "."):
        with pytest.raises(OptionalDependencyError, match="npm pack"):
            find_runtime(tmp_path / wrong)
    with tarfile.open(tmp_path / "c.tgz", "w:gz") as archive:
        archive.add(runtime / "package.json", "package/package.json")
    with pytest.raises(OptionalDependencyError, match="lacks ort"):
        find_runtime(tmp_path / "c.tgz")


def test_without_npm(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionalDependencyError, match=r"npm.*is not installed.*npm pack"):
        find_runtime()


def test_the_command(runtime, tmp_path, picture, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(
        "page", MODEL, "-o", "site", "-m", "saliency,integrated_gradients:n_steps=3", "-e", str(picture),
        "--runtime", str(runtime), "--title", "Digits",
    )  # fmt: skip
    assert "http.server --bind 127.0.0.1 --directory site" in said.stdout
    assert [m["written"].split("(")[0] for m in manifest(tmp_path / "site")["methods"]] == [
        "Saliency",
        "IntegratedGradients",
    ]


def test_the_command_with_a_background_alone(runtime, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = diabetes_model_path().with_name("diabetes_train.csv")
    told = ["-m", "feature_ablation", "--background", str(train), "--runtime", str(runtime)]
    run("page", str(diabetes_model_path()), "-o", "site", *told)
    found = manifest(tmp_path / "site")
    assert found["methods"][0]["against"].startswith("20 rows")
    assert found["form"]["examples"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "saliency:n_steps=3"], "does not take 'n_steps'"),
        (["--mean", "0.5,0.5"], "mean has 2 numbers"),
        (["-e", "none.png"], "there is no file 'none.png'"),
        (["-e", "a.csv", "-e", "b.csv"], "one table or file of texts"),
        (["--id", "a"], "--id a: for tables only"),
        (["--vocabulary", "none.txt"], "there is no file 'none.txt'"),
        (["--runtime", "none"], "does not hold onnxruntime-web"),
    ],
)
def test_the_command_fails_in_one_line(arguments, words, runtime, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [] if "--runtime" in arguments else ["--runtime", str(runtime)]
    assert words in failure("page", MODEL, "-o", "site", *given, *arguments)
    assert not list(tmp_path.iterdir())
