"""Check: is everything there that the snapshots need, and is it what it was?

`verify` reads; it changes nothing. Owns the invariant that damage is reported by object and by the snapshots it hits,
never as the end of the check: what is whole stays usable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from casvault.errors import Cancelled, CasvaultError
from casvault.objects import ObjectGraph, ObjectName
from casvault.progress import Progress
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["VerifyResult", "verify"]


@dataclass(frozen=True)
class VerifyResult:
    """What `verify` found. ``damaged`` has one sentence per damaged document or object; ``affected`` the snapshots
    hit.
    """

    objects_checked: int
    bytes_checked: int
    damaged: tuple[str, ...]
    affected: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged

    def to_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "ok": self.ok,
            "objects_checked": self.objects_checked,
            "bytes_checked": self.bytes_checked,
            "damaged": list(self.damaged),
            "affected_snapshots": list(self.affected),
        }


def verify(vault: Vault, *, read_data: bool = False, progress: Progress | None = None) -> VerifyResult:
    """Check that every manifest and label holds together and that each chunk has an object with its bases.

    With ``read_data`` every object is also read, decoded and compared with its digest. Raises Locked, StorageError,
    Cancelled; never for damage.
    """
    progress = progress or Progress()
    with vault.locks.shared("verify"):
        vault.objects.forget()
        # The cache of heads is passed over on purpose: the documents themselves are what has to be right.
        damaged: dict[str, str] = {}
        wanted = _wanted(vault, damaged)
        objects = list(vault.objects.every())
        broken: dict[str, str] = {}
        if read_data:
            broken = _read_all(vault, objects, progress)
        usable = _usable(objects, broken)
        lost = {digest for digest in wanted if digest not in usable}
        told = {name.digest for name in objects if name.blob in broken}
        for digest in sorted(lost):
            if digest not in told:
                damaged[digest] = f"chunk {digest} has no object in the vault."
        damaged.update(broken)
    hit = {id for digest in lost for id in wanted[digest]} | {key[:27] for key in damaged if "Z-" in key}
    return VerifyResult(
        objects_checked=len(objects),
        bytes_checked=sum(name.size for name in objects) if read_data else 0,
        # What leans on a damaged object fails with that one's sentence, which is said once.
        damaged=tuple(dict.fromkeys(damaged[key] for key in sorted(damaged))),
        affected=tuple(sorted(hit)),
    )


def _wanted(vault: Vault, damaged: dict[str, str]) -> dict[str, set[str]]:
    """Return digest -> the snapshots that need it, reading every manifest and label anew."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for head in _heads(vault, damaged):
        if head.label.deleted:
            continue
        for chunk in vault.manifest(head.id).chunks(head.label.thinned):
            wanted[chunk.digest].add(head.id)
    return wanted


def _heads(vault: Vault, damaged: dict[str, str]) -> list[Head]:
    found = vault.index.read(cached=False)
    damaged.update({key: str(error) for key, error in found.damaged.items()})
    return found.heads


def _usable(objects: Iterable[ObjectName], broken: dict[str, str]) -> set[str]:
    """Return the digests that some object gives, counting bases: a delta without its base gives nothing."""
    return set(ObjectGraph(name for name in objects if name.blob not in broken).chosen)


def _read_all(vault: Vault, objects: list[ObjectName], progress: Progress) -> dict[str, str]:
    """Read and decode every object; return object name -> what is wrong with it."""
    progress.start("verifying", sum(name.size for name in objects))

    def read(name: ObjectName) -> tuple[str, str] | None:
        try:
            vault.objects.read_object(name)
            progress.advance(name.size)
        except Cancelled:
            raise
        except CasvaultError as error:
            return name.blob, str(error)
        return None

    if vault.threads == 1:
        found = [read(name) for name in objects]
    else:
        with ThreadPoolExecutor(vault.threads, "verify") as pool:
            found = list(pool.map(read, objects))
    progress.finish()
    return dict(item for item in found if item is not None)
