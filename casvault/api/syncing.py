"""Syncing: other vaults that have names here, what they have, and snapshots that travel there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from casvault.api.finding import Finding
from casvault.errors import UsageError
from casvault.progress import Progress

if TYPE_CHECKING:
    from casvault.api.remote_check import RemoteCheck
    from casvault.api.remote_vault import RemoteVault
    from casvault.sync import Comparison, Exchange, RemoteEntry, SyncOptions, SyncResult
    from casvault.sync.remote import Remote

__all__ = ["Syncing"]

_SLOWEST = 1024


class Syncing(Finding):
    """Syncing: other vaults that have names here, what they have, and snapshots that travel there and back.

    A ``remote`` is a name that `add_remote` gave, or an address. What cannot be reached raises NoVault or RemoteError.
    """

    def remotes(self) -> list[RemoteEntry]:
        """Return the vaults that have names here; raises BadManifest, StorageError."""
        from casvault.sync import Remotes

        return Remotes(self).every()

    def add_remote(
        self, name: str, url: str, *, program: str = "casvault", options: Mapping[str, str] | None = None
    ) -> RemoteEntry:
        """Give the vault at ``url`` a name here; ``program`` is casvault on that machine. Nothing is connected to.

        ``options`` say how a bucket is reached, such as its ``endpoint``; secrets are refused. Raises UsageError,
        BadManifest, Locked, StorageError.
        """
        from casvault.sync import Remotes

        return Remotes(self).add(name, url, program, options)

    def remove_remote(self, name: str) -> RemoteEntry:
        """Forget a remote; the vault there stays as it is. Raises NotFound, BadManifest, Locked, StorageError."""
        from casvault.sync import Remotes

        return Remotes(self).remove(name)

    def check_remote(self, remote: str) -> RemoteCheck:
        """Connect to a remote and look what answers, and what can be done in a bucket; raises NotFound, UsageError."""
        from casvault.api.remote_check import RemoteCheck
        from casvault.sync import Remotes, examine

        entry = Remotes(self).find(remote)
        found = examine(entry, self)
        return RemoteCheck(entry, found.uuid, found.snapshots, found.can, found.cannot)

    def compare_remote(self, remote: str, *, sizes: bool = False, progress: Progress | None = None) -> Comparison:
        """Return what is only here, only there, newer on one side, or in conflict.

        With ``sizes`` also how many bytes would travel, which takes a look at every chunk of what would. Raises
        NotFound, UsageError, Cancelled.
        """
        with self._reach(remote, make=True) as (entry, here, there):
            from casvault.sync import compare

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
        options = _options(references, model, latest, delete, dry_run, limit_rate)
        with self._reach(remote, make=True) as (_, here, there):
            from casvault.sync import push

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
        options = _options(references, model, latest, delete, dry_run, limit_rate)
        with self._reach(remote) as (_, here, there):
            from casvault.sync import pull

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
        options = _options((), model, False, delete, dry_run, limit_rate)
        with self._reach(remote, make=True) as (_, here, there):
            from casvault.sync import Exchange, sync

            return Exchange(*sync(here, there, options, progress))

    @contextmanager
    def _reach(self, remote: str, *, make: bool = False) -> Iterator[tuple[RemoteEntry, Remote, Remote]]:
        """Yield what ``remote`` names, this vault and that one as ends of a transfer."""
        from casvault.sync import reach

        entry, there = reach(self, remote, make=make)
        with there:
            # While it logs in: most of what a transfer needs is loaded meanwhile.
            from casvault.sync.local import LocalRemote

            with LocalRemote(self) as here:
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
