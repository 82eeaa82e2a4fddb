"""A head: a snapshot as lists show it, which is its manifest without the files, and its newest label."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from casvault.manifest.label import Label
from casvault.manifest.stamp import from_iso

__all__ = ["Head"]


@dataclass(frozen=True)
class Head:
    """One snapshot's head.

    ``document`` is the manifest but for its files; ``size`` the plain bytes of all files; ``contents`` a digest of
    paths and bytes; ``doubtful`` says that its newest label cannot be read, so that nobody knows whether it is pinned.
    """

    document: dict[str, Any]
    label: Label
    size: int
    file_count: int
    contents: str
    doubtful: bool = False

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return str(self.document["id"])

    @property
    def created(self) -> str:
        """When it was taken, ISO 8601 in UTC."""
        return str(self.document["created"])

    @property
    def saved_at(self) -> str | None:
        """When the trainer saved what it holds, ISO 8601 in UTC."""
        return self.document["saved_at"]  # type: ignore[no-any-return]

    @property
    def moment(self) -> datetime:
        """When the trainer saved it, in UTC, but never after it was taken: a file's time may be anything."""
        created = from_iso(self.created)
        return created if self.saved_at is None else min(from_iso(self.saved_at), created)

    @property
    def kind(self) -> str:
        """manual, auto-backup, scheduled or imported."""
        return str(self.document["kind"])

    @property
    def name(self) -> str | None:
        """The name that people gave it."""
        return self.label.name

    @property
    def title(self) -> str:
        """The name, or where it has none the id's tail: what to call it in a sentence."""
        return self.label.name or self.id[-6:]

    @property
    def model_name(self) -> str:
        """The model's name, such as new_SAEHD."""
        return str(self.document["model"]["name"])

    @property
    def model_type(self) -> str | None:
        """The model's type, such as SAEHD."""
        return self.document["model"]["type"]  # type: ignore[no-any-return]

    @property
    def source(self) -> str:
        """The folder that the model was in, relative to the vault's parent where it can be."""
        return str(self.document["model"]["source"])

    @property
    def place(self) -> str:
        """Where its model is at home: the source, or of a step (checkpoint-500) the folder that all steps are in."""
        return str((self.document["meta"] or {}).get("steps_of") or self.source)

    @property
    def iteration(self) -> int | None:
        """The trainer's iteration."""
        return self.document["iteration"]  # type: ignore[no-any-return]

    @property
    def loss(self) -> dict[str, float | None] | None:
        """Loss name -> mean of the last 100 iterations."""
        return self.document["loss"]  # type: ignore[no-any-return]

    @property
    def incomplete(self) -> bool:
        """Whether it holds something that was not a whole save."""
        return bool(self.document["incomplete"])

    @property
    def health(self) -> str:
        """The model's health: ok, suspect or broken."""
        health = self.document["health"]
        return "ok" if health is None else str(health.get("state"))

    @property
    def findings(self) -> tuple[str, ...]:
        """What speaks against the model's health, in sentences."""
        return tuple(map(str, (self.document["health"] or {}).get("findings", ())))

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against the model's health."""
        return self.health == "ok"

    def to_json(self) -> dict[str, Any]:
        """Return the head for `--json`: the manifest's, the label's, and what is told from the files."""
        return {
            **self.document,
            "name": self.label.name,
            "notes": self.label.notes,
            "pinned": self.label.pinned,
            "tags": list(self.label.tags),
            "thinned": list(self.label.thinned),
            "deleted": self.label.deleted,
            "logical_bytes": self.size,
            "file_count": self.file_count,
        }
