"""Running the command line within the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper
from typer.testing import CliRunner

from onnxplain.commands.cli import app
from onnxplain.data import digits_model_path

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

MODEL = str(digits_model_path())


def run(*arguments: str, code: int = 0) -> Result:
    """Run the command line and check its exit code."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failure(*arguments: str) -> str:
    """Run something that must fail, and return the one line it says."""
    result = run(*arguments, code=2)
    assert result.stdout == ""
    (line,) = [text for text in result.stderr.splitlines() if "%|" not in text]
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


def two_inputs(path: Path) -> None:
    """Write a model of two inputs: y = sum(2 a + b)."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "a"], ["aa"]),
            helper.make_node("Add", ["aa", "b"], ["c"]),
            helper.make_node("ReduceSum", ["c", "axes"], ["y"], keepdims=1),
        ],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
