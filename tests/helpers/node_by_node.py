"""How far single nodes are apart in two runtimes, given the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

__all__ = ["worst_node"]

Run = Callable[[Path, dict[str, np.ndarray]], dict[str, np.ndarray]]

#: Nodes looked at in one run: what they read and make is held meanwhile.
_AT_ONCE = 700


def worst_node(path: Path, feeds: dict[str, np.ndarray], theirs: Run, ours: Run) -> tuple[float, str]:
    """Run each node of a file on what another runtime gave it, and compare what both make of that.

    Parameters
    ----------
    path
        The file; other files are written beside it.
    feeds
        Its inputs.
    theirs, ours
        Run a file in the other runtime, and in one that is trusted.

    Returns
    -------
    tuple of float and str
        The largest difference, relative to the largest number that the node makes, and the node's operator.
    """
    model = onnx.load(path)
    made = {o for n in model.graph.node for o in n.output if o}
    worst = 0.0, ""
    for start in range(0, len(model.graph.node), _AT_ONCE):
        nodes = model.graph.node[start : start + _AT_ONCE]
        found = theirs(_asking(model, nodes, made, path.with_name("asking.onnx")), feeds)
        alone, given = _alone(model, nodes, made & set(found), path.with_name("alone.onnx"))
        expected = ours(alone, {**feeds, **{f"given/{name}": found[name] for name in given}})
        for node in nodes:
            for name in node.output:
                if name not in expected or name not in found or expected[name].dtype.kind != "f":
                    continue
                apart = _apart(found[name], expected[name])
                worst = (apart, node.op_type) if not apart <= worst[0] else worst  # NaN too
    return worst


def _asking(model: onnx.ModelProto, nodes: list[onnx.NodeProto], made: set[str], path: Path) -> Path:
    """Write a model that also gives what nodes read and make."""
    asking = onnx.ModelProto()
    asking.CopyFrom(model)
    given = {o.name for o in asking.graph.output}
    wanted = {v for n in nodes for v in (*n.input, *n.output) if v in made} - given
    asking.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    onnx.save(asking, path)
    return path


def _alone(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], known: set[str], path: Path
) -> tuple[Path, set[str]]:
    """Write a model of the nodes alone, each of which reads inputs of the model."""
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    del alone.graph.node[:], alone.graph.output[:]
    types = _types(path.with_name("asking.onnx"))
    given = set()
    for node in nodes:
        copy = alone.graph.node.add()
        copy.CopyFrom(node)
        for k, name in enumerate(node.input):
            if name in known:
                copy.input[k] = f"given/{name}"
                given.add(name)
        alone.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
    for name in sorted(given):
        alone.graph.input.append(onnx.helper.make_tensor_value_info(f"given/{name}", types[name], None))
    onnx.save(alone, path)
    return path, given


def _types(path: Path) -> dict[str, int]:
    """Return the types of a model's outputs, as onnxruntime finds them."""
    import onnxruntime as ort

    names = {
        "float": 1,
        "int32": 6,
        "int64": 7,
        "bool": 9,
        "double": 11,
        "uint8": 2,
        "int8": 3,
        "float16": 10,
    }
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return {o.name: names[o.type.removeprefix("tensor(").removesuffix(")")] for o in session.get_outputs()}


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    if not expected.size:
        return 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    return float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-30)
