"""A stand-in for torchvision, of which other toolboxes need the names alone."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

_NAMES: dict[str, tuple[str, ...]] = {
    "torchvision": (),
    "torchvision.models": (),
    "torchvision.models.resnet": ("Bottleneck", "BasicBlock"),
    "torchvision.transforms": ("Compose", "Normalize", "ToTensor"),
    "torchvision.transforms.functional": ("resize",),
}


def torchvision_or_stand_in() -> None:
    """Put a stand-in in torchvision's place where that does not load."""
    try:
        for name in _NAMES:
            importlib.import_module(name)
    except (ImportError, RuntimeError, AttributeError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name, held in _NAMES.items():
            made: Any = types.ModuleType(name)
            made.__path__ = []
            for one in held:
                setattr(made, one, type(one, (), {}))
            sys.modules[name] = made
            above, _, last = name.rpartition(".")
            if above:
                setattr(sys.modules[above], last, made)


def import_grad_cam() -> Any:
    """Import pytorch-grad-cam."""
    torchvision_or_stand_in()
    return importlib.import_module("pytorch_grad_cam")


def import_quantus() -> Any:
    """Import Quantus, which imports zennit where that is installed."""
    torchvision_or_stand_in()
    return importlib.import_module("quantus")
