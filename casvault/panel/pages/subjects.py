"""Subjects: what can be looked at in a chart or a comparison, named in an address by a snapshot's id or a model's key.

Owns the invariant that an address names nothing but snapshots of the vault and models that the desk knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casvault import api
from casvault.api import Head
from casvault.errors import CasvaultError, NotFound
from casvault.panel.panel import Panel

__all__ = ["Subject", "is_live", "live_subjects", "stored_subjects", "subject_of"]

_KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Subject:
    """A snapshot (``head``) or a live model: its name in an address, what it is called, and its model's name.

    ``path`` is what the Python interface knows it by.
    """

    key: str
    title: str
    model: str
    path: str | Path
    head: Head | None = None


def is_live(key: str) -> bool:
    """Tell whether a name in an address is that of a live model: a snapshot's id is no such number."""
    return _KEY.fullmatch(key) is not None


def subject_of(panel: Panel, key: str) -> Subject:
    """Return what ``key`` stands for; raises NotFound."""
    if is_live(key):
        model = panel.desk.model(key)
        path = api.path_to(model)
        return Subject(key, f"{model.name} as it is now", model.name, path)
    heads = {head.id: head for head in panel.vault.snapshots()}
    if key not in heads:
        raise NotFound("there is no such snapshot any more; choose another one.")
    return _stored(heads[key])


def stored_subjects(heads: Sequence[Head]) -> list[Subject]:
    """Return the snapshots as subjects, the newest first."""
    return [_stored(head) for head in reversed(heads)]


def live_subjects(panel: Panel) -> list[Subject]:
    """Return the live models that can be read, by name."""
    found = []
    for key in panel.desk.models():
        try:
            found.append(subject_of(panel, key))
        except CasvaultError:
            continue
    return sorted(found, key=lambda one: one.model)


def _stored(head: Head) -> Subject:
    place = "" if head.iteration is None else f", iteration {head.iteration:,}"
    name = head.name or f"Snapshot {head.id[-6:]}"
    return Subject(head.id, f"{name}{place}", head.model_name, head.id, head)
