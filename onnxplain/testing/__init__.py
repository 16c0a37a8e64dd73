"""Checking gradients: for this package's own tests, and for yours if you register an operator.

>>> from onnxplain.testing import check_gradient
>>> check_gradient("model.onnx", {"x": x}).relative_error  # doctest: +SKIP
"""

from onnxplain.testing.gradients import TOLERANCES, GradientCheck, GradientProblem, check_gradient

__all__ = ["TOLERANCES", "GradientCheck", "GradientProblem", "check_gradient"]
