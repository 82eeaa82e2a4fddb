"""Verify: is everything there that the snapshots need, and is it what it was?

It changes nothing but the log of what was checked when. Owns the invariant that damage is reported by object and by the
snapshots it hits, never as the end of the check: what is whole stays usable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from casvault.check.damage import Damage
from casvault.check.examine import Fault, examine_all
from casvault.check.log import CheckLog, LastChecked
from casvault.errors import UsageError
from casvault.manifest.stamp import to_iso
from casvault.objects import ObjectName
from casvault.progress import Progress
from casvault.vault.vault import Vault

__all__ = ["VerifyResult", "last_checked", "read_through", "verify"]

_ID = 27
"""Characters of a snapshot's id, with which the names of its documents begin."""


@dataclass(frozen=True)
class VerifyResult:
    """What `verify` found. ``damaged`` has one sentence per damaged document or object; ``affected`` the snapshots
    hit.

    ``objects_checked`` were looked for, ``objects_read`` of them also read, which are ``bytes_checked`` stored bytes.
    """

    objects_checked: int
    objects_read: int
    bytes_checked: int
    damaged: tuple[str, ...]
    affected: tuple[str, ...]
    last_checked: LastChecked

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged

    @property
    def oldest_check(self) -> datetime | None:
        """When the object was read whose check is longest ago, to the hour; None where none ever was."""
        oldest = self.last_checked.oldest
        return datetime.fromtimestamp(oldest, timezone.utc) if oldest is not None else None

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "ok": self.ok,
            "objects_checked": self.objects_checked,
            "objects_read": self.objects_read,
            "bytes_checked": self.bytes_checked,
            "damaged": list(self.damaged),
            "affected_snapshots": list(self.affected),
            "oldest_check": to_iso(self.oldest_check) if self.oldest_check is not None else None,
            "never_checked": self.last_checked.never,
        }


def verify(
    vault: Vault, *, read_data: bool = False, sample: float | None = None, progress: Progress | None = None
) -> VerifyResult:
    """Check that every manifest and label holds together and that each chunk has an object with its bases.

    With ``read_data`` every object is also read, decoded and compared with its digest; with ``sample``, above 0 and at
    most 1, objects of that share of the stored bytes, those first that were not checked for longest. Raises UsageError,
    Locked, StorageError, Cancelled; never for damage.
    """
    if sample is not None and not 0 < sample <= 1:
        raise UsageError(f"a sample of {sample:g} is none: it is a share above 0 and at most 1.")
    progress = progress or Progress()
    with vault.locks.shared("verify"):
        vault.objects.forget()
        log = CheckLog(vault.backend)
        every = list(vault.objects.every())
        share = 1.0 if read_data else sample
        chosen = every if share == 1 else log.sample(every, share) if share is not None else []
        faults: Mapping[ObjectName, Fault] = {}
        if share is not None:
            faults = read_through(vault, chosen, every, log, progress)
        damage = Damage(vault, faults)
        affected = {*damage.files_of(damage.lost)} if damage.lost else set()
        told = damage.told()
    return VerifyResult(
        objects_checked=len(damage.objects),
        objects_read=len(chosen),
        bytes_checked=sum(name.size for name in chosen),
        damaged=tuple(told),
        affected=tuple(sorted(affected | {key[:_ID] for key in damage.documents})),
        last_checked=log.told(damage.objects),
    )


def last_checked(vault: Vault) -> LastChecked:
    """Return when what lies in the vault was last read and found whole, reading none of it; raises StorageError."""
    return CheckLog(vault.backend).told(vault.objects.every())


def read_through(
    vault: Vault, names: list[ObjectName], every: list[ObjectName], log: CheckLog, progress: Progress
) -> dict[ObjectName, Fault]:
    """Examine ``names`` of all objects; also where it is stopped, what was found whole until then is remembered."""
    progress.start("verifying", sum(name.size for name in names))
    try:
        found = examine_all(vault.objects, names, vault.threads, log, progress)
    finally:
        log.save(every)
    progress.finish()
    return found
