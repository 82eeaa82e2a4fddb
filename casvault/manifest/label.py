"""A label: what people may change about a snapshot. Each change writes a whole new label; the newest wins.

Owns the invariant that names and notes are plain text: no control characters but line ends and tabs in notes, so that
what one person wrote cannot steer another person's terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from casvault.errors import UsageError
from casvault.manifest.document import read_document, write_document
from casvault.manifest.stamp import Stamp

__all__ = ["Label", "check_name", "check_notes", "check_tag", "label_parts"]

FORMAT = 1
_MAX_NAME = 200
_MAX_NOTES = 100_000
_MAX_TAG = 50
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]")


@dataclass(frozen=True)
class Label:
    """Name, notes, tags and marks of one snapshot; ``thinned`` are the paths that were dropped from it."""

    snapshot: str
    name: str | None = None
    notes: str | None = None
    pinned: bool = False
    tags: tuple[str, ...] = ()
    thinned: tuple[str, ...] = ()
    deleted: bool = False

    def check_unpinned(self) -> None:
        """Raise UsageError for a pinned snapshot, with the way out."""
        if self.pinned:
            raise UsageError(
                f"snapshot '{self.name or self.snapshot[-6:]}' is pinned; "
                f"`casvault edit {self.snapshot[-6:]} --unpin` lets go of it."
            )

    def to_json(self) -> dict[str, Any]:
        """Return the label's members as they stand in the document."""
        return {
            "format": FORMAT,
            "snapshot": self.snapshot,
            "name": self.name,
            "notes": self.notes,
            "pinned": self.pinned,
            "tags": list(self.tags),
            "thinned": list(self.thinned),
            "deleted": self.deleted,
        }

    def to_bytes(self) -> bytes:
        """Return the document."""
        return write_document(self.to_json())

    @classmethod
    def parse(cls, data: bytes, name: str) -> Label:
        """Read the label stored as ``name`` (``<id>.<time>``); raises BadManifest."""
        fields = read_document(data, f"label {name}")
        snapshot = fields.text("snapshot", Stamp.valid)
        if fields.values.get("format") != FORMAT or snapshot != label_parts(name)[0]:
            raise fields.bad("snapshot or format", "does not fit its name")
        return cls(
            snapshot=snapshot,
            name=_harmless(fields.text_or_none("name")),
            notes=_harmless(fields.text_or_none("notes")),
            pinned=fields.flag("pinned"),
            tags=tuple(_CONTROL.sub("?", tag) for tag in fields.items("tags", str)),
            thinned=fields.items("thinned", str),
            deleted=fields.flag("deleted"),
        )


def _harmless(text: str | None) -> str | None:
    """Take out what `check_name` and `check_notes` would have refused: the label may have another writer."""
    return text and _CONTROL.sub("?", text)


def label_parts(name: str) -> tuple[str, str]:
    """Split a label's name, without its suffix, into the snapshot's id and the label's own stamp."""
    middle = len(name) // 2
    return name[:middle], name[middle + 1 :]


def check_name(name: str | None) -> str | None:
    """Return ``name`` as it will be kept, None for an empty one; raises UsageError."""
    if name is None or not name.strip():
        return None
    name = name.strip()
    if len(name) > _MAX_NAME or "\n" in name or "\t" in name or _CONTROL.search(name):
        raise UsageError(
            f"the name {name[:40]!r} must be one line of at most {_MAX_NAME} characters without control characters."
        )
    return name


def check_notes(notes: str | None) -> str | None:
    """Return ``notes`` as they will be kept, None for empty ones; raises UsageError."""
    if notes is None or not notes.strip():
        return None
    notes = notes.replace("\r\n", "\n").strip()
    if len(notes) > _MAX_NOTES or _CONTROL.search(notes):
        raise UsageError(f"the notes must be at most {_MAX_NOTES} characters of plain text without control characters.")
    return notes


def check_tag(tag: str) -> str:
    """Return ``tag`` as it will be kept: one short word or more; raises UsageError."""
    kept = tag.strip()
    if not kept or len(kept) > _MAX_TAG or "\n" in kept or "\t" in kept or _CONTROL.search(kept):
        raise UsageError(f"the tag {tag[:40]!r} must be 1 to {_MAX_TAG} characters without control characters.")
    return kept
