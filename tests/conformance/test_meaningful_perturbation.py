"""The same game in torch: bilinear masks by ``interpolate``, slopes by autograd, ``torch.optim.Adam``.

The paper's own code (Caffe) smooths and moves the mask besides; that is tested by its slope, without a peer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def in_torch(
    x: Any, b: Any, model: Any, game: str, steps: int, l1: float, tv: float
) -> tuple[Any, list[float]]:
    """Return what is found for one image, and the losses."""
    m = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([m], lr=0.1)
    low, high = model(b).item(), model(x).item()
    losses = []
    for _ in range(steps):
        wide = torch.nn.functional.interpolate(m, size=(8, 8), mode="bilinear", align_corners=False)
        reached = (model(wide * x + (1 - wide) * b) - low) / abs(high - low)
        down = torch.nn.functional.pad(m[..., 1:, :] - m[..., :-1, :], (0, 0, 0, 1))
        right = torch.nn.functional.pad(m[..., :, 1:] - m[..., :, :-1], (0, 1))
        rough = ((down**2 + right**2).clamp(min=1e-12) ** 1.5).sum()
        if game == "deletion":
            loss = l1 * (1 - m).sum() + tv * rough + reached.clamp(min=0).sum()
        else:
            loss = l1 * m.sum() + tv * rough - reached.clamp(max=1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            m.clamp_(0, 1)
        losses.append(loss.item())
    wide = torch.nn.functional.interpolate(m, size=(8, 8), mode="bilinear", align_corners=False)
    found = 1 - wide if game == "deletion" else wide
    return found.detach().numpy(), losses


@pytest.mark.parametrize("game", ["deletion", "preservation"])
def test_the_same_mask_step_by_step(game, models) -> None:
    w, v = models.random(3, 2, 3, 3, scale=0.5), models.random(192, 1, seed=1, scale=0.3)
    model = models.make(
        "m (float[N, 2, 8, 8] x) => (float[N, 1] y) "
        "{ c = Conv<pads = [1, 1, 1, 1]>(x, w) t = Tanh(c) f = Flatten(t) y = MatMul(f, v) }",
        w=w, v=v,
    )  # fmt: skip

    def same(image: Any) -> Any:
        hidden = torch.tanh(torch.nn.functional.conv2d(image, torch.tensor(w).double(), padding=1))
        return hidden.flatten(1) @ torch.tensor(v).double()

    x = models.random(4, 2, 8, 8, seed=5)
    explainer = ox.Explainer(model)
    above = [k for k in range(4) if explainer.predict(x[k : k + 1])["y"][0, 0] > 0]
    assert above, "the test sees an image whose score is above the baseline's"
    x = x[above]
    found = explainer(
        x, None, "meaningful_perturbation", baselines=0, game=game, n_steps=25, mask_size=4, mask_sigma=0.0,
        jitter=1, l1=0.01, tv=0.05,
    )  # fmt: skip
    for k, image in enumerate(torch.tensor(x).double()):
        known, losses = in_torch(image[None], torch.zeros(1, 2, 8, 8).double(), same, game, 25, 0.01, 0.05)
        np.testing.assert_allclose(found.values[k, 0], known[0, 0], atol=2e-3)
        np.testing.assert_allclose(found.extras["history"]["loss"][k], losses, rtol=1e-3, atol=1e-3)
