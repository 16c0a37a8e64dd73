"""What a file needs in memory: bounded by its points at once, however many points there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onnxplain as ox

#: Prints the peak of its own memory in MiB; ``ru_maxrss`` would start from that of the process that began it.
PROGRAM = """
import sys
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
session.run(None, {"x": np.load(sys.argv[2])})
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
"""


def peak(model: Path, x: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model, x], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no peak memory")
def test_integrated_gradients(models, tmp_path) -> None:
    """50 points of a layer of 9 MiB would be 450 MiB, and three times that with gradients."""
    model = models.make(
        """m (float[N, 3, 192, 192] x) => (float[N, 1] y) {
          c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
          r = Relu(c)
          g = GlobalAveragePool(r)
          f = Flatten(g)
          y = MatMul(f, v)
        }""",
        w=models.random(64, 3, 3, 3),
        v=models.random(64, 1),
    )
    x = tmp_path / "x.npy"
    np.save(x, models.random(1, 3, 192, 192))

    def of_file(n_steps: int, at_once: int) -> float:
        path = tmp_path / f"{n_steps}_{at_once}.onnx"
        ox.export(model, path, method=ox.IntegratedGradients(n_steps=n_steps), steps_at_once=at_once)
        return peak(path, x)

    few, many, wide = of_file(3, 1), of_file(50, 1), of_file(50, 8)
    assert many < few + 20  # 47 more points cost nothing
    layer = 64 * 192 * 192 * 4 / 2**20
    assert (
        many + 7 * layer < wide < many + 7 * 8 * layer
    )  # seven more points at once: some layers' worth each
