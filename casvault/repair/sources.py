"""Where lost bytes may still be: what lies in quarantine, the live models, another vault.

Owns the invariant that sources are only read, and that what cannot be read of one is passed over: the next may have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from casvault.check import Damage
from casvault.chunking.chunks import cut
from casvault.codecs import Bytes, Layout, codec_of
from casvault.digest import digest_of, is_digest
from casvault.errors import CasvaultError, FormatError, NoVault, UsageError
from casvault.files.shared_open import open_shared
from casvault.files.source import ByteSource, FileSource
from casvault.formats import scan
from casvault.models import Model
from casvault.objects import Frame, ObjectName
from casvault.objects.store import MAX_STORED
from casvault.progress import Progress
from casvault.repair.heal import Healer
from casvault.repair.quarantine import QUARANTINE
from casvault.vault.config import CONFIG
from casvault.vault.live import LiveRecord
from casvault.vault.places import all_in_place, models_at
from casvault.vault.vault import Vault, open_vault

__all__ = ["offer_live", "offer_remains", "offer_vault", "open_other"]


def open_other(vault: Vault, path: Path) -> Vault:
    """Open the vault at ``path`` to be read; raises UsageError for ``vault`` itself, NoVault, UnsupportedVault."""
    path = Path(os.path.abspath(path))
    if not (path / CONFIG).is_file():
        raise NoVault(f"there is no vault at {path} to heal from.")
    if vault.path is not None and os.path.realpath(path) == os.path.realpath(vault.path):
        raise UsageError(f"{path} is the vault that is to be repaired; say another one to heal from.")
    backend, config = open_vault(path)
    return Vault(backend, config, path, vault.threads)


def offer_remains(damage: Damage, healer: Healer) -> None:
    """Offer what damaged objects still give: a wrong bit that decoding does not use costs nothing.

    They lie in quarantine, or where they were.
    """
    vault = damage.vault
    places = [(name, name.blob) for name, fault in damage.faults.items() if fault.damaged]
    for entry in vault.backend.list(QUARANTINE):
        digest, *more = entry.name.split(".")
        base = more[0] if more and is_digest(more[0]) else None
        if is_digest(digest) and digest in healer.missing:
            places.append((ObjectName(digest, base, 0), f"{QUARANTINE}/{entry.name}"))
    for name, blob in places:
        if name.digest in healer.missing:
            try:
                frame = Frame.parse(vault.backend.read(blob, MAX_STORED), blob, checked=False)
                healer.offer(name.digest, _decoded(vault, name, frame), frame.layout, "what is left of its object")
            except (CasvaultError, FormatError):
                continue


def _decoded(vault: Vault, name: ObjectName, frame: Frame) -> Bytes:
    """Decode a frame whose checksum may be wrong, with the base that its name says."""
    codec = codec_of(frame.codec)
    base = vault.objects.read(name.base, frame.plain_size) if name.base is not None else None
    if codec.needs_base != (base is not None):
        raise FormatError("a base where there must be none, or none where there must be one")
    return codec.decode(frame.payload, frame.plain_size, frame.layout, base)


def offer_live(damage: Damage, healer: Healer, progress: Progress) -> None:
    """Offer the chunks of the models that are in place: as they would be cut, and as manifests say they were."""
    places = damage.places(healer.missing)
    models = _live_models(damage.vault)
    progress.start("looking at live models", sum(_size(model) for model in models))
    for model in models:
        for file in model.files:
            if not healer.lost:
                break
            path = model.folder / file.path
            try:
                descriptor = open_shared(path)
            except OSError:
                continue
            try:
                source = FileSource(descriptor, os.fstat(descriptor).st_size)
                for digest, plain, layout in _chunks(
                    damage, source, places.get((file.path, source.size), {}), progress
                ):
                    healer.offer(digest, plain, layout, f"the live model {model.name}")
            except (OSError, EOFError):
                continue
            finally:
                os.close(descriptor)
    progress.finish()


def _chunks(
    damage: Damage, source: ByteSource, known: dict[str, tuple[int, int]], progress: Progress
) -> Iterator[tuple[str, Bytes, Layout]]:
    for chunk in cut(source, scan(source), damage.vault.config.chunking):
        progress.advance(len(chunk.data))
        yield digest_of(chunk.data), chunk.data, chunk.layout
    # Another version may have cut elsewhere.
    for digest, (offset, size) in known.items():
        yield digest, source.read_at(offset, size), Layout()


def _live_models(vault: Vault) -> list[Model]:
    """Return the models that are in place, those included that were restored to another place."""
    found = all_in_place(vault)
    heads = {head.id: head for head in vault.heads()}
    for key in LiveRecord.keys(vault.backend):
        where, _, name = key.rpartition("\n")
        record = vault.live(key)
        head = heads.get(record.snapshot) if record is not None else None
        if head is None:
            continue
        folder = vault.home / where
        try:
            more = models_at(vault, folder if head.document["model"]["kind"] == "generic" else folder / name)
        except CasvaultError:
            continue
        found += [model for model in more if model not in found]
    return found


def _size(model: Model) -> int:
    total = 0
    for file in model.files:
        try:
            total += (model.folder / file.path).stat().st_size
        except OSError:
            continue
    return total


def offer_vault(other: Vault, healer: Healer, progress: Progress) -> None:
    """Offer what another vault has; a chunk that comes out of it has the digest that was asked for."""
    progress.start("looking at the other vault", None)
    for digest in healer.wanted_first():
        progress.check()
        try:
            plain = other.objects.read(digest)
            layout = other.objects.frame(other.objects.encodings(digest)[0]).layout
        except CasvaultError:
            continue
        healer.offer(digest, plain, layout, f"the vault {other.path}")
    progress.finish()
