"""Who else explains: by name, what a peer needs, and what it offers for a work."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A toolbox.

    Attributes
    ----------
    module
        Of this package, with a function ``offer``.
    needs
        Modules that must be installed, and the distributions that bring them.
    works
        What it has a form of.
    kinds
        Of inputs that it takes, or that its form is written for.
    why
        It has no form of other works, in words.
    slow
        Whether getting ready takes minutes, so that it takes part only where it is asked for.
    """

    module: str
    needs: dict[str, str]
    works: tuple[str, ...]
    kinds: tuple[str, ...] = ("image", "tokens", "table")
    why: str = "has no such method"
    slow: bool = False

    def offer(self, case: Case, setting: Setting) -> dict[str, Entrant]:
        """Return its ways to do a work, by label.

        Raises
        ------
        LeftOut
            If it is not installed, or does not do this.
        """
        if setting.work not in self.works:
            raise LeftOut(self.why)
        if case.kind not in self.kinds:
            raise LeftOut(f"is raced on {' and '.join(self.kinds)}, and not on {case.kind}")
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise LeftOut(f"not installed: {', '.join(self.needs[name] for name in missing)}")
        made: dict[str, Entrant] = importlib.import_module(f"{__name__}.{self.module}").offer(case, setting)
        return made

    def versions(self) -> Iterator[tuple[str, str]]:
        """Tell what of its needs is installed."""
        for name, distribution in self.needs.items():
            if importlib.util.find_spec(name) is not None:
                yield distribution, importlib.metadata.version(distribution)


_TORCH = {"torch": "torch"}
PEERS: dict[str, Peer] = {
    "torch": Peer("autograd", _TORCH, ("gradient",), why="has gradients, and no other method"),
    "torch.compile": Peer(
        "compiled", _TORCH, ("gradient",), why="has gradients, and no other method", slow=True
    ),
    "captum": Peer(
        "captum", {**_TORCH, "captum": "captum"},
        (
            "gradient", "guided", "deep_lift", "lrp_epsilon", "integrated_gradients", "smooth_grad",
            "grad_cam", "occlusion",
        ),
        why="has no such rules for LRP, and its KernelShap takes one baseline, and not a background",
    ),
    "zennit": Peer(
        "zennit", {**_TORCH, "zennit": "zennit"},
        ("guided", "lrp_epsilon", "lrp_epsilon_plus", "lrp_alpha2_beta1"), ("image",),
        "is raced by its composites",
    ),
    "grad-cam": Peer(
        "grad_cam", {**_TORCH, "pytorch_grad_cam": "grad-cam", "cv2": "opencv-python-headless"},
        ("grad_cam",), why="has activation maps, and no other method that is raced",
    ),
    "saliency": Peer(
        "saliency", {**_TORCH, "saliency": "saliency"}, ("gradient", "smooth_grad"), ("image",),
        "has no such method, or one of other points",
    ),
    "shap": Peer("shap", {"shap": "shap"}, ("kernel_shap",), why="is raced by KernelSHAP on tables"),
    "dianna": Peer(
        "dianna", {"dianna": "dianna", "xarray": "xarray"}, ("rise",),
        why="is raced by RISE; its other methods are shap's and lime's",
    ),
}  # fmt: skip
