"""A vault elsewhere, looked at without pulling all of it: lists, manifests, pictures, usage, and restoring from there.

Owns the promise that nothing is brought over but what was asked for, and that a restore from elsewhere is a restore
like any other: what it needs is pulled first, so the automatic backup, undo and the look for trainers are the same.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from casvault.errors import CasvaultError, DamageError, NotFound, RemoteConflict, UsageError
from casvault.manifest.manifest import Manifest
from casvault.progress import Progress
from casvault.sync import RemoteEntry, SyncOptions, SyncResult, reach
from casvault.vault.head import Head
from casvault.vault.references import is_model_name, resolve_snapshot
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.gc.bucket import BucketGcResult
    from casvault.restore import RestoreOptions, RestorePlan, RestoreResult
    from casvault.sync.remote import State
    from casvault.usage.usage import Usage

__all__ = ["RemoteVault"]


class RemoteVault:
    """The vault that a remote of ``vault`` names, connected to; used as a context manager, or closed at the end.

    Which snapshots there are is asked once. Every method raises RemoteError where the other end cannot be reached.
    """

    def __init__(self, vault: Vault, remote: str) -> None:
        self._vault = vault
        self.entry: RemoteEntry
        self.entry, self._there = reach(vault, remote)

    def __enter__(self) -> RemoteVault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._there.close()

    @property
    def uuid(self) -> str:
        """The vault's own id."""
        return self._there.uuid

    @property
    def wire_bytes(self) -> int:
        """Bytes that went over the connection so far, both ways."""
        return self._there.wire_bytes

    @property
    def damaged(self) -> tuple[str, ...]:
        """Ids of the snapshots there whose manifests cannot be read."""
        return tuple(sorted(self._state.damaged))

    def snapshots(self, model: str | None = None, *, deleted: bool = False) -> list[Head]:
        """Return the heads of the snapshots there, oldest first, or of those of one model by its name.

        With ``deleted`` of those instead that can be undeleted there. Raises NotFound for a model that has none.
        """
        every = [known.head for _, known in sorted(self._state.snapshots.items())]
        if model is not None and not any(is_model_name(model, head.model_name) for head in every):
            raise NotFound(
                f"no model {model!r} has snapshots in {self.entry.name}; `casvault --remote {self.entry.name} list` "
                "shows all."
            )
        heads = [head for head in every if head.label.deleted == deleted]
        return heads if model is None else [head for head in heads if is_model_name(model, head.model_name)]

    def find(self, reference: str) -> Head:
        """Return the snapshot there that ``reference`` names; raises NotFound, AmbiguousError."""
        return resolve_snapshot(reference, self.snapshots())

    def show(self, reference: str) -> Manifest:
        """Return the whole manifest of a snapshot; raises NotFound, AmbiguousError, BadManifest."""
        id = self.find(reference).id
        return Manifest.parse(self._there.manifest(id), id)

    def stored_size(self, manifest: Manifest) -> int:
        """Return the bytes that the objects of a snapshot take there, those that others share included."""
        digests = {chunk.digest for chunk in manifest.chunks()}
        return sum(name.size for name in self._there.closure(digests) if name.digest in digests)

    def preview(self, reference: str) -> bytes | None:
        """Return the picture of a snapshot, None where it has none; raises NotFound, AmbiguousError, DamageError."""
        preview = self.show(reference).preview
        return self._there.chunk(preview.digest, preview.size) if preview is not None else None

    def usage(self, *references: str) -> Usage:
        """Return what snapshots, models and the vault take there; counted there. Raises what `Vault.usage` raises."""
        return self._there.usage([self.find(reference).id for reference in references], self.snapshots())

    def plan_restore(self, reference: str, options: RestoreOptions | None = None) -> RestorePlan:
        """Return what `restore` would do here, without doing it and without bringing any data over."""
        from casvault.restore import RestoreOptions, plan_restore

        wanted, head = options or RestoreOptions(), self.find(reference)
        manifest = self.show(head.id)
        return plan_restore(self._vault, head, wanted.to, wanted.as_name, wanted.allow_incomplete, manifest=manifest)

    def fetch(self, reference: str, *, limit_rate: int | None = None, progress: Progress | None = None) -> Head:
        """Bring one snapshot into the vault here, with no more than it needs, and return it.

        One that was deleted here comes back: it was asked for. Raises NotFound, AmbiguousError, RemoteConflict,
        DamageError, Locked, NoSpace, StorageError, Cancelled.
        """
        from casvault.sync import pull
        from casvault.sync.local import LocalRemote

        head = self.find(reference)
        _bring_back(self._vault, head)
        options = SyncOptions(snapshots=(head.id,), limit_rate=limit_rate)
        with LocalRemote(self._vault) as here:
            _check(pull(here, self._there, options, progress), head)
        found = self._vault.head(head.id)
        lacking = set(found.label.thinned) - set(head.label.thinned)
        if lacking:
            raise UsageError(
                f"snapshot {head.title!r} was thinned here, and lacks {', '.join(sorted(lacking))}; "
                f"`casvault thin --undo {head.id[-6:]}` may bring that back."
            )
        return found

    def restore(
        self, reference: str, options: RestoreOptions | None = None, *, progress: Progress | None = None
    ) -> RestoreResult:
        """Bring one snapshot over, and restore it here; raises what `fetch` and `Vault.restore` raise."""
        from casvault.restore import finish_interrupted, restore

        finish_interrupted(self._vault)
        # What cannot be done is told before anything is brought over.
        plan = self.plan_restore(reference, options)
        if options is None or not options.force:
            plan.check_not_trained()
        return restore(self._vault, self.fetch(plan.head.id, progress=progress), options, progress)

    def gc(
        self, *, grace: timedelta | None = None, dry_run: bool = False, progress: Progress | None = None
    ) -> BucketGcResult:
        """Free what no snapshot needs in a bucket and is older than ``grace``, by default 24 hours.

        Raises UsageError for another kind of remote, DamageError, RemoteError, StorageError, Cancelled.
        """
        if self.entry.address.store is None:
            raise UsageError(f"{self.entry.name} is no bucket; run `casvault gc` in that vault itself.")
        from casvault.gc.bucket import GRACE, collect_in_bucket
        from casvault.sync.bucket import BucketRemote

        assert isinstance(self._there, BucketRemote)
        grace = GRACE if grace is None else grace
        return collect_in_bucket(self._there.vault, grace=grace, dry_run=dry_run, progress=progress)

    @cached_property
    def _state(self) -> State:
        return self._there.state()


def _bring_back(vault: Vault, head: Head) -> None:
    """Let a snapshot come back that was deleted here."""
    from casvault.delete import undelete
    from casvault.sync.revive import revive

    try:
        if any(one.id == head.id and one.label.deleted for one in vault.heads(deleted=True)):
            undelete(vault, head.id)
            return
    except NotFound:
        # Collected since.
        pass
    revive(vault, head.label)


def _check(result: SyncResult, head: Head) -> None:
    for reasons, kind in (
        (result.conflicts, RemoteConflict),
        (result.failed, DamageError),
        (result.refused, UsageError),
    ):
        if head.id in reasons:
            error: type[CasvaultError] = kind
            raise error(f"snapshot {head.title!r} cannot be brought over: {reasons[head.id]}.")
