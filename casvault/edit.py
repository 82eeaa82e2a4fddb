"""Edit: what people may change about a snapshot at any time.

Owns the invariant that an edit changes what was asked for and nothing else: it starts from the newest label, with
nobody else at work on labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from casvault.errors import UsageError
from casvault.manifest.label import Label, check_name, check_notes, check_tag
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["Edit", "edit"]


@dataclass(frozen=True)
class Edit:
    """A change: None leaves a member as it is, an empty text takes it away; ``tag`` adds and ``untag`` removes."""

    name: str | None = None
    notes: str | None = None
    pinned: bool | None = None
    tag: Sequence[str] = ()
    untag: Sequence[str] = ()

    def apply(self, label: Label) -> Label:
        """Return the label with the change made; raises UsageError for what cannot be kept."""
        tags = [*label.tags, *(check_tag(tag) for tag in self.tag)]
        untag = [tag.strip() for tag in self.untag]
        missing = [tag for tag in untag if tag not in tags]
        if missing:
            raise UsageError(f"the snapshot has no tag {missing[0]!r}; `casvault show` tells those that it has.")
        return replace(
            label,
            name=label.name if self.name is None else check_name(self.name),
            notes=label.notes if self.notes is None else check_notes(self.notes),
            pinned=label.pinned if self.pinned is None else self.pinned,
            tags=tuple(dict.fromkeys(tag for tag in tags if tag not in untag)),
        )


def edit(vault: Vault, id: str, change: Edit) -> Head:
    """Change the label of a snapshot and return its head; raises NotFound, UsageError, Locked, NoSpace."""
    head = vault.head(id)
    return replace(head, label=vault.relabel(id, "edit", change.apply))
