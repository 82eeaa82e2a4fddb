"""What is asked of a transfer, and what came of it.

Owns the members of the JSON that `push`, `pull` and `sync` print.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SyncOptions", "SyncResult"]

RETRIES = 5


@dataclass(frozen=True)
class SyncOptions:
    """What travels: ``snapshots`` by reference, else all of ``model``, else all; ``latest`` only the newest whole one.

    ``delete`` lets deletions and thinnings travel as well. ``limit_rate`` are bytes per second, None for no limit.
    ``pause`` is asked between two snapshots: where it says so, the rest is left for another time.
    A link that broke is tried anew ``retries`` times in a row, as long as nothing more arrives.
    """

    snapshots: tuple[str, ...] = ()
    model: str | None = None
    latest: bool = False
    delete: bool = False
    dry_run: bool = False
    limit_rate: int | None = None
    retries: int = RETRIES
    pause: Callable[[], bool] | None = None


@dataclass
class SyncResult:
    """What travelled one way: ids of ``snapshots``, how many ``objects`` of how many stored bytes, ``labels``.

    ``way`` is sent or received. ``logical_bytes`` are those of the models in the snapshots; ``wire_bytes`` is all that
    went over the wire, both ways; ``retries`` how often a link was made anew. ``refused``, ``conflicts`` and ``failed``
    say by id why a snapshot stayed where it is.
    """

    snapshots: list[str] = field(default_factory=list)
    logical_bytes: int = 0
    objects: int = 0
    object_bytes: int = 0
    wire_bytes: int = 0
    seconds: float = 0.0
    labels: int = 0
    retries: int = 0
    deleted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    way: str = "sent"

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        way = self.way
        return {
            f"snapshots_{way}": len(self.snapshots),
            f"logical_bytes_{way}": self.logical_bytes,
            f"objects_{way}": self.objects,
            f"object_bytes_{way}": self.object_bytes,
            f"labels_{way}": self.labels,
            f"deletions_{way}": len(self.deleted),
            way: self.snapshots,
            "wire_bytes": self.wire_bytes,
            "seconds": round(self.seconds, 3),
            "retries": self.retries,
            "refused": self.refused,
            "conflicts": self.conflicts,
            "failed": self.failed,
            "dry_run": self.dry_run,
        }
