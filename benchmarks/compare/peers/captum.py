"""Captum's methods, with its own batches as large as is fastest."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from captum import attr

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.exactness import scaled, steps_to_tolerance
from benchmarks.compare.peers.networks import explained, leaf, twin
from benchmarks.compare.racing import fastest
from benchmarks.compare.settings import Entrant, Job, Setting
from benchmarks.compare.works import WORKS, noise, windows

__all__ = ["offer"]

_Attribute = Callable[..., Any]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return Captum's form of a work."""
    if case.kind == "tokens" and setting.work != "gradient":
        raise LeftOut("is raced by its gradient at the embedding alone")
    net = twin(case, setting)
    if setting.work == "occlusion":
        return _occlusion(net, case)
    return {f"Captum {_NAMES[setting.work]}": _MADE[setting.work](net, case, setting)}


def _call(method: Any, net: Any, case: Case, **options: Any) -> Any:
    return explained(method.attribute(leaf(net, case), target=torch.tensor(case.targets), **options), case)


def _plain(make: Callable[[Any], Any], net: Any, case: Case, setting: Setting, **options: Any) -> Entrant:
    method = make(net)
    return Entrant(lambda: _call(method, net, case, **options))


def _lrp(net: Any, case: Case, setting: Setting) -> Entrant:
    net = copy.deepcopy(net)  # where it fails, its hooks stay
    method = attr.LRP(net)
    try:
        _call(method, net, case)
    except (TypeError, AssertionError, RuntimeError) as error:
        raise LeftOut(f"its LRP does not take this network: {str(error).split('.')[0]}") from error
    return Entrant(lambda: _call(method, net, case))


def _path(net: Any, case: Case, setting: Setting) -> Entrant:
    method = attr.IntegratedGradients(net)

    def missing(steps: int) -> float:
        made, off = method.attribute(
            leaf(net, case), target=torch.tensor(case.targets), n_steps=steps, internal_batch_size=16,
            return_convergence_delta=True,
        )  # fmt: skip
        sums = made.detach().double().flatten(1).sum(1)
        return float((off.double() / (sums - off.double())).abs().max())

    steps, said = setting.size, ""
    if steps is None:
        steps, off = steps_to_tolerance(missing)
        said = f"{steps} steps, {off:.2%} missing; "
    variants: dict[str, Job] = {
        f"{at} at once": partial(_call, method, net, case, n_steps=steps, internal_batch_size=at)
        for at in (4, 16, 64)
    }
    best = fastest(variants)
    return Entrant(best.job, said + best.says)


def _smooth(net: Any, case: Case, setting: Setting) -> Entrant:
    method = attr.NoiseTunnel(attr.Saliency(net))
    options = {
        "nt_type": "smoothgrad", "nt_samples": setting.size or WORKS[setting.work].size,
        "stdevs": noise(case), "abs": False,
    }  # fmt: skip
    return fastest({
        f"{at} at once": partial(_call, method, net, case, nt_samples_batch_size=at, **options)
        for at in (1, 5, 25)
    })  # fmt: skip


def _cam(net: Any, case: Case, setting: Setting) -> Entrant:
    method = attr.LayerGradCam(net, net.last_with_space())
    side = case.x.shape[2:]

    def run() -> Any:
        made = method.attribute(leaf(net, case), torch.tensor(case.targets), relu_attributions=True)
        drawn = attr.LayerAttribution.interpolate(made, side, "bilinear")
        return scaled(drawn[:, 0].detach().numpy())

    return Entrant(run)


def _occlusion(net: Any, case: Case) -> dict[str, Entrant]:
    """Return it as it comes, which is one window at a time, and with the windows at once that are fastest."""
    method = attr.Occlusion(net)
    shape, moves = windows(case)

    def run(at: int) -> Any:
        with torch.no_grad():
            return _call(
                method, net, case, sliding_window_shapes=shape, strides=moves, perturbations_per_eval=at
            )

    return {
        "Captum Occlusion": Entrant(partial(run, 1), "1 at once, as it comes"),
        "Captum Occlusion, in batches": fastest({f"{at} at once": partial(run, at) for at in (16, 128)}),
    }


_MADE: dict[str, Callable[[Any, Case, Setting], Entrant]] = {
    "gradient": partial(_plain, attr.Saliency, abs=False),
    "guided": partial(_plain, attr.GuidedBackprop),
    "deep_lift": partial(_plain, attr.DeepLift),
    "lrp_epsilon": _lrp,
    "integrated_gradients": _path,
    "smooth_grad": _smooth,
    "grad_cam": _cam,
}
_NAMES = {
    "gradient": "Saliency", "guided": "GuidedBackprop", "deep_lift": "DeepLift", "lrp_epsilon": "LRP",
    "integrated_gradients": "IntegratedGradients", "smooth_grad": "NoiseTunnel", "grad_cam": "LayerGradCam",
}  # fmt: skip
