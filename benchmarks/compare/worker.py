"""A process that runs our own jobs of one race when it is told to, with the onnxplain that it finds first.

``python -m benchmarks.compare.worker RACE FOLDER``, RACE being the fields of a setting in JSON.  It writes
its answers into FOLDER and the jobs' names to standard output; then, for each name on standard input, the
seconds.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import onnxplain
from benchmarks.compare.cases import LeftOut, case
from benchmarks.compare.ours import ours
from benchmarks.compare.racing import Timed
from benchmarks.compare.settings import BARE, Setting


def _main(race: str, folder: Path) -> None:
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what models say while they load is no answer
        setting = Setting(**json.loads(race))
        said: dict[str, Any] = {"package": str(Path(onnxplain.__file__).resolve().parent)}
        try:
            entrants = ours(case(setting.model, setting.batch, setting.side), setting)
        except LeftOut as reason:
            print(json.dumps(said | {"left_out": str(reason)}), file=out, flush=True)
            return
        for name, entrant in entrants.items():
            answer = entrant.job()
            if name != BARE:
                np.save(folder / f"{name}.npy", np.asarray(answer))
        print(json.dumps(said | {"jobs": list(entrants)}), file=out, flush=True)
        timed = {name: Timed(entrant.job) for name, entrant in entrants.items()}
        for line in sys.stdin:
            print(timed[line.rstrip("\n")].turn(), file=out, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
