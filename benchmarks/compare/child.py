"""What a process of its own does to tell its peak memory: imports as little as it can.

``python -m benchmarks.compare.child WHO FOLDER`` prints JSON; ``alone`` fills the folder.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["WHO"]


def _forward(folder: Path, given: dict[str, Any]) -> Iterator[None]:
    from benchmarks.timing import session

    yield
    plain = session(str(folder / "model.onnx"), given["threads"])
    yield
    plain.run([given["output"]], given["feeds"])


def _ours(folder: Path, given: dict[str, Any]) -> Iterator[None]:
    import onnxplain as ox

    yield
    explainer = ox.Explainer(folder / "model.onnx", device="cpu", threads=given["threads"])
    yield
    feeds = given["feeds"] if len(given["feeds"]) > 1 else next(iter(given["feeds"].values()))
    explainer(feeds, given["targets"], ox.Saliency(abs=given["kind"] == "tokens"))


def _torch(folder: Path, given: dict[str, Any]) -> Iterator[None]:
    import torch

    torch.set_num_threads(given["threads"])
    yield
    net, x = torch.load(folder / "net.pt", weights_only=False)
    yield
    leaf = x.detach().clone().requires_grad_()
    torch.autograd.grad(net(leaf)[:, given["targets"][0]].sum(), leaf)


#: By name, what has imported at its first pause, loaded at its second, and explained when it ends.
WHO = {"onnxruntime forward": _forward, "onnxplain gradient": _ours, "torch autograd": _torch}


def _main(who: str, folder: Path) -> None:
    given = pickle.loads((folder / "given.pickle").read_bytes())
    begin = time.perf_counter()
    taken = []
    for _ in WHO[who](folder, given):
        taken.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    taken.append(time.perf_counter() - begin)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"mib": peak / 1024, **dict(zip(("import", "load", "first"), taken, strict=True))}))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
