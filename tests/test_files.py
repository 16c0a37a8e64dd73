"""Files are written whole or not at all, and read only where they are files."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain import errors, files, report
from onnxplain.plots.canvas import new_figure, save

WRITERS = {
    "export": lambda models, path: ox.export(models.mlp(), path, method="saliency"),
    "attribution": lambda models, path: attribution(models).save(path),
    "attribution as text": lambda models, path: attribution(models).save(path),
    "report": lambda models, path: report.write_report(path, "title", []),
    "picture": lambda models, path: save(new_figure(1, 1), path),
}
ENDINGS = {
    "export": ".onnx",
    "attribution": ".npz",
    "attribution as text": ".json",
    "report": ".html",
    "picture": ".png",
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


def attribution(models) -> ox.Attribution:
    return ox.explain(models.mlp(), models.random(2, 5), 1, method="saliency")


@every_writer
def test_a_full_disk_leaves_the_old_file(writer, models, tmp_path, monkeypatch) -> None:
    path = tmp_path / f"old{ENDINGS[writer]}"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.OutputError, match=rf"old{ENDINGS[writer]}.*No space left"):
        WRITERS[writer](models, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@every_writer
def test_files_keep_their_mode_and_links_stay_links(writer, models, tmp_path) -> None:
    path, link = tmp_path / "real", tmp_path / f"link{ENDINGS[writer]}"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    WRITERS[writer](models, link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_size > 100
    new = tmp_path / f"new{ENDINGS[writer]}"
    WRITERS[writer](models, new)
    before = os.umask(0)
    os.umask(before)
    assert new.stat().st_mode & 0o777 == 0o666 & ~before


@every_writer
def test_bad_destinations(writer, models, tmp_path) -> None:
    ending = ENDINGS[writer]
    (tmp_path / f"folder{ending}").mkdir()
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / "file").write_bytes(b"")
    cases = {
        f"folder{ending}": "folder", f"pipe{ending}": "pipe", f"none/a{ending}": "no folder",
        f"file/a{ending}": "no folder", f"a\0b{ending}": "null", "n" * 300 + ending: "",
    }  # fmt: skip
    for name, words in cases.items():
        with pytest.raises(errors.OutputError) as caught:
            WRITERS[writer](models, tmp_path / name)
        assert words in str(caught.value)
        assert str(caught.value).count("cannot write") == 1
    for wrong in (None, 3, b"a.onnx"):
        with pytest.raises(errors.OutputError, match="this is no path"):
            WRITERS[writer](models, wrong)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="may write everywhere")
def test_folder_without_permission(models, tmp_path) -> None:  # pragma: no cover
    tmp_path.chmod(0o500)
    with pytest.raises(errors.OutputError, match="permissions"):
        ox.export(models.mlp(), tmp_path / "a.onnx", method="saliency")


def test_a_folder_that_may_not_be_written_to(models, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(errors.OutputError, match="may not be written to"):
        ox.export(models.mlp(), tmp_path / "a.onnx", method="saliency")


def test_bad_destinations_are_refused_before_the_model_is_read(tmp_path) -> None:
    with pytest.raises(errors.OutputError, match="there is no folder"):
        ox.export(tmp_path / "gone.onnx", tmp_path / "none" / "a.onnx")


def test_threads_that_export_to_one_path_never_show_a_part(models, tmp_path) -> None:
    path = tmp_path / "made.onnx"
    ox.export(models.mlp(), path, method="saliency")
    done, seen, wrong = threading.Event(), 0, []

    def write() -> None:
        for _ in range(4):
            ox.export(models.mlp(), path, method="saliency")

    def read() -> None:
        nonlocal seen
        while not done.is_set():
            with suppress(Exception):
                wrong.append(path.read_bytes())
                onnx.checker.check_model(onnx.load_from_string(wrong[-1]))
                wrong.pop()
                seen += 1

    writers = [threading.Thread(target=write) for _ in range(4)]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen > 3
    assert not wrong
    assert [p.name for p in tmp_path.iterdir()] == ["made.onnx"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as file:
        file.write(bytes([1 // 0]))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_export_onto_the_model_itself(models, tmp_path) -> None:
    path, weights = tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(models.mlp(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "link.onnx").symlink_to(path)
    (tmp_path / "hard.onnx").hardlink_to(path)
    before = {p: p.read_bytes() for p in (path, weights)}
    for destination in (path, "link.onnx", "hard.onnx", "weights.bin", "./sub/../model.onnx"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(errors.OutputError, match="the model itself lies there"):
            ox.export(path, tmp_path / destination, method="saliency")
    assert before == {p: p.read_bytes() for p in (path, weights)}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_read(kind, tmp_path) -> None:
    path = tmp_path / "model.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(errors.ModelNotFoundError, match="a pipe, a socket or a device"):
        ox.Explainer(path)
    with pytest.raises(errors.DataInputError, match="a pipe, a socket or a device"):
        ox.Attribution.load(path)
    with pytest.raises(errors.DataInputError, match="3 is no path"):
        ox.Attribution.load(3)


def test_files_that_are_too_large_are_not_read(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(files.MODEL_BYTES + 1)
    with pytest.raises(errors.ModelNotFoundError, match=str(files.MODEL_BYTES)):
        ox.Explainer(path)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_odd_paths(name) -> None:
    with pytest.raises(errors.ModelNotFoundError, match=r"(check|give) the path"):
        ox.Explainer(name)


def test_pictures_are_what_their_ending_says(tmp_path) -> None:
    for ending, start in ((".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml"), (".jpg", b"\xff\xd8")):
        save(new_figure(1, 1), tmp_path / f"a{ending}")
        assert Path(tmp_path / f"a{ending}").read_bytes().startswith(start)
    assert np.size(list(tmp_path.iterdir())) == 4
