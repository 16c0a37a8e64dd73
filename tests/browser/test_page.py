"""A written site in a headless Chromium: numbers, who can use it, whom it talks to, errors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_visit import serving, visit
from PIL import Image

import onnxplain as ox
from onnxplain.data import (
    diabetes_background,
    diabetes_model_path,
    diabetes_rows,
    digits_model_path,
    digits_samples,
)
from onnxplain.features.removal import Background
from onnxplain.image_files import load_image
from onnxplain.page import write_page

pytestmark = pytest.mark.node

SETTLE, READ = {"do": "settle"}, {"do": "read"}
METHODS = {
    "lrp": ox.LRP(),
    "grad_cam": ox.GradCam(),
    "integrated_gradients": ox.IntegratedGradients(n_steps=10),
    "saliency": ox.METHODS["saliency"](),
}


def same(found: dict, expected: np.ndarray, rtol: float = 1e-5) -> None:
    """Compare by the largest value."""
    assert found["dims"] == list(expected.shape)
    values = np.reshape(found["data"], found["dims"])
    assert np.abs(expected).max() > 0
    assert np.abs(values - expected).max() <= rtol * np.abs(expected).max()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    images, _ = digits_samples()
    made = []
    for k in (3, 7):
        made.append(folder / f"digit_{k}.png")
        Image.fromarray((images[k, 0] * 255).round().astype(np.uint8)).save(made[-1])
    return made


@pytest.fixture(scope="module")
def digits(modules, pictures, tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("digits") / "site"
    write_page(digits_model_path(), site, methods=METHODS, examples=pictures, runtime=modules, title="Digits")
    return site


def test_a_picture(modules, digits, pictures) -> None:
    steps = [SETTLE, READ]
    for name in list(METHODS)[1:]:
        steps += [{"do": "choose", "name": "method", "value": name}, SETTLE, READ]
    steps += [{"do": "choose", "name": "target", "value": "8"}, SETTLE, READ]
    steps += [{"do": "upload", "file": str(pictures[1])}, SETTLE, READ]
    found = visit(modules, digits, steps)
    assert not found.complaints
    explainer, (images, labels) = ox.Explainer(digits_model_path()), digits_samples()
    said = [a for a in found.answers if a is not None]
    asked = [(3, name, None) for name in METHODS] + [(3, "saliency", 8), (7, "saliency", None)]
    for answer, (k, name, target) in zip(said, asked, strict=True):
        image = images[k : k + 1]
        wanted = int(labels[k]) if target is None else target
        assert (answer["method"], answer["target"], answer["trouble"]) == (name, wanted, None)
        expected = explainer(image, wanted, method=METHODS[name])
        same(answer["values"]["image"], expected.values)
        same({"data": answer["scores"], "dims": [10]}, expected.predictions[0])


def test_threads_where_the_page_is_isolated(modules, digits) -> None:
    headers = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    ask = "import('./main.js').then(async ({ page }) => (await page.engine.ready).threads)"
    steps = [SETTLE, READ, {"do": "evaluate", "code": ask}, {"do": "evaluate", "code": "crossOriginIsolated"}]
    for given in ({}, headers):
        found = visit(modules, digits, steps, given)
        _, answer, threads, isolated = found.answers
        assert isolated == bool(given)
        assert (threads > 1) == (isolated and (os.cpu_count() or 1) > 1)
        images, labels = digits_samples()
        expected = ox.explain(digits_model_path(), images[3:4], int(labels[3]), method=METHODS["lrp"])
        same(answer["values"]["image"], expected.values)
        assert not found.complaints


def test_nothing_goes_elsewhere(modules, digits, tmp_path) -> None:
    (tmp_path / "open.txt").write_text("")
    with serving(tmp_path) as (elsewhere, hits):
        ask = f"fetch('{elsewhere}open.txt', {{mode: 'no-cors'}}).then(() => 'sent', () => 'refused')"
        found = visit(
            modules, digits, [SETTLE, {"do": "evaluate", "code": ask}, {"do": "inWorker", "code": ask}]
        )
    assert found.answers[1:] == ["refused", "refused"]
    assert not hits
    hosts = {urlsplit(r).netloc for r in found.requests if not r.startswith(("blob:", elsewhere))}
    assert len(hosts) == 1


@pytest.mark.parametrize("site", ["digits", "rows_site"])
def test_everybody_can_use_it(modules, request, site) -> None:
    look = [
        {"do": "look", "width": w, "scheme": s} for w, s in ((1280, "dark"), (400, "dark"), (400, "light"))
    ]
    steps = [{"do": "axe"}, SETTLE, {"do": "axe"}]
    steps += [step for one in look for step in (one, {"do": "axe"})]
    unnamed = "document.querySelector('main input').id = ''; document.querySelector('h2').remove()"
    steps += [{"do": "evaluate", "code": unnamed}, {"do": "axe"}]
    *found, _, spoilt = visit(modules, request.getfixturevalue(site), steps).answers
    assert [a for a in found if a is not None] == [[]] * 5
    assert spoilt  # it does find what is wrong


def test_by_keyboard(modules, digits) -> None:
    tab = {"do": "key", "key": "Tab"}
    where = {"do": "evaluate", "code": "document.activeElement.className || document.activeElement.id"}
    found = visit(modules, digits, [
        SETTLE, tab, where, {"do": "key", "key": "Enter"}, tab, where,
        {"do": "key", "focus": "input[name=method]:checked", "key": "ArrowRight"}, SETTLE, READ,
        {"do": "key", "focus": "input[name=target]:checked", "key": "ArrowDown"}, SETTLE, READ,
        {"do": "evaluate", "code": "document.activeElement.name"},
    ])  # fmt: skip
    assert found.answers[2] == "skip"
    assert found.answers[5] == "unseen"  # the file chooser, whose label shows that it is in focus
    assert found.answers[8]["method"] == "grad_cam"
    assert found.answers[11]["target"] != found.answers[8]["target"]
    assert found.answers[12] == "target"


DROP = """(async () => {
  const blob = await (await fetch(document.querySelectorAll('.examples img')[WHICH].src)).blob();
  const given = new DataTransfer();
  given.items.add(new File([blob], 'seven.png', { type: 'image/png' }));
  delete document.body.dataset.done;
  document.dispatchEvent(new EVENT);
})()"""


def test_dropped_and_pasted(modules, digits) -> None:
    steps = [SETTLE]
    events = "DragEvent('drop', {dataTransfer: given})", "ClipboardEvent('paste', {clipboardData: given})"
    for event, k in zip(events, (1, 0), strict=True):
        code = DROP.replace("EVENT", event).replace("WHICH", str(k))
        steps += [{"do": "evaluate", "code": code}, SETTLE, READ]
    found = visit(modules, digits, steps).answers
    assert [(a["target"], a["trouble"]) for a in (found[3], found[6])] == [(7, None), (3, None)]


def test_what_is_no_picture(modules, digits, tmp_path, pictures) -> None:
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    found = visit(modules, digits, [
        SETTLE, {"do": "upload", "file": str(wrong)}, SETTLE, READ, {"do": "axe"},
        {"do": "upload", "file": str(pictures[1])}, SETTLE, READ,
    ])  # fmt: skip
    assert "no picture that the browser can read" in found.answers[3]["trouble"]
    assert found.answers[4] == []
    assert (found.answers[7]["target"], found.answers[7]["trouble"]) == (7, None)


def test_a_file_that_is_missing(modules, digits, tmp_path) -> None:
    site = shutil.copytree(digits, tmp_path / "site")
    (site / "models" / "lrp.rest").unlink()
    found = visit(modules, site, [SETTLE, READ])
    assert "models/lrp.rest is not there (404)" in found.answers[1]["trouble"]


STATUS = "document.getElementById('status').textContent"


def test_it_can_be_stopped(modules, digits) -> None:
    stop = "document.getElementById('stop').click()"
    begin = "document.querySelector('input[name=method][value=integrated_gradients]').click();" + stop
    found = visit(modules, digits, [
        SETTLE, {"do": "evaluate", "code": begin}, {"do": "evaluate", "code": STATUS},
        {"do": "choose", "name": "method", "value": "saliency"}, SETTLE, READ,
    ])  # fmt: skip
    assert found.answers[2] == "Stopped."
    assert (found.answers[5]["method"], found.answers[5]["trouble"]) == ("saliency", None)


@pytest.fixture(scope="module")
def rows_site(modules, tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("rows") / "site"
    rows, _ = diabetes_rows()
    write_page(
        diabetes_model_path(), site, methods=["feature_ablation", "kernel_shap"], examples=rows,
        background={k: v[:5] for k, v in diabetes_background().items()}, runtime=modules,
    )  # fmt: skip
    return site


def test_a_row(modules, rows_site) -> None:
    empty = {"do": "fill", "selector": "#field0", "value": ""}
    send = {"do": "click", "selector": "button.main"}
    found = visit(modules, rows_site, [
        SETTLE, READ, {"do": "choose", "name": "method", "value": "kernel_shap"}, SETTLE, READ,
        {"do": "select", "selector": "#example", "value": "1"}, SETTLE, READ, empty, send, SETTLE, READ,
    ])  # fmt: skip
    assert not found.complaints
    rows, _ = diabetes_rows()
    explainer = ox.Explainer(diabetes_model_path())
    numbers = [k for k in rows if k != "sex"]
    usual = Background({k: np.reshape(v[:5], (5, 1)) for k, v in diabetes_background().items() if k != "sex"})
    for answer, (row, name) in zip(
        (found.answers[1], found.answers[4], found.answers[7]),
        [(0, "feature_ablation"), (0, "kernel_shap"), (1, "kernel_shap")],
        strict=True,
    ):
        given = {k: np.reshape(v[row : row + 1], (1, 1)) for k, v in rows.items()}
        expected = explainer(given, method=ox.METHODS[name](), baselines=usual, wrt=numbers)
        assert (answer["method"], answer["trouble"]) == (name, None)
        together = {"data": [answer["values"][k]["data"][0] for k in numbers], "dims": [len(numbers)]}
        same(together, np.array([expected.arrays[k][0, 0] for k in numbers]))
    assert found.answers[11]["trouble"] == "age is empty: fill in a number."


def test_words(modules, models, tmp_path) -> None:
    words = ["<unk>", "good", "bad", "film", "a", "."]
    model = models.make(
        """m (int64[N, L] ids) => (float[N, 2] y) {
          e = Gather(table, ids)
          h = Relu(e)
          s = ReduceSum<keepdims = 0>(h, axes)
          y = MatMul(s, w)
        }""",
        table=models.random(6, 4), axes=np.array([1], np.int64), w=models.random(4, 2, seed=1),
    )  # fmt: skip
    write_page(
        model, tmp_path / "site", methods=["integrated_gradients", "lrp"], runtime=modules, vocabulary=words,
        examples=["A good film.", "A bad, bad film."], labels=["no", "yes"],
    )  # fmt: skip
    found = visit(modules, tmp_path / "site", [
        SETTLE, READ, {"do": "axe"}, {"do": "select", "selector": "#example", "value": "1"}, SETTLE, READ,
        {"do": "evaluate", "code": "document.getElementById('facts').textContent"},
    ])  # fmt: skip
    assert found.answers[2] == []
    explainer = ox.Explainer(model)
    for answer, ids in ((found.answers[1], [4, 1, 3, 5]), (found.answers[5], [4, 2, 0, 2, 3, 5])):
        expected = explainer(np.array([ids]), "predicted", method="integrated_gradients")
        assert answer["target"] == int(expected.target[0, 0])
        same(answer["values"]["ids"], expected.values)
    assert "Not in the vocabulary: ,." in found.answers[6]


def test_the_region_that_the_model_sees(modules, digits, tmp_path) -> None:
    shapes = [(300, 451), (451, 300), (224, 224), (60, 90), (1000, 31)]
    ask = "import('./image.js').then((m) => m.regionOf({1}, {0}, {{size: [224, 224], crop: 256}}))"
    found = visit(modules, digits, [{"do": "evaluate", "code": ask.format(*shape)} for shape in shapes])
    for (height, width), region in zip(shapes, found.answers, strict=True):
        ramp = np.broadcast_to(np.arange(width, dtype=float) / width, (height, width)) * 255
        path = tmp_path / "ramp.png"
        Image.fromarray(ramp.round().astype(np.uint8)).save(path)
        seen = load_image(path, preset="imagenet", mean=(0.0,), std=(1.0,)).array[0, 0].mean(0) * width
        assert abs(seen[0] - region["x"]) <= 0.01 * width + 1
        assert abs(seen[-1] - region["x"] - region["width"]) <= 0.01 * width + 1
