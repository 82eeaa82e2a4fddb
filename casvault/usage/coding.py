"""Coding: by which codecs the chunks of a vault are stored, and what each of them saves.

Names and manifests tell the sizes, and the header of an object its codec: nothing is decoded. Owns the invariant that
however large a vault is only so many headers are read: of more objects every so-and-so-many-th, by digest, which is by
chance, and the shares are those of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from casvault.codecs import CODEC_IDS
from casvault.errors import NotFound
from casvault.objects import HEADER_SIZE, ObjectName, Outline
from casvault.usage.ledger import Ledger
from casvault.usage.usage import account
from casvault.vault.vault import Vault

__all__ = ["CodecUsage", "Coding", "coding"]

MOST = 5_000
"""Headers that are read unless somebody wants more."""

_NAMES = {number: name for name, number in CODEC_IDS.items()}


@dataclass(frozen=True)
class CodecUsage:
    """What one codec holds: ``objects``, and their bytes, plain and as they are stored.

    ``leaning`` says that these objects are deltas.
    """

    codec: str
    leaning: bool
    objects: int
    plain_bytes: int
    stored_bytes: int

    @property
    def saved_bytes(self) -> int:
        """Bytes that it takes less; a header may make it less than none."""
        return self.plain_bytes - self.stored_bytes

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**vars(self), "saved_bytes": self.saved_bytes}


@dataclass(frozen=True)
class Coding:
    """What each codec holds, the one that saves most first. ``looked_at`` of the ``objects`` had their headers read;
    where that are not all, sizes by codec are estimates that add up to what is exact.
    """

    codecs: tuple[CodecUsage, ...]
    objects: int
    looked_at: int

    @property
    def exact(self) -> bool:
        """Whether every header was read."""
        return self.looked_at == self.objects

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "codecs": [one.to_json() for one in self.codecs],
            "objects": self.objects,
            "looked_at": self.looked_at,
            "exact": self.exact,
        }


class _Held(NamedTuple):
    """A chunk that a snapshot holds: the object that gives it, and its plain bytes."""

    name: ObjectName
    plain: int


def coding(vault: Vault, most: int = MOST) -> Coding:
    """Return which codecs hold what the snapshots of a vault hold; raises DamageError, Locked, StorageError."""
    with vault.locks.shared("usage"):
        ledger, _ = account(vault)
        held = _held(ledger)
        chosen = held[:: -(-len(held) // max(1, most))] if held else []
        with ThreadPoolExecutor(vault.threads, "headers") as pool:
            codecs = list(pool.map(lambda one: _codec(vault, one.name), chosen))
    told: list[CodecUsage] = []
    for leaning in (False, True):
        every = [one for one in held if (one.name.base is not None) == leaning]
        seen = [pair for pair in zip(codecs, chosen, strict=True) if (pair[1].name.base is not None) == leaning]
        told += _shares(leaning, every, seen)
    return Coding(tuple(sorted(told, key=lambda one: (-one.saved_bytes, one.codec))), len(held), len(chosen))


def _held(ledger: Ledger) -> list[_Held]:
    plain: dict[str, int] = {}
    for holding in ledger.holdings.snapshots:
        plain.update(holding.chunks)
    chosen = ledger.graph.chosen
    return [_Held(chosen[digest], plain[digest]) for digest in sorted(plain) if digest in chosen]


def _codec(vault: Vault, name: ObjectName) -> str:
    try:
        outline = Outline.read(vault.backend.read_start(name.blob, HEADER_SIZE))
    except NotFound:
        outline = None
    return "unknown" if outline is None else _NAMES.get(outline.codec, "unknown")


def _shares(leaning: bool, every: Sequence[_Held], seen: Iterable[tuple[str, _Held]]) -> list[CodecUsage]:
    """Return the codecs of the ``seen`` ones, scaled so that together they hold what ``every`` one does."""
    groups: dict[str, list[_Held]] = {}
    for codec, one in seen:
        groups.setdefault(codec, []).append(one)
    if every and not groups:
        groups = {"unknown": list(every)}
    codecs = sorted(groups)
    counts = _scaled([len(groups[codec]) for codec in codecs], len(every))
    plain = _scaled([sum(one.plain for one in groups[codec]) for codec in codecs], sum(one.plain for one in every))
    sizes = [sum(one.name.size for one in groups[codec]) for codec in codecs]
    stored = _scaled(sizes, sum(one.name.size for one in every))
    return [CodecUsage(*row) for row in zip(codecs, [leaning] * len(codecs), counts, plain, stored, strict=True)]


def _scaled(parts: Sequence[int], total: int) -> list[int]:
    """Return the parts in their proportions, such that they add up to ``total`` exactly."""
    whole, done, scaled = sum(parts), 0, list[int]()
    for position in range(len(parts)):
        up_to = total * sum(parts[: position + 1]) // whole if whole else total
        scaled.append(up_to - done)
        done = up_to
    return scaled
