"""``casvault repair``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casvault.cli.options import ask, common, make_progress, open_vault, print_json, say
from casvault.cli.text import plain, size
from casvault.errors import DamageError, UsageError

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.repair import RepairResult

__all__ = ["command"]

_SHOWN = 20
"""Lost chunks that are told one by one."""


@click.command("repair")
@click.option("--from", "source", metavar="VAULT", help="Another vault to heal from; it is only read.")
@click.option("--drop-quarantine", is_flag=True, help="Remove what repairs have put aside, and do nothing else.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
@click.pass_obj
def command(
    named: str | None, source: str | None, drop_quarantine: bool, dry_run: bool, yes: bool, as_json: bool, quiet: bool
) -> int:
    """Put damaged objects aside, and heal what is lost from live models, the vault itself, or another vault.

    Nothing is deleted. Exit code 20 says that something is lost; the rest can be restored.
    """
    vault = open_vault(named)
    if drop_quarantine:
        if source is not None:
            raise UsageError("--drop-quarantine does nothing else, so it goes without --from.")
        _drop(vault, dry_run, yes, as_json, quiet)
        return 0
    from casvault.repair import repair

    place, progress = Path(source) if source is not None else None, make_progress(quiet or as_json)
    plan = vault.plan_repair(place, progress=progress)
    result = plan
    if not dry_run and not plan.nothing_to_do:
        if not yes:
            say(_describe(vault, plan), err=True)
            ask("Do that?", yes)
        result = repair(vault, place, progress, plan)
    if as_json:
        print_json(result.to_json())
        return 0 if result.ok else DamageError.exit_code
    say(_describe(vault, result), quiet=quiet and result.ok)
    if not result.ok:
        raise DamageError(_left(result))
    return 0


def _drop(vault: Vault, dry_run: bool, yes: bool, as_json: bool, quiet: bool) -> None:
    found = vault.drop_quarantine(dry_run=True)
    if found.files and not dry_run:
        ask(f"Remove {_count(found.files, 'file')} from quarantine, {size(found.size)}, for good?", yes)
        found = vault.drop_quarantine()
    if as_json:
        print_json(found.to_json())
    elif not found.files:
        say("Nothing is in quarantine.", quiet=quiet)
    else:
        verb = "Would remove" if dry_run else "Removed"
        say(f"{verb} {_count(found.files, 'file')} from quarantine, {size(found.size)}.", quiet=quiet)


def _describe(vault: Vault, result: RepairResult) -> str:
    if result.nothing_to_do and result.ok:
        return "Nothing is damaged."
    would = "would be " if result.dry_run else ""
    titles = {head.id: head.title for head in vault.heads()}
    lines = []
    for id, files in sorted(result.hit.items()):
        lines.append(f"hit: snapshot '{plain(titles.get(id, '?'))}' ({id}): {plain(', '.join(files))}")
    if result.quarantined:
        lines.append(f"{_count(len(result.quarantined), 'damaged object')} {would}put into quarantine.")
    for document in result.documents_healed:
        kind = "label" if "." in document[20:] else "manifest"
        lines.append(f"healed: {kind} {document}" if not would else f"{kind} {document} {would}healed.")
    for source, number in sorted(Counter(result.healed.values()).items()):
        lines.append(f"{_count(number, 'chunk')} {would}healed from {plain(source)}.")
    if result.hit and not result.healed and not result.lost:
        lines.append("All that is hit can be had another way.")
    for lost in result.lost[:_SHOWN]:
        names = ", ".join(f"'{plain(titles.get(id, id))}'" for id in lost.snapshots)
        lines.append(f"lost: chunk {lost.digest[:12]} of {plain(', '.join(lost.files))} in {names}")
    if len(result.lost) > _SHOWN:
        lines.append(f"lost: {len(result.lost) - _SHOWN} more; --json has all")
    lines += [f"damaged: {plain(told)}{_way_out(name)}" for name, told in sorted(result.documents.items())]
    lines += [f"cannot be read: {plain(told)}" for told in result.unreadable]
    return "\n".join(lines)


def _way_out(name: str) -> str:
    """Return what can be done about a damaged document that nothing heals."""
    if "." in name[20:]:
        return f" Any change settles it: casvault edit {name[:27]} --name NAME"
    return f" A vault that has it heals it: casvault repair --from VAULT; or give it up: casvault delete {name}"


def _left(result: RepairResult) -> str:
    counts = {
        "chunks lost": len(result.lost),
        "snapshots hit": len({id for lost in result.lost for id in lost.snapshots}),
        "documents damaged": len(result.documents),
        "not readable": len(result.unreadable),
    }
    told = "; ".join(f"{what}: {count}" for what, count in counts.items() if count)
    way = " `casvault restore SNAPSHOT --skip-damaged --to DIR` gives the files of those that are whole."
    return f"{told}. All other snapshots can be restored.{way if result.lost else ''}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
