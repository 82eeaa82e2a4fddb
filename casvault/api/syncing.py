"""Syncing: other vaults that have names here, what they have, and snapshots that travel there and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from casvault.api.finding import Finding
from casvault.errors import UsageError
from casvault.progress import Progress

if TYPE_CHECKING:
    from casvault.api.remote_vault import RemoteVault
    from casvault.sync import Comparison, Exchange, RemoteEntry, SyncOptions, SyncResult
    from casvault.sync.remote import Remote

__all__ = ["RemoteCheck", "Syncing"]

_SLOWEST = 1024


@dataclass(frozen=True)
class RemoteCheck:
    """What answered at a remote: the vault's ``uuid``, and how many ``snapshots`` it has that are not deleted."""

    entry: RemoteEntry
    uuid: str
    snapshots: int

    def to_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {**self.entry.to_json(), "uuid": self.uuid, "snapshots": self.snapshots}


class Syncing(Finding):
    """Syncing: other vaults that have names here, what they have, and snapshots that travel there and back.

    A ``remote`` is a name that `add_remote` gave, or an address. What cannot be reached raises NoVault or RemoteError.
    """

    def remotes(self) -> list[RemoteEntry]:
        """Return the vaults that have names here; raises BadManifest, StorageError."""
        from casvault.sync import Remotes

        return Remotes(self).every()

    def add_remote(self, name: str, url: str, *, program: str = "casvault") -> RemoteEntry:
        """Give the vault at ``url`` a name here; ``program`` is casvault on that machine. Nothing is connected to.

        Raises UsageError, BadManifest, Locked, StorageError.
        """
        from casvault.sync import Remotes

        return Remotes(self).add(name, url, program)

    def remove_remote(self, name: str) -> RemoteEntry:
        """Forget a remote; the vault there stays as it is. Raises NotFound, BadManifest, Locked, StorageError."""
        from casvault.sync import Remotes

        return Remotes(self).remove(name)

    def check_remote(self, remote: str) -> RemoteCheck:
        """Connect to a remote and look what answers; raises NotFound, UsageError."""
        with self._reach(remote) as (entry, _, there):
            alive = sum(not known.head.label.deleted for known in there.state().snapshots.values())
            return RemoteCheck(entry, there.uuid, alive)

    def compare_remote(self, remote: str, *, sizes: bool = False, progress: Progress | None = None) -> Comparison:
        """Return what is only here, only there, newer on one side, or in conflict.

        With ``sizes`` also how many bytes would travel, which takes a look at every chunk of what would. Raises
        NotFound, UsageError, Cancelled.
        """
        from casvault.sync import compare

        with self._reach(remote) as (entry, here, there):
            return compare(here, there, entry.name, sizes=sizes, progress=progress)

    def remote(self, remote: str) -> RemoteVault:
        """Return the vault that a remote names, to be looked at and restored from without pulling all of it.

        It is connected to, and closed as a context manager is. Raises NotFound, UsageError.
        """
        from casvault.api.remote_vault import RemoteVault

        return RemoteVault(self, remote)

    def push(
        self,
        remote: str,
        *references: str,
        model: str | None = None,
        latest: bool = False,
        delete: bool = False,
        dry_run: bool = False,
        limit_rate: int | None = None,
        progress: Progress | None = None,
    ) -> SyncResult:
        """Send snapshots: those that are named, the ``latest`` whole one, those of a ``model``, or all.

        Newest first; each is there as a whole or not at all, and what was cut off goes on where it stopped. ``delete``
        lets deletions and thinnings travel as well; ``limit_rate`` are bytes per second. What stayed, and why, is in
        the result. Raises NotFound, AmbiguousError, UsageError, Locked, NoSpace, StorageError, Cancelled.
        """
        from casvault.sync import push

        options = _options(references, model, latest, delete, dry_run, limit_rate)
        with self._reach(remote) as (_, here, there):
            return push(here, there, options, progress)

    def pull(
        self,
        remote: str,
        *references: str,
        model: str | None = None,
        latest: bool = False,
        delete: bool = False,
        dry_run: bool = False,
        limit_rate: int | None = None,
        progress: Progress | None = None,
    ) -> SyncResult:
        """Bring snapshots from a remote; as `push`, and raises what that raises."""
        from casvault.sync import pull

        options = _options(references, model, latest, delete, dry_run, limit_rate)
        with self._reach(remote) as (_, here, there):
            return pull(here, there, options, progress)

    def sync(
        self,
        remote: str,
        *,
        model: str | None = None,
        delete: bool = False,
        dry_run: bool = False,
        limit_rate: int | None = None,
        progress: Progress | None = None,
    ) -> Exchange:
        """Push, then pull; raises what `push` raises."""
        from casvault.sync import Exchange, sync

        options = _options((), model, False, delete, dry_run, limit_rate)
        with self._reach(remote) as (_, here, there):
            return Exchange(*sync(here, there, options, progress))

    @contextmanager
    def _reach(self, remote: str) -> Iterator[tuple[RemoteEntry, Remote, Remote]]:
        """Yield what ``remote`` names, this vault and that one as ends of a transfer."""
        from casvault.sync import reach
        from casvault.sync.local import LocalRemote

        entry, there = reach(self, remote)
        with there, LocalRemote(self) as here:
            yield entry, here, there


def _options(
    references: tuple[str, ...], model: str | None, latest: bool, delete: bool, dry_run: bool, limit_rate: int | None
) -> SyncOptions:
    """Gather what travels; raises UsageError for what excludes each other."""
    if references and (latest or model is not None):
        raise UsageError("snapshots that are named, --latest and --model exclude each other; MODEL@latest names both.")
    if limit_rate is not None and limit_rate < _SLOWEST:
        raise UsageError("a limit of the rate is a size per second, at least 1kiB.")
    from casvault.sync import SyncOptions

    return SyncOptions(references, model, latest, delete, dry_run, limit_rate)
