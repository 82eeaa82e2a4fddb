"""Re-coding: a base that no snapshot holds any more, and that only props up deltas, is replaced by one of them.

New objects are made under the vault's shared lock, beside the old ones, and are on the disk and were decoded before
a sweep takes the old ones away. So it can be interrupted anywhere: until the sweep both can be read, and the next
collection goes on from there.

Owns the invariant that a regrouping is only done where what it writes is smaller than what it replaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from casvault.backends import Batch
from casvault.codecs import Bytes, codec_of, encode_in_pieces
from casvault.errors import Cancelled, CasvaultError
from casvault.gc.regroup import Regrouping, regroup
from casvault.gc.sweep import Sweeper
from casvault.objects import Frame, ObjectName
from casvault.progress import Progress
from casvault.usage.ledger import Ledger
from casvault.vault.vault import Vault

__all__ = ["recode"]

_PORTION = 256 << 20
"""Stored bytes that are written before a sweep takes away what they replace: as much room is needed in between."""

_HELD = 16 << 20
"""Stored bytes of heirs that may wait in memory."""


@dataclass(frozen=True)
class _Made:
    name: ObjectName
    pieces: list[Bytes]


def recode(vault: Vault, sweeper: Sweeper, progress: Progress, refused: set[str], written: list[ObjectName]) -> bool:
    """Write one portion of new objects and add them to ``written``; False where there was nothing to do.

    ``refused`` gathers bases that are no gain to do without. Nothing is taken away: that is for the next sweep. Raises
    NoSpace, Locked, StorageError, Cancelled.
    """
    with vault.locks.shared("gc"):
        ledger = sweeper.plan().ledger
        groups = [group for group in _groups(ledger) if refused.isdisjoint(group.bases)]
        before, total, waiting = len(written), 0, 0
        progress.start("re-coding", sum(_size(ledger, group) for group in groups))
        with vault.backend.batch(vault.threads) as batch:
            heirs: list[_Made] = []
            for group in groups:
                made = _code(vault, ledger, group)
                if not made:
                    refused.update(group.bases)
                for one in made:
                    # Until the heir of a group is there nothing is won; so it comes last, and what is left of a group
                    # that was interrupted is spare, or leans on what it would lean on anyway.
                    if group.is_heir(one.name.digest):
                        heirs.append(one)
                        waiting += one.name.size
                    else:
                        _put(vault, batch, one, written)
                        total += one.name.size
                progress.advance(_size(ledger, group))
                if waiting >= _HELD or total >= _PORTION:
                    break
            batch.flush()
            for one in heirs:
                _put(vault, batch, one, written)
            batch.flush()
        progress.finish()
        for name in written[before:]:
            sweeper.check(name)
        return len(written) > before


def _put(vault: Vault, batch: Batch, made: _Made, written: list[ObjectName]) -> None:
    written.append(made.name)
    batch.put(made.name.blob, made.pieces)
    vault.objects.note(made.name)


def _sum(names: Iterable[ObjectName]) -> int:
    return sum(name.size for name in names)


def _groups(ledger: Ledger) -> list[Regrouping]:
    age: dict[str, int] = {}
    for place, holding in enumerate(ledger.holdings.snapshots):
        for digest in holding.chunks:
            age.setdefault(digest, place)
    return regroup(ledger.graph, ledger.only_leaned_on(), ledger.needed(), age)


def _size(ledger: Ledger, group: Regrouping) -> int:
    """Return the stored bytes of what a regrouping replaces."""
    return ledger.graph.size_of({*group.bases, *group.moves})


def _code(vault: Vault, ledger: Ledger, group: Regrouping) -> list[_Made]:
    """Code the moved chunks of a group anew; nothing where that does not save space, or something is damaged."""

    def code(digest: str) -> _Made:
        layout = vault.objects.frame(ledger.graph.chosen[digest]).layout
        plain, base = vault.objects.read(digest), group.moves[digest]
        codec, payload = encode_in_pieces(plain, layout, vault.objects.read(base, len(plain)) if base else None)
        if not codec_of(codec).needs_base:
            base = None
        pieces = Frame(codec, layout, len(plain), base, b"").around(payload)
        return _Made(ObjectName(digest, base, sum(map(len, pieces))), pieces)

    try:
        if vault.threads == 1:
            made = [code(digest) for digest in group.moves]
        else:
            with ThreadPoolExecutor(vault.threads, "re-code") as pool:
                made = list(pool.map(code, group.moves))
    except Cancelled:
        raise
    except CasvaultError:
        # Verify tells of what is damaged or cannot be read; until it is healed this group stays as it is.
        return []
    return made if _sum(one.name for one in made) < _size(ledger, group) else []
