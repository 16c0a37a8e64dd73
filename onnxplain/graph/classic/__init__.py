"""Models and preprocessing of classical machine learning (ai.onnx.ml), in operators of the standard.

Importing this package enters them in :data:`~onnxplain.graph.decomposition.DECOMPOSITIONS`.
"""

from onnxplain.graph.classic import features, linear, svm, trees

__all__ = ["features", "linear", "svm", "trees"]
