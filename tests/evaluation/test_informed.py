"""Methods are told only what they have a use for."""

from __future__ import annotations

import pytest
from kinds import made

import onnxplain as ox
from onnxplain.baselines import refuse_unused
from onnxplain.evaluation.chosen import chosen_methods
from onnxplain.evaluation.setting import informed
from onnxplain.grouping import refuse_mask


@pytest.mark.parametrize("name", ox.METHODS)
def test_no_method_is_told_what_it_refuses(name) -> None:
    method = made(name)
    (entry,) = chosen_methods([method], None)
    told = informed(entry, {"baselines": 0.0}, "pixels").options
    refuse_unused(told.get("baselines"), method)
    refuse_mask(told.get("feature_mask"), method)
    assert ("baselines" in told) == method.wants_baselines()
