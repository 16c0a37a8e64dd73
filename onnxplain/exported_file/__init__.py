"""What an exported model is as a file: its weights once, its size, what it says of itself."""

from onnxplain.exported_file.card import write_card
from onnxplain.exported_file.half_weights import halve_weights
from onnxplain.exported_file.integers import integers_of, keep_integers
from onnxplain.exported_file.limits import OWN_LIMIT, limits_of
from onnxplain.exported_file.opset import OLDEST, Lowered, lower_opset
from onnxplain.exported_file.own import own_weights
from onnxplain.exported_file.record import KEY, OWN, Record, read_record, recorded
from onnxplain.exported_file.scopes import distinct_names, graphs_of
from onnxplain.exported_file.share import share_weights
from onnxplain.exported_file.unfused import keep_unfused
from onnxplain.exported_file.write import Written, weights_size, write_file

__all__ = [
    "KEY",
    "OLDEST",
    "OWN",
    "OWN_LIMIT",
    "Lowered",
    "Record",
    "Written",
    "distinct_names",
    "graphs_of",
    "halve_weights",
    "integers_of",
    "keep_integers",
    "keep_unfused",
    "limits_of",
    "lower_opset",
    "own_weights",
    "read_record",
    "recorded",
    "share_weights",
    "weights_size",
    "write_card",
    "write_file",
]
