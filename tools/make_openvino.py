"""Write benchmarks/results/openvino.json: what OpenVINO makes of the files of trained models.

    pip install openvino
    python tools/fetch_models.py
    python tools/make_openvino.py

Each trained model that OpenVINO runs is exported by several methods, and each file is run in OpenVINO and in
onnxruntime.  What differs is run again with OpenVINO's decisions (which side of each kink, which maximum):
given the same, both must say the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import openvino
from elsewhere import METHODS, compare, runs_plain
from real_inputs import NAMES, load

TARGET = Path(__file__).parents[1] / "benchmarks" / "results" / "openvino.json"


def main() -> None:
    """Measure, and write after each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=NAMES)
    names = parser.parse_args().models
    found = json.loads(TARGET.read_text()) if TARGET.is_file() else {"models": {}}
    found["openvino"] = openvino.__version__
    for name in names:
        real = load(name)
        refused = runs_plain(real)
        cells: dict[str, dict[str, object]] = {}
        found["models"][name] = {"plain": refused or "runs", "methods": cells}
        for method in () if refused else METHODS:
            with tempfile.TemporaryDirectory() as folder:
                cells[method] = compare(real, method, Path(folder)).told()
            print(name, method, cells[method], flush=True)
        TARGET.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
