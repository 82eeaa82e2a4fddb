"""What `gc`, and `--gc` of the commands that delete, have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from casvault.cli.options import make_progress, say
from casvault.cli.text import plain, size

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.gc import GcResult
    from casvault.gc.bucket import BucketGcResult

__all__ = ["collect", "collect_remote", "will_free"]


def collect(vault: Vault, *, quiet: bool, as_json: bool, dry_run: bool = False, recode: bool = True) -> GcResult:
    """Collect, and tell what was freed unless a document is printed."""
    result = vault.gc(dry_run=dry_run, recode=recode, progress=make_progress(quiet or as_json))
    if not as_json:
        say(_describe(result), quiet=quiet)
    if result.unfinished is not None:
        say(f"Warning: re-coding was not finished: {plain(result.unfinished)}", err=True)
    return result


def collect_remote(
    vault: Vault, remote: str, grace: timedelta | None, *, quiet: bool, as_json: bool, dry_run: bool
) -> BucketGcResult:
    """Collect in a bucket, and tell what was freed unless a document is printed."""
    with vault.remote(remote) as there:
        result = there.gc(grace=grace, dry_run=dry_run, progress=make_progress(quiet or as_json))
    if not as_json:
        say(_describe_remote(result), quiet=quiet)
    return result


def will_free(freed: int, leaned: int | None) -> str:
    """Write what gc is going to free."""
    text = f"gc will free {size(freed)} for that."
    if leaned:
        text += f" Deltas of other snapshots lean on {size(leaned)} more; gc codes those anew where that saves."
    return text


def _describe(result: GcResult) -> str:
    if result.dry_run:
        lines = [f"gc would free {size(result.freed_bytes)}: {result.deleted_objects:,} objects."]
        if result.base_bytes:
            lines.append(
                f"Of the rest {size(result.base_bytes)} are only leaned on by deltas; "
                "gc codes those anew, which saves most of it."
            )
    elif not result.freed_bytes:
        lines = ["There was nothing to free."]
    else:
        lines = [f"{size(result.freed_bytes)} freed: {result.deleted_objects:,} objects."]
        if result.recoded_objects:
            lines.append(
                f"{size(result.recoding_freed_bytes)} of it by coding {result.recoded_objects:,} objects anew."
            )
    count = len(result.forgotten_snapshots)
    if count:
        verb = "could not be brought back after that" if result.dry_run else "cannot be brought back any more"
        lines.append(f"{count} deleted {'snapshot' if count == 1 else 'snapshots'} {verb}.")
    lines.append(f"{size(result.remaining_bytes)} {'would ' if result.dry_run else ''}remain.")
    return "\n".join(lines)


def _describe_remote(result: BucketGcResult) -> str:
    if not result.deleted_objects:
        lines = [f"There {'would be' if result.dry_run else 'was'} nothing to free."]
    elif result.dry_run:
        lines = [f"gc would free {size(result.freed_bytes)}: {result.deleted_objects:,} objects."]
    else:
        lines = [f"{size(result.freed_bytes)} freed: {result.deleted_objects:,} objects."]
    if result.held_objects:
        lines.append(
            f"{size(result.held_bytes)} more, {result.held_objects:,} objects, are held back: they were written or "
            f"given up less than {_period(result.grace)} ago."
        )
    count = len(result.forgotten_snapshots)
    if count:
        verb = "could not be brought back after that" if result.dry_run else "cannot be brought back any more"
        lines.append(f"{count} deleted {'snapshot' if count == 1 else 'snapshots'} {verb}.")
    if result.base_bytes:
        lines.append(f"{size(result.base_bytes)} stay only since deltas lean on them.")
    lines.append(f"{size(result.remaining_bytes)} {'would ' if result.dry_run else ''}remain.")
    return "\n".join(lines)


def _period(grace: timedelta) -> str:
    hours = grace.total_seconds() / 3600
    return f"{hours:g} hours" if hours >= 1 else f"{hours * 60:g} minutes"
