"""What belongs to a trainer's model on disk, what it is called, and what its state is; nothing writes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from casvault.models.deepfacelab import DeepFaceLab
from casvault.models.generic import Generic, generic_model
from casvault.models.kind import Kind
from casvault.models.model import History, Model, ModelFile, Scalar, State
from casvault.models.resolve import find_again, find_models, kind_named, models_below, resolve

if TYPE_CHECKING:
    from casvault.models.trainer import Trainer, find_trainers

__all__ = [
    "DeepFaceLab",
    "Generic",
    "History",
    "Kind",
    "Model",
    "ModelFile",
    "Scalar",
    "State",
    "Trainer",
    "find_again",
    "find_models",
    "find_trainers",
    "generic_model",
    "kind_named",
    "models_below",
    "resolve",
]


def __getattr__(name: str) -> Any:
    # Looking for processes is for a few commands only.
    if name not in ("Trainer", "find_trainers"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("casvault.models.trainer"), name)
