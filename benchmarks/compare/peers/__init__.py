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
    slow
        Whether getting ready takes minutes, so that it takes part only where it is asked for.
    """

    module: str
    needs: dict[str, str]
    slow: bool = False

    def offer(self, case: Case, setting: Setting) -> dict[str, Entrant]:
        """Return its ways to do a work, by label.

        Raises
        ------
        LeftOut
            If it is not installed, or does not do this.
        """
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
    "torch": Peer("autograd", _TORCH),
    "torch.compile": Peer("compiled", _TORCH, slow=True),
    "captum": Peer("captum", {**_TORCH, "captum": "captum"}),
    "zennit": Peer("zennit", {**_TORCH, "zennit": "zennit"}),
    "grad-cam": Peer("grad_cam", {**_TORCH, "pytorch_grad_cam": "grad-cam", "cv2": "opencv-python-headless"}),
    "saliency": Peer("saliency", {**_TORCH, "saliency": "saliency"}),
    "shap": Peer("shap", {"shap": "shap"}),
    "dianna": Peer("dianna", {"dianna": "dianna", "xarray": "xarray"}),
}
