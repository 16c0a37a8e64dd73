"""What each operator is, in one line: what moves values only, what is elementwise, where its weight is...

One file per family declares it; passes and rules ask (:func:`operators`, :func:`is_a`, :func:`traits`), and
keep no lists of names.  ``tests/graph/test_traits.py`` holds the table against the standard's own cases.
"""

from onnxplain.graph.traits import elementwise, layers, moving, others
from onnxplain.graph.traits.table import Is, Traits, declared, is_a, movers, operators, rows, traits

__all__ = ["Is", "Traits", "declared", "is_a", "movers", "operators", "rows", "traits"]

del elementwise, layers, moving, others  # imported for what they declare
