"""The same work by two Ray workers on this machine; whoever dies, nothing is lost and nothing doubled."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gathered import gathered, same
from PIL import Image

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, OptionError, OutputError, RuntimeUnavailableError
from onnxplain.scale import explain_dataset, explain_files
from onnxplain.scale.on_ray import Pool
from onnxplain.scale.worker import Done

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # what Ray and Arrow warn of each other

HERE = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80 << 20, "log_to_driver": False}
PROGRAM = f"""
import json, os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from onnxplain.scale import explain_files
if __name__ == "__main__":
    ray.init(**{HERE!r})
    source, model, out, asking = sys.argv[1:]
    explain_files(source, model, out, **json.loads(asking))
"""


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(**HERE)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def test_a_worker_is_killed(
    ray: Any, numbers: Any, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model, _ = numbers
    np.save(data, models.random(120, 5, seed=9))
    asking = {"method": "smooth_grad", "n_samples": 20, "rows_a_part": 3}
    explain_files(data, model, tmp_path / "whole", **asking)
    acknowledged: dict[str, bytes] = {}
    killed: set[int] = set()
    confirmed = Done.confirmed

    def killing(one: Done) -> Done:
        name = f"part-{one.number:08d}.parquet"
        if not killed:
            acknowledged[name] = (tmp_path / "out" / name).read_bytes()
        if len(acknowledged) == 3 and not killed:
            os.kill(one.worker, signal.SIGKILL)
            killed.add(one.worker)
        return confirmed(one)

    monkeypatch.setattr(Done, "confirmed", killing)
    done = explain_files(data, model, tmp_path / "out", workers=2, **asking)
    assert killed
    assert (done.rows, done.explained, done.failed, done.parts) == (120, 120, 0, 40)
    same(tmp_path / "out", tmp_path / "whole")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in acknowledged} == acknowledged


def test_all_are_killed_and_another_run_goes_on(ray: Any, numbers: Any, models: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    np.save(data, models.random(400, 5, seed=9))
    asking = {"method": "smooth_grad", "n_samples": 20, "rows_a_part": 2}
    out = tmp_path / "out"
    command = [sys.executable, "-c", PROGRAM, data, model, out, json.dumps({**asking, "workers": 2})]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while len(list(out.glob("part-*"))) < 5 and run.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it was done before it was killed"
    time.sleep(1)  # workers that outlived it end by themselves
    before = {p.name: p.read_bytes() for p in out.glob("part-*")}
    assert 5 <= len(before) < 200
    done = explain_files(data, model, out, workers=2, **asking)
    assert done.explained <= 400 - 2 * len(before)
    assert {name: (out / name).read_bytes() for name in before} == before
    explain_files(data, model, tmp_path / "whole", **asking)
    same(out, tmp_path / "whole")


def test_strict_and_bad_rows(ray: Any, models: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c,d,e\n" + "1,2,3,4,5\n" * 9 + "1,x,3,4,5\n" + "1,2,3,4,5\n" * 9)
    asking = {"method": "saliency", "rows_a_part": 4, "workers": 1}
    explain_files(tmp_path / "t.csv", models.mlp(), tmp_path / "out", **asking)
    assert [k for k, e in enumerate(gathered(tmp_path / "out")["error"]) if e] == [9]
    with pytest.raises(DataInputError, match=r"source t.csv, row 9: .*line 11, column 'b'"):
        explain_files(tmp_path / "t.csv", models.mlp(), tmp_path / "other", strict=True, **asking)


def rows_of(found: Any, name: str) -> np.ndarray:
    return np.asarray([row[name] for row in sorted(found.take_all(), key=lambda row: row["key"])])


def test_a_data_set_of_columns(ray: Any, models: Any) -> None:
    x = models.random(40, 5, seed=3)
    ds = ray.data.from_items(
        [{"key": k, **dict(zip("abcde", map(float, row), strict=True))} for k, row in enumerate(x)]
    )
    found = explain_dataset(ds, models.mlp(), "lrp", ids=["key"], workers=2, batch_size=7)
    asked = ox.explain(models.mlp(), x, "predicted", "lrp")
    np.testing.assert_allclose(rows_of(found, "attribution/x"), asked.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(rows_of(found, "target"), asked.target[:, 0])


def test_a_data_set_of_arrays(ray: Any, models: Any) -> None:
    image, table = models.random(12, 2, 4, seed=3), models.random(12, 3, seed=4)
    ds = ray.data.from_items([{"key": k, "image": image[k], "table": table[k]} for k in range(12)])
    found = explain_dataset(ds, models.two_inputs(), "saliency", target=1, ids=["key"])
    asked = ox.explain(models.two_inputs(), {"image": image, "table": table}, 1, "saliency")
    for name in ("image", "table"):
        got = rows_of(found, f"attribution/{name}").reshape(asked.values[name].shape)
        np.testing.assert_allclose(got, asked.values[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("encoded", [True, False])
def test_a_data_set_of_images(ray: Any, models: Any, encoded: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)

    def png(one: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(one).save(file, "PNG")
        return file.getvalue()

    cells = [png(one) if encoded else one for one in pixels]
    ds = ray.data.from_items([{"key": k, "photo": cell, "more": "?"} for k, cell in enumerate(cells)])
    told = {"mean": (0.5,), "std": (0.25,)}
    found = explain_dataset(ds, models.vgg(), "saliency", ids=["key"], image_column="photo", images=told)
    x = ((pixels.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25).astype(np.float32)
    asked = ox.explain(models.vgg(), x, "predicted", "saliency").values
    np.testing.assert_allclose(rows_of(found, "attribution/x").reshape(x.shape), asked, rtol=1e-4, atol=1e-6)


def test_a_data_set_goes_on_where_it_ended(
    ray: Any, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = models.random(60, 5, seed=3)
    rows = [{"key": f"k{k}", **dict(zip("abcde", map(float, r), strict=True))} for k, r in enumerate(x)]
    ds = ray.data.from_items(rows, override_num_blocks=12)
    asking = {"method": "saliency", "ids": ["key"], "key": "key", "batch_size": 5}
    confirmed, seen = Done.confirmed, []

    def stopped(one: Done) -> Done:
        seen.append(one)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return confirmed(one)

    monkeypatch.setattr(Done, "confirmed", stopped)
    with pytest.raises(KeyboardInterrupt):
        explain_dataset(ds, models.mlp(), out=tmp_path / "out", **asking)
    monkeypatch.setattr(Done, "confirmed", confirmed)
    done = explain_dataset(ds, models.mlp(), out=tmp_path / "out", workers=2, **asking)
    assert done.kept >= 15
    assert (done.rows, done.explained) == (60, 60 - done.kept)
    found = gathered(tmp_path / "out")
    assert len(set(found["key"].tolist())) == len(found["key"]) == 60
    order = np.argsort([int(k[1:]) for k in found["key"]])
    asked = ox.explain(models.mlp(), x, "predicted", "saliency").values
    np.testing.assert_allclose(found["attribution/x"][order], asked, rtol=1e-4, atol=1e-6)
    with pytest.raises(OutputError, match="another method"):
        explain_dataset(ds, models.mlp(), out=tmp_path / "out", **{**asking, "method": "lrp"})
    fewer = ray.data.from_items(rows[:30])
    with pytest.raises(DataInputError, match="60 rows were explained before, and the data set has 30"):
        explain_dataset(fewer, models.mlp(), out=tmp_path / "out", **asking)


def test_keys_that_two_rows_share(ray: Any, models: Any, tmp_path: Path) -> None:
    ds = ray.data.from_items([{"key": k // 2, **dict.fromkeys("abcde", float(k))} for k in range(8)])
    with pytest.raises(DataInputError, match="two rows have key"):
        explain_dataset(ds, models.mlp(), "saliency", ids=["key"], key="key", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"workers": 0}, OptionError, "workers is 0"),
        ({"num_gpus": -1}, OptionError, "num_gpus is -1"),
        ({"device": "tpu"}, OptionError, "device is 'tpu'"),
        ({"device": "cuda"}, OptionError, "say num_gpus="),
        ({"device": "cpu", "num_gpus": 1}, OptionError, "has no use for"),
        ({"out": "out"}, DataInputError, "out= goes with key="),
        ({"out": "out", "key": "other"}, DataInputError, "out= goes with key="),
        ({"ids": ["other"]}, DataInputError, "no column 'other'"),
        ({"ids": []}, DataInputError, "named as ids"),
        ({"image_column": "photo"}, DataInputError, "no column 'photo'"),
        ({"method": "magic"}, MethodError, "no method 'magic'"),
        ({"ds": [1]}, DataInputError, "a list is no ray.data.Dataset"),
    ],
)
def test_errors_of_data_sets(ray: Any, models: Any, change: dict[str, Any], error: Any, words: str) -> None:
    ds = ray.data.from_items([{"key": k, **dict.fromkeys("abcde", 1.0)} for k in range(4)])
    asking = {"ds": ds, "model": models.mlp(), "method": "saliency", "ids": ["key"], **change}
    with pytest.raises(error, match=words):
        explain_dataset(**asking)


def test_shares_of_a_gpu() -> None:
    assert Pool(4, num_cpus=2, num_gpus=0.25).options() == ("cuda", 2)
    assert Pool(4).options() == ("cpu", 1)
    assert Pool(4, threads=3, num_gpus=1, device="cuda").options() == ("cuda", 3)


def test_no_room_for_a_worker(ray: Any) -> None:
    Pool(2, num_cpus=2).find_room(ray, started=True)
    for pool in (Pool(1, num_cpus=3), Pool(1, num_gpus=0.5)):
        with pytest.warns(UserWarning, match=r"no node has .* for a worker; Ray waits"):
            pool.find_room(ray, started=False)
        with pytest.raises(RuntimeUnavailableError, match="for a worker; ask for less"):
            pool.find_room(ray, started=True)


def test_the_model_reaches_workers_in_one_piece(ray: Any, numbers: Any, tmp_path: Path) -> None:
    """Its file may be gone: an explainer answers for the model that it read."""
    data, model, _ = numbers
    explainer = ox.Explainer(onnx.load(model))
    model.unlink()
    assert explain_files(data, explainer, tmp_path / "out", "saliency", workers=1).explained == 23
