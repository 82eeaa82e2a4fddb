"""An exchange: what went each way when two vaults were synced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from casvault.sync.transfer import SyncResult

__all__ = ["Exchange"]


@dataclass(frozen=True)
class Exchange:
    """What was ``sent`` to the other vault, and then ``received`` from it."""

    sent: SyncResult
    received: SyncResult

    def to_json(self) -> dict[str, Any]:
        """Return both results as one, for `--json`."""
        return {
            **self.sent.to_json(),
            **self.received.to_json(),
            "wire_bytes": self.sent.wire_bytes + self.received.wire_bytes,
            "seconds": round(self.sent.seconds + self.received.seconds, 3),
            "refused": {**self.sent.refused, **self.received.refused},
            "conflicts": {**self.sent.conflicts, **self.received.conflicts},
            "failed": {**self.sent.failed, **self.received.failed},
        }
