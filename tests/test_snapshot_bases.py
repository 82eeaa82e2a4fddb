"""Which chunk a new one leans on: the same part of the same tensor, never too deep, and never where it would hurt."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from casvault.backends.memory import MemoryBackend
from casvault.chunking.chunks import Chunk
from casvault.codecs.codec import CODEC_IDS, Layout
from casvault.digest import digest_of
from casvault.formats.region import Region
from casvault.manifest.manifest import ChunkRef, FileEntry, Manifest
from casvault.objects.frame import Frame
from casvault.objects.store import ObjectName, ObjectStore
from casvault.snapshot.bases import BRANCHES, PERIOD, Bases, depth_of, radix_of
from tests.support.vaults import make_manifest, stamp

SIZE = 4096


def entry(role: str, tensors: dict[str, bytes], before: bytes = b"") -> FileEntry:
    """Return a file with these tensors, each of which is one chunk, with a chunk of something else in front."""
    chunks, regions = [], []
    position = len(before)
    if before:
        chunks.append(ChunkRef(digest_of(before), len(before)))
    for name, data in tensors.items():
        regions.append(Region(name, position, len(data), "float32", (len(data) // 4,)))
        chunks.append(ChunkRef(digest_of(data), len(data)))
        position += len(data)
    return FileEntry(role, role, position, 0, 0o644, "0" * 64, tuple(chunks), tuple(regions))


def chunk(name: str = "w", size: int = SIZE, within: int = 0, item: int = 4) -> Chunk:
    return Chunk(0, bytes(size), Layout(item, 0), name, within)


def put(backend: MemoryBackend, plain: bytes, base: str | None = None) -> str:
    """Write an object that is only looked at by its name."""
    codec = CODEC_IDS["delta"] if base else CODEC_IDS["raw"]
    pieces = Frame(codec, Layout(4, 0), len(plain), base, plain).pieces()
    name = ObjectName(digest_of(plain), base, 0)
    backend.write(name.blob, b"".join(pieces))
    return name.digest


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def parent_with(*files: FileEntry, **changes: object) -> Manifest:
    return replace(make_manifest(), files=files, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_depth", [1, 2, 3, 4, 5, 64])
def test_a_long_line_is_never_deep_and_never_leans_on_one_for_long(backend: MemoryBackend, max_depth: int) -> None:
    parent: Manifest | None = None
    bases: dict[str, str | None] = {}
    order: list[str] = []
    for number in range(60):
        plain = os.urandom(SIZE)
        choice = Bases(ObjectStore(backend), parent, max_depth)
        base = choice.of("a.npy", chunk())
        assert base is None or base in order
        bases[put(backend, plain, base)] = base
        order.append(digest_of(plain))
        parent = parent_with(entry("a.npy", {"w": plain}), id=stamp(number), since_key=choice.since_key)
    leaning = dict.fromkeys(order, 0)
    for digest in order:
        depth, at = 0, bases[digest]
        while at is not None:
            leaning[at] += 1
            depth, at = depth + 1, bases[at]
        assert depth <= max_depth
    assert PERIOD == 16
    assert max(leaning.values()) == 15
    keys = [number for number, digest in enumerate(order) if bases[digest] is None]
    assert keys == list(range(0, 60, 16))


def test_the_first_sixteen_at_depth_two(backend: MemoryBackend) -> None:
    assert (radix_of(1), radix_of(2), radix_of(3), radix_of(4)) == (16, 4, 3, 2)
    assert [depth_of(count, 2) for count in range(16)] == [0, 1, 1, 1, 1, 2, 2, 2, 1, 2, 2, 2, 1, 2, 2, 2]
    order: list[str] = []
    leans: list[int | None] = []
    parent: Manifest | None = None
    for number in range(16):
        plain = number.to_bytes(SIZE, "big")
        choice = Bases(ObjectStore(backend), parent, 2)
        base = choice.of("a.npy", chunk())
        leans.append(order.index(base) if base else None)
        order.append(put(backend, plain, base))
        parent = parent_with(entry("a.npy", {"w": plain}), since_key=choice.since_key)
    assert leans == [None, 0, 0, 0, 0, 4, 4, 4, 0, 8, 8, 8, 0, 12, 12, 12]


def test_a_tensor_is_found_by_its_name_wherever_it_lies(backend: MemoryBackend) -> None:
    plain, other = os.urandom(SIZE), os.urandom(SIZE)
    put(backend, plain)
    put(backend, other)
    for file in (
        entry("a.npy", {"w": plain}),
        entry("a.npy", {"first": other, "w": plain}),
        entry("a.npy", {"w": plain}, before=b"opcodes of another length"),
        entry("checkpoint-500/model.safetensors", {"w": plain}),
    ):
        assert Bases(ObjectStore(backend), parent_with(file), 2).of("a.npy", chunk()) == digest_of(plain)


def test_the_file_of_the_same_role_goes_before_another_and_two_others_are_one_too_many(backend: MemoryBackend) -> None:
    one, two = os.urandom(SIZE), os.urandom(SIZE)
    put(backend, one)
    put(backend, two)
    parent = parent_with(entry("model.npy", {"w": one}), entry("ema.npy", {"w": two}))
    choice = Bases(ObjectStore(backend), parent, 2)
    assert choice.of("model.npy", chunk()) == digest_of(one)
    assert choice.of("ema.npy", chunk()) == digest_of(two)
    assert choice.of("renamed.npy", chunk()) is None


def test_what_was_forgotten_since_has_no_base(backend: MemoryBackend) -> None:
    plain = os.urandom(SIZE)
    put(backend, plain)
    asked: list[tuple[str, str]] = []

    def forgot(role: str, tensor: str) -> bool:
        asked.append((role, tensor))
        return role == "a.npy"

    parent = parent_with(entry("a.npy", {"w": plain}))
    choice = Bases(ObjectStore(backend), parent, 2, forgot=forgot)
    assert choice.of("a.npy", chunk()) is None
    assert choice.of("renamed.npy", chunk()) == digest_of(plain)
    assert asked == [("a.npy", "w"), ("renamed.npy", "w")]


def test_only_the_same_part_of_the_same_length_and_only_numbers(backend: MemoryBackend) -> None:
    plain = os.urandom(SIZE)
    put(backend, plain)
    choice = Bases(ObjectStore(backend), parent_with(entry("a.npy", {"w": plain})), 2)
    assert choice.of("a.npy", chunk()) == digest_of(plain)
    for wrong in (chunk("v"), chunk(size=SIZE - 4), chunk(within=4), chunk(item=0), Chunk(0, bytes(SIZE), Layout())):
        assert choice.of("a.npy", wrong) is None


def test_a_tensor_in_several_chunks(backend: MemoryBackend) -> None:
    parts = [os.urandom(SIZE), os.urandom(SIZE), os.urandom(100)]
    for part in parts:
        put(backend, part)
    whole = entry("a.npy", {"w": b"".join(parts)}, before=b"opcodes")
    file = replace(whole, chunks=(whole.chunks[0], *(ChunkRef(digest_of(part), len(part)) for part in parts)))
    choice = Bases(ObjectStore(backend), parent_with(file), 2)
    found = [choice.of("a.npy", chunk(within=SIZE * n, size=len(part))) for n, part in enumerate(parts)]
    assert found == [digest_of(part) for part in parts]


@pytest.mark.parametrize("change", ["none", "incomplete", "depth 0", "siblings", "gone"])
def test_where_nothing_is_leaned_on(backend: MemoryBackend, change: str) -> None:
    plain = os.urandom(SIZE)
    if change != "gone":
        put(backend, plain)
    parent = parent_with(entry("a.npy", {"w": plain}), since_key=3, incomplete=change == "incomplete")
    choice = Bases(
        ObjectStore(backend),
        None if change == "none" else parent,
        0 if change == "depth 0" else 2,
        BRANCHES if change == "siblings" else BRANCHES - 1,
    )
    assert choice.of("a.npy", chunk()) is None
    assert choice.since_key == (4 if change == "gone" else 0)


def test_a_chain_that_is_deeper_than_it_should_be_is_climbed(backend: MemoryBackend) -> None:
    plains = [os.urandom(SIZE) for _ in range(5)]
    base: str | None = None
    for plain in plains:
        base = put(backend, plain, base)
    parent = parent_with(entry("a.npy", {"w": plains[-1]}), since_key=4)
    # The fifth leans on one with at most one base behind it, whatever its parent leans on.
    assert Bases(ObjectStore(backend), parent, 2).of("a.npy", chunk()) == digest_of(plains[1])


def test_bases_that_lean_on_each_other_are_not_used(backend: MemoryBackend) -> None:
    one, two = os.urandom(SIZE), os.urandom(SIZE)
    put(backend, one, digest_of(two))
    put(backend, two, digest_of(one))
    parent = parent_with(entry("a.npy", {"w": one}))
    assert Bases(ObjectStore(backend), parent, 2).of("a.npy", chunk()) is None


def bases_behind(objects: dict[str, str | None], digest: str) -> int:
    """Return how many bases stand behind an object; fails where they go round."""
    seen = [digest]
    while (base := objects[seen[-1]]) is not None:
        assert base not in seen
        seen.append(base)
    return len(seen) - 1


@pytest.mark.parametrize("max_depth", [1, 2, 3, 4, 5, 64])
@pytest.mark.parametrize("seed", range(4))
def test_no_history_is_deep_or_goes_round(backend: MemoryBackend, max_depth: int, seed: int) -> None:
    source = random.Random(seed)
    objects: dict[str, str | None] = {}
    history: list[tuple[Manifest, dict[str, bytes]]] = []
    for number in range(80):
        # Training goes on from the last snapshot or an older one; some tensors stand still, some go back.
        before = None if not history else source.choice([history[-1]] * 200 + history)
        parent, tensors = (before[0], dict(before[1])) if before else (None, {})
        for name in "uvw":
            how = source.random()
            if how < 0.6 or name not in tensors:
                tensors[name] = source.randbytes(256)
            elif how < 0.8:
                tensors[name] = source.choice(history)[1][name]
        choice = Bases(ObjectStore(backend), parent, max_depth)
        for name, plain in tensors.items():
            digest = digest_of(plain)
            if digest not in objects:
                objects[digest] = choice.of("a.npy", chunk(name, len(plain)))
                put(backend, plain, objects[digest])
        made = parent_with(entry("a.npy", tensors), id=stamp(number), since_key=choice.since_key)
        history.append((made, tensors))
    depths = [bases_behind(objects, digest) for digest in objects]
    assert min(max_depth, 2) <= max(depths) <= max_depth
    assert depths.count(0) < len(depths) / 2


def test_files_without_the_role_may_share_a_tensor_but_not_disagree_on_it(backend: MemoryBackend) -> None:
    one, two = os.urandom(SIZE), os.urandom(SIZE)
    put(backend, one)
    put(backend, two)
    for tensors, found in (((one, one), digest_of(one)), ((one, two), None), ((one, two, one), None)):
        files = [entry(f"{number}.npy", {"w": plain}) for number, plain in enumerate(tensors)]
        assert Bases(ObjectStore(backend), parent_with(*files), 2).of("renamed.npy", chunk()) == found
