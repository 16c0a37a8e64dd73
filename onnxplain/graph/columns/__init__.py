"""Which players each number inside a model is made of, by proof; and what a score is the sum of."""

from onnxplain.graph.columns.codes import MIXED, NOBODY
from onnxplain.graph.columns.follow import Columns, follow
from onnxplain.graph.columns.parts import Parts, parts

__all__ = ["MIXED", "NOBODY", "Columns", "Parts", "follow", "parts"]
