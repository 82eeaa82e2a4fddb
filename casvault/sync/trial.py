"""Trying a remote: what can be done there, before anybody relies on it.

Owns the invariant that a trial leaves nothing behind but what could not be removed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from casvault.errors import CasvaultError, RemoteError
from casvault.manifest.stamp import Stamp
from casvault.sync.connect import connect
from casvault.sync.remotes import RemoteEntry
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.backends.bucket import BucketBackend

__all__ = ["Trial", "examine"]

_TEXT = b"This was written to try whether it can be; it can be deleted.\n"


@dataclass(frozen=True)
class Trial:
    """What was found: the vault's ``uuid``, None where there is none yet, and how many ``snapshots`` it has.

    Of a bucket ``can`` are the things that can be done there, and ``cannot`` those that cannot be, with the reason.
    """

    uuid: str | None
    snapshots: int
    can: tuple[str, ...] = ()
    cannot: dict[str, str] = field(default_factory=dict)


def examine(entry: RemoteEntry, near: Vault) -> Trial:
    """Try a remote; raises NoVault, UnsupportedVault, UsageError, RemoteError, StorageError."""
    with connect(entry, near.threads, near, make=True) as there:
        alive = sum(not known.head.label.deleted for known in there.state().snapshots.values())
        if entry.address.store is None:
            return Trial(there.uuid, alive)
        from casvault.sync.bucket import BucketRemote

        assert isinstance(there, BucketRemote)
        can, cannot = ["list", "read"] if there.is_there else ["list"], dict[str, str]()
        for what, action in _steps(there.backend):
            try:
                action()
                can.append(what)
            except CasvaultError as error:
                cannot[what] = str(error)
                break
        return Trial(there.uuid if there.is_there else None, alive, tuple(dict.fromkeys(can)), cannot)


def _steps(backend: BucketBackend) -> list[tuple[str, Callable[[], None]]]:
    name = f"tmp/trial-{Stamp.new()}"

    def read() -> None:
        if backend.read(name) != _TEXT:
            raise RemoteError(f"{backend.title} gave other bytes than those it took.")

    def find() -> None:
        if name not in {one.name for one in backend.walk("tmp")}:
            raise RemoteError(f"{backend.title} does not list what was just written; sync would not be safe.")

    def delete() -> None:
        backend.delete(name)
        if backend.exists(name):
            raise RemoteError(f"{backend.title} keeps what was deleted.")

    return [("write", lambda: backend.write(name, _TEXT)), ("read", read), ("list", find), ("delete", delete)]
