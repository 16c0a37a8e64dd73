"""Write the golden files of tree models: exported from each library, with what shap says of them.

    python tools/make_tree_golden.py [--out tests/golden/trees]

Needs shap, skl2onnx, onnxmltools, xgboost and lightgbm.  ``tests/helpers/tree_training.py`` says what a file
holds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers.tree_training import MODELS, train


def main() -> None:
    """Train, ask shap, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "golden" / "trees")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        found = train(name)
        np.savez_compressed(folder / f"{name}.npz", **found)
        print(f"{name}: {', '.join(f'{k} {v.shape}' for k, v in found.items())}")


if __name__ == "__main__":
    main()
