"""Which chunk a new one is taken as a delta against: the same part of the same tensor, a few saves earlier.

A delta to the save before is the smallest, but a chain of them is long to restore, and one damaged object in it hits
all that lean on it. So the snapshots of a line of training, counted from one that stands alone (the key), lean on each
other like the digits of a number: the count is written with `max_depth` digits, and a snapshot leans on the one that
has a 0 in place of its last digit that is not 0. With two digits to the base of 4, 1, 2 and 3 lean on 0, so does 4, and
5, 6 and 7 on 4, and so on up to 15; 16 is a key again. Whatever is restored, at most `max_depth` bases stand behind
it, most of them near (docs/decisions/0007-depth-of-deltas.md has the figures).

Owns the invariants that no object is written with more than `max_depth` bases behind it, that at most `PERIOD` - 1
snapshots of one line lean on one object, directly or not, and that at most `BRANCHES` lines start from one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from casvault.chunking.chunks import Chunk
from casvault.manifest.manifest import FileEntry, Manifest
from casvault.objects import ObjectStore

__all__ = ["BRANCHES", "PERIOD", "Bases", "depth_of", "radix_of"]

PERIOD = 16
"""Snapshots from key to key."""

BRANCHES = 8
"""How many snapshots with one parent lean on it."""

Place = tuple[str, int, int]
"""A tensor's name, and where in it a chunk begins and how long it is, in bytes."""


class Bases:
    """The bases for the chunks of one snapshot; ``since_key`` is what its manifest has to say.

    ``parent`` is what the live model was last captured as or restored from, None where there is none to lean on.
    ``forgot`` tells of a role and a tensor of it that nothing is left of what the parent has there.
    """

    def __init__(
        self,
        objects: ObjectStore,
        parent: Manifest | None,
        max_depth: int,
        siblings: int = 0,
        forgot: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._objects = objects
        self._forgot = forgot
        self._by_role: dict[tuple[str, Place], str] = {}
        self._by_name: dict[Place, str | None] = {}
        self.since_key = 0
        self._depth = 0
        if parent is None or parent.incomplete or max_depth == 0 or siblings >= BRANCHES:
            return
        self.since_key = (parent.since_key + 1) % PERIOD
        self._depth = depth_of(self.since_key, max_depth)
        if self._depth:
            self._learn(parent)

    def of(self, role: str, chunk: Chunk) -> str | None:
        """Return the digest of the base for ``chunk`` of the file with that role, None where it stands alone.

        A file or a folder may have been renamed since: then the tensor's name says it, if only one file has it.
        """
        if chunk.region is None or not chunk.layout.item_size:
            return None
        if self._forgot is not None and self._forgot(role, chunk.region):
            return None
        place = (chunk.region, chunk.within, len(chunk.data))
        digest = self._by_role.get((role, place)) or self._by_name.get(place)
        return self._at_depth(digest) if digest is not None else None

    def _learn(self, parent: Manifest) -> None:
        for file in parent.files:
            for place, digest in _places(file):
                self._by_role[file.role, place] = digest
                known = self._by_name.setdefault(place, digest)
                if known != digest:
                    self._by_name[place] = None

    def _at_depth(self, digest: str) -> str | None:
        """Return ``digest`` or one of the bases behind it, the first with less than the wanted depth behind itself."""
        chain = [digest]
        while True:
            encodings = self._objects.encodings(chain[-1])
            if not encodings:
                return None
            base = encodings[0].base
            if base is None:
                return chain[max(0, len(chain) - self._depth)]
            if base in chain:
                return None
            chain.append(base)


def radix_of(max_depth: int) -> int:
    """Return the smallest base, at least 2, of the numbers with ``max_depth`` digits that count PERIOD snapshots."""
    radix = 2
    while radix**max_depth < PERIOD:
        radix += 1
    return radix


def depth_of(count: int, max_depth: int) -> int:
    """Return how many bases stand behind the snapshot ``count`` after its key: the digits that are not 0."""
    radix, depth = radix_of(max_depth), 0
    while count:
        count, digit = divmod(count, radix)
        depth += digit > 0
    return depth


def _places(file: FileEntry) -> Iterator[tuple[Place, str]]:
    """Yield place and digest of the chunks that are parts of tensors."""
    regions = iter(sorted(file.regions, key=lambda region: region.offset))
    region = next(regions, None)
    offset = 0
    for chunk in file.chunks:
        while region is not None and region.end <= offset:
            region = next(regions, None)
        if region is not None and region.offset <= offset and offset + chunk.size <= region.end:
            yield (region.name, offset - region.offset, chunk.size), chunk.digest
        offset += chunk.size
