"""TCAV beside Captum's, by the same vectors.

What differs by design: Captum fits ``SGDClassifier(alpha=0.01)`` of its own draws to each set of concepts and
leaves tests to its user; ours fits logistic regression to many draws, with directions of length 1, and tests
them.  So Captum is given the vectors that ours found: shares and magnitudes must be the same.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch


def test_scores_of_the_same_vectors(torch_networks: Any, tmp_path: Any) -> None:
    import torch

    pytest.importorskip("captum.concept", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.concept import TCAV, Classifier, Concept

    net = torch_networks.network("vgg")
    draw = np.random.default_rng(0)
    x, concept, random = (draw.standard_normal((n, *net.shape)).astype(np.float32) for n in (12, 9, 40))
    concept[:, 0] += 2
    explainer = ox.Explainer(torch_networks.export(net, x), device="cpu")
    layer = next(str(n.outputs[0].name) for n in explainer._normal.model.graph if n.op_type == "Relu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ox.tcav(explainer, x, 2, layer=layer, concepts={"red": concept}, random=random, n_runs=3)
    vector = found.vectors[layer, "red"][1]

    class Given(Classifier):
        def __init__(self) -> None:
            """Take nothing."""

        def train_and_eval(self, dataloader: Any, **kwargs: Any) -> dict[str, Any]:
            return {"accs": torch.tensor(1.0)}

        def weights(self) -> torch.Tensor:
            return torch.from_numpy(np.stack([vector, -vector]))

        def classes(self) -> list[int]:
            return [0, 1]

    def batches(arrays: np.ndarray) -> Any:
        return torch.utils.data.DataLoader(torch.from_numpy(arrays), batch_size=8)

    red, other = Concept(0, "red", batches(concept)), Concept(1, "random", batches(random[:9]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = TCAV(net, ["features.1"], model_id="toy", classifier=Given(), save_path=str(tmp_path))
        wanted = peer.interpret(torch.from_numpy(x), [[red, other]], 2)["0-1"]["features.1"]
    s = found.sensitivities[layer, "red"][1]
    assert float(wanted["sign_count"][0]) == pytest.approx(found.scores[layer, "red"][1])
    assert float(wanted["magnitude"][0]) == pytest.approx(s.mean(), rel=1e-3, abs=1e-6)
