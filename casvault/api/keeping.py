"""Keeping: what stays, what goes, what it takes, and what is written about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from casvault.api.finding import Finding
from casvault.delete import DeleteResult, delete, plan_delete, undelete
from casvault.edit import Edit, edit
from casvault.errors import NotFound
from casvault.gc import GcResult, collect
from casvault.manifest.stamp import Stamp
from casvault.progress import Progress
from casvault.prune import PrunePlan, Rules, plan_prune, prune
from casvault.thin import ThinResult, old_snapshots, plan_thin, thin, unthin
from casvault.usage.coding import Coding, coding
from casvault.usage.usage import Usage, usage
from casvault.vault.head import Head
from casvault.vault.references import resolve_snapshot

__all__ = ["Keeping"]


class Keeping(Finding):
    """Keeping: what stays, what goes, what it takes, and what is written about it."""

    def delete(self, *references: str, gc: bool = False) -> DeleteResult:
        """Delete snapshots, which `undelete` can undo until gc frees their space; with ``gc`` at once.

        Raises NotFound, AmbiguousError, UsageError for a pinned one, Locked, NoSpace, StorageError.
        """
        result = delete(self, [self._id(reference) for reference in references])
        if gc:
            self.gc()
        return result

    def plan_delete(self, *references: str) -> DeleteResult:
        """Return what `delete` would do, and what gc would free for it."""
        return plan_delete(self, [self._id(reference) for reference in references])

    def undelete(self, reference: str) -> Head:
        """Bring a deleted snapshot back; raises NotFound, also where gc has freed its space, AmbiguousError, Locked."""
        if Stamp.valid(reference):
            return undelete(self, reference)
        try:
            found = resolve_snapshot(reference, self.snapshots(deleted=True))
        except NotFound as error:
            raise NotFound(
                f"no deleted snapshot is called {reference!r}; `casvault list --deleted` shows those there are."
            ) from error
        return undelete(self, found.id)

    def gc(self, *, dry_run: bool = False, recode: bool = True, progress: Progress | None = None) -> GcResult:
        """Free what no snapshot needs, and ``recode`` what only props up deltas; with ``dry_run`` only tell.

        Raises Locked, DamageError where a manifest cannot be read, StorageError.
        """
        return collect(self, dry_run=dry_run, recoding=recode, progress=progress)

    def usage(self, *references: str) -> Usage:
        """Return what snapshots, models and the vault take, and what deleting the named ones together would free.

        Raises NotFound, AmbiguousError, DamageError where a manifest cannot be read, Locked, StorageError.
        """
        return usage(self, [self.find(reference).id for reference in references])

    def coding(self) -> Coding:
        """Return which codecs hold what is stored, and what each saves; of a large vault by a sample of the headers.

        Raises DamageError where a manifest cannot be read, Locked, StorageError.
        """
        return coding(self)

    def plan_prune(self, rules: Rules, *, model: str | None = None, include_manual: bool = False) -> PrunePlan:
        """Return which snapshots, of all or of one model, ``rules`` keep and why, and what `prune` would free.

        Raises UsageError without any rule, NotFound, DamageError, Locked, StorageError.
        """
        among = None if model is None else {head.id for head in self.snapshots(model)}
        return plan_prune(self, rules, among=among, include_manual=include_manual)

    def prune(
        self, rules: Rules, *, model: str | None = None, include_manual: bool = False, gc: bool = False
    ) -> PrunePlan:
        """Delete the snapshots that ``rules`` do not keep; raises what `plan_prune` raises, NoSpace."""
        plan = prune(self, self.plan_prune(rules, model=model, include_manual=include_manual))
        if gc:
            self.gc()
        return plan

    def thin(self, *references: str, gc: bool = False) -> ThinResult:
        """Let snapshots give up their optimizers; `unthin` can undo it until gc, not with ``gc``.

        Raises NotFound, AmbiguousError, UsageError for a pinned one and one without an optimizer, Locked, NoSpace.
        """
        result = thin(self, [self.find(reference).id for reference in references])
        if gc:
            self.gc()
        return result

    def plan_thin(self, *references: str) -> ThinResult:
        """Return what `thin` would do, and what gc would free for it."""
        return plan_thin(self, [self.find(reference).id for reference in references])

    def unthin(self, reference: str) -> Head:
        """Let a snapshot have back what it was thinned of; raises NotFound where gc has freed it, Locked."""
        return unthin(self, self.find(reference).id)

    def old_snapshots(self, older_than: timedelta, keep_last: int = 0) -> list[str]:
        """Return ids of snapshots older than so much that could be thinned, but for the last few of each model."""
        return old_snapshots(self, older_than, keep_last)

    def edit(
        self,
        reference: str,
        *,
        name: str | None = None,
        notes: str | None = None,
        pinned: bool | None = None,
        tag: Sequence[str] = (),
        untag: Sequence[str] = (),
    ) -> Head:
        """Change a snapshot's name, notes, tags, or pin; None leaves each as it is, an empty text takes it away.

        Raises NotFound, AmbiguousError, UsageError, Locked, NoSpace, StorageError.
        """
        return edit(self, self.find(reference).id, Edit(name, notes, pinned, tag, untag))
