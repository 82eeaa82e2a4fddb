"""The first run: there is no vault yet; which models are near by."""

from __future__ import annotations

from dataclasses import dataclass

from casvault.api import Model
from casvault.figures import size
from casvault.panel.panel import Panel
from casvault.panel.words import plural

__all__ = ["Found", "found_near"]


@dataclass(frozen=True)
class Found:
    """A model that has no snapshot yet: its key, and what to say of it."""

    key: str
    name: str
    type: str
    folder: str
    told: str


def found_near(panel: Panel) -> list[Found]:
    """Return the models that the panel knows."""
    return [found(key, model) for key, model in panel.desk.models().items()]


def found(key: str, model: Model) -> Found:
    """Return what to say of a model that has no snapshot yet."""
    return Found(
        key, model.name, model.type or "", str(model.folder), f"{plural(len(model.files), 'file')}, {_size(model)}"
    )


def _size(model: Model) -> str:
    total = 0
    for file in model.files:
        try:
            total += (model.folder / file.path).stat().st_size
        except OSError:
            # It is being saved: that it was there is enough to offer a snapshot of it.
            continue
    return size(total)
