"""An exported file in an older opset: for the runtimes that load its model, or those of years ago."""

from onnxplain.exported_file.opset.lower import Lowered, lower_opset
from onnxplain.exported_file.opset.schemas import OLDEST

__all__ = ["OLDEST", "Lowered", "lower_opset"]
