"""Methods cost what they say: points at which the model is asked, by sample."""

from __future__ import annotations

import pytest

import onnxplain as ox
from onnxplain.runtime.driver import Driver

#: Points with n_steps or n_samples of 5; one more where a method does not ask at the input itself.
COSTS = {
    ox.Saliency(): 1,
    ox.SmoothGrad(n_samples=5): 5 + 1,
    ox.IntegratedGradients(n_steps=5): 5 + 2,
    ox.IDGI(n_steps=5): 6 + 1,
    ox.GuidedIG(n_steps=5): 6,
    ox.BlurIG(n_steps=5, max_sigma=2.0): 6 + 1,
    ox.ExpectedGradients(n_samples=5): 5 + 1,
    ox.XRAI(n_steps=5, scales=(10.0,), min_size=2, segment_size=None): 10 + 1,
    ox.MeaningfulPerturbation(n_steps=5): 5 + 3,
    ox.LayerActivation("r3"): 1,
    ox.LayerGradientXActivation("r3"): 1,
    ox.LayerConductance("r3", n_steps=5): 7 + 1,
    ox.InternalInfluence("r3", n_steps=5): 5 + 1,
    ox.NeuronConductance(n_steps=5, neuron=("r3", (1, 0, 0))): 10 + 1,
    ox.GradCam(): 1,
    ox.Cam(): 1,
    ox.EigenCam(): 1,
    ox.ScoreCam(): 8 + 1,
    ox.AblationCam(): 8 + 1,
    ox.ShapleyCam(): 3,
    ox.GuidedGradCam(): 2,
}


@pytest.mark.parametrize("method", COSTS, ids=lambda m: m.name)
@pytest.mark.parametrize("target", [1, "predicted"])
def test_points_are_as_many_as_said(method, target, models, monkeypatch) -> None:
    asked = []
    run = Driver._run

    def counted(self, question, program, executable, rows, predictions):
        asked.append(len(rows))
        return run(self, question, program, executable, rows, predictions)

    monkeypatch.setattr(Driver, "_run", counted)
    ox.explain(models.conv(), models.random(2, 2, 8, 8, seed=5), target, method=method)
    assert sum(asked) == 2 * COSTS[method]
