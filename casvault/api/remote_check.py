"""What was found where a remote should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casvault.sync import RemoteEntry

__all__ = ["RemoteCheck"]


@dataclass(frozen=True)
class RemoteCheck:
    """What answered at a remote: the vault's ``uuid``, and how many ``snapshots`` it has that are not deleted.

    In a bucket there may be no vault yet, and ``uuid`` is None; ``can`` says what can be done there, ``cannot`` what
    can't be, and why.
    """

    entry: RemoteEntry
    uuid: str | None
    snapshots: int
    can: tuple[str, ...] = ()
    cannot: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        document = {**self.entry.to_json(), "uuid": self.uuid, "snapshots": self.snapshots}
        return {**document, "can": list(self.can), "cannot": dict(self.cannot)} if self.can or self.cannot else document
