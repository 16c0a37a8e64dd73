"""A run that is killed without warning, and another one that goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from gathered import same

from onnxplain.scale import explain_files

PROGRAM = """
import json, sys
from onnxplain.scale import explain_files
source, model, out, asking = sys.argv[1:]
explain_files(source, model, out, **json.loads(asking))
"""


def test_killed_in_the_middle_and_resumed(models: Any, numbers: Any, tmp_path: Path) -> None:
    data, model, _ = numbers
    np.save(data, models.random(600, 5, seed=9))
    asking = {"method": "smooth_grad", "n_samples": 20, "form": "npz", "rows_a_part": 2}
    out = tmp_path / "out"
    run = subprocess.Popen([sys.executable, "-c", PROGRAM, data, model, out, json.dumps(asking)])
    end = time.monotonic() + 60
    while len(list(out.glob("part-*"))) < 3 and time.monotonic() < end:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it was done before it was killed"
    before = {p.name: p.read_bytes() for p in out.glob("part-*")}
    assert 3 <= len(before) < 300
    done = explain_files(data, model, out, **asking)
    assert (done.kept, done.explained) == (len(before), 600 - 2 * len(before))
    assert {name: (out / name).read_bytes() for name in before} == before
    assert not list(out.glob(".*"))
    explain_files(data, model, tmp_path / "whole", **asking)
    same(out, tmp_path / "whole")
