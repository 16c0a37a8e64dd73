"""What an exported model is as a file: its weights once, its size, what it says of itself."""

from onnxplain.exported_file.share import share_weights
from onnxplain.exported_file.write import Written, weights_size, write_file

__all__ = ["Written", "share_weights", "weights_size", "write_file"]
