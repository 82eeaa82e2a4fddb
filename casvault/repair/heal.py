"""Healing: chunks that cannot be had are written anew, from bytes that somebody offers.

What is offered is compared with its digest, whoever offers it. Where an intact delta leans on a lost base, the chunk
that it is of also gives the base (`codecs.invert`): so one live model heals the objects that all its earlier snapshots
lean on.

Owns the invariants that nothing is written whose digest is not the one that was lost, and that what was written is
decoded once more before it counts as healed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from casvault.backends import Batch
from casvault.check import Damage
from casvault.check.log import CheckLog
from casvault.codecs import Bytes, Layout, encode_in_pieces
from casvault.digest import digest_of
from casvault.errors import CasvaultError, DamageError, FormatError
from casvault.objects import Frame, ObjectName
from casvault.vault.vault import Vault

__all__ = ["Healer", "Writer"]

_PORTION = 64 << 20
"""Stored bytes after which what was written is put on the disk and read back."""


class Writer:
    """Writes healed chunks as objects that stand alone, and reads them back."""

    def __init__(self, vault: Vault, batch: Batch, log: CheckLog) -> None:
        self._vault = vault
        self._batch = batch
        self._log = log
        self._waiting: list[ObjectName] = []
        self._size = 0

    def write(self, digest: str, plain: Bytes, layout: Layout) -> None:
        """Write one chunk; raises NoSpace, StorageError, DamageError."""
        codec, payload = encode_in_pieces(plain, layout)
        pieces = Frame(codec, layout, len(plain), None, b"").around(payload)
        name = ObjectName(digest, None, sum(map(len, pieces)))
        self._batch.put(name.blob, pieces)
        self._waiting.append(name)
        self._size += name.size
        if self._size >= _PORTION:
            self.flush()

    def flush(self) -> None:
        """Put what was written on the disk, and decode it; raises NoSpace, StorageError, DamageError."""
        self._batch.flush()
        self._vault.objects.forget()
        for name in self._waiting:
            try:
                self._vault.objects.read_object(name)
            except CasvaultError as error:
                raise DamageError(
                    f"what was written cannot be read back, so the disk is not to be trusted: {error}"
                ) from error
            self._log.note(name)
        self._waiting.clear()
        self._size = 0


class Healer:
    """The chunks that cannot be had, and what became of them; without a ``writer`` nothing is written.

    ``healed`` are digest -> what gave the bytes.
    """

    def __init__(self, damage: Damage, writer: Writer | None) -> None:
        self._objects = damage.vault.objects
        self._writer = writer
        self._stranded: dict[str, list[ObjectName]] = {}
        usable, sound = damage.usable, damage.sound
        for name in sound:
            if name.digest not in usable:
                self._stranded.setdefault(name.digest, []).append(name)
        self._lost = set(damage.lost)
        self._missing = self._needed(self._lost)
        self._leaning: dict[str, list[ObjectName]] = {}
        for name in sound:
            if name.base in self._missing:
                self._leaning.setdefault(name.base, []).append(name)
        # One that cannot be read now may be read another time: its name stays its own.
        self._taken = {name.digest for name in damage.objects if name.base is None and self._stays(damage, name)}
        self.healed: dict[str, str] = {}

    @staticmethod
    def _stays(damage: Damage, name: ObjectName) -> bool:
        fault = damage.faults.get(name)
        return fault is not None and not fault.damaged

    @property
    def lost(self) -> set[str]:
        """The chunks that a snapshot needs and that still cannot be had."""
        return self._lost & self._missing

    @property
    def missing(self) -> Collection[str]:
        """The lost chunks, and those that would give them back: what an offer can be of use for."""
        return self._missing

    def wanted_first(self) -> Iterator[str]:
        """Yield what is missing, in an order in which few have to be written: those that many lean on come first."""
        for digest in sorted(self._missing, key=lambda digest: (-len(self._leaning.get(digest, ())), digest)):
            if digest in self._missing:
                yield digest

    def offer(self, digest: str, plain: Bytes, layout: Layout, source: str) -> None:
        """Use ``plain`` where it is what is missing as ``digest``; raises NoSpace, StorageError, DamageError."""
        if digest not in self._missing or digest_of(plain) != digest:
            return
        for name in self._stranded.get(digest, ()):
            self._offer_base(name, plain, source)
        # The base may have brought it back already.
        if digest in self._missing and digest not in self._taken:
            if self._writer is not None:
                self._writer.write(digest, plain, layout)
            self.healed[digest] = source
            self._is_back(digest)

    def look_within(self) -> None:
        """Heal bases from chunks that the vault has in another way."""
        for names in list(self._leaning.values()):
            for name in names:
                if name.base in self._missing and name.digest not in self._missing:
                    try:
                        self._offer_base(name, self._objects.read(name.digest), "the vault itself")
                    except DamageError:
                        continue

    def _offer_base(self, name: ObjectName, plain: Bytes, source: str) -> None:
        """Offer the base that an intact delta leans on, given the chunk that it is of."""
        from casvault.codecs.invert import base_from

        if name.base is None or name.base not in self._missing:
            return
        try:
            frame = self._objects.frame(name)
            base = base_from(frame.codec, frame.payload, frame.layout, plain)
        except (CasvaultError, FormatError):
            return
        self.offer(name.base, base, frame.layout, source)

    def _is_back(self, digest: str) -> None:
        """Count a chunk as there, and all that can be decoded now."""
        todo = [digest]
        while todo:
            current = todo.pop()
            if current in self._missing:
                self._missing.remove(current)
                todo.extend(name.digest for name in self._leaning.get(current, ()))

    def _needed(self, lost: Collection[str]) -> set[str]:
        todo, seen = list(lost), set[str]()
        while todo:
            digest = todo.pop()
            if digest not in seen:
                seen.add(digest)
                todo.extend(name.base for name in self._stranded.get(digest, ()) if name.base is not None)
        return seen
