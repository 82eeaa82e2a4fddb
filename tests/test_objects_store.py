"""The store: what counts as there, what is believed, and chains of bases that always end."""

from __future__ import annotations

import itertools
import random
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from casvault.backends.backend import Entry
from casvault.backends.memory import MemoryBackend
from casvault.codecs.codec import CODEC_IDS, Bytes, Layout
from casvault.codecs.registry import codec_of
from casvault.digest import digest_of
from casvault.errors import DamageError, MissingObject, UnsupportedVault
from casvault.objects.frame import HEADER_SIZE, Frame
from casvault.objects.store import MAX_CHAIN, ObjectName, ObjectStore
from tests.support.deltas import XorDelta, delta_of, install, store_delta
from tests.support.vaults import store


class Watched(MemoryBackend):
    """A backend that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.lists: list[str] = []

    def _read(self, name: str, limit: int | None) -> bytes:
        self.reads += 1
        return super()._read(name, limit)

    def _list(self, folder: str) -> list[Entry]:
        self.lists.append(folder)
        return super()._list(folder)


@pytest.fixture
def backend() -> Watched:
    return Watched()


@pytest.fixture
def delta(monkeypatch: pytest.MonkeyPatch) -> XorDelta:
    return install(monkeypatch)


def plains(count: int) -> list[bytes]:
    source = random.Random(5)
    return [source.randbytes(40) for _ in range(count)]


def put(backend: MemoryBackend, name: str, frame: Frame) -> None:
    backend.write(name, b"".join(frame.pieces()))


def test_what_was_stored_is_read(backend: Watched) -> None:
    chunks = [b"x", b"text " * 100, *plains(3)]
    names = [store(backend, chunk) for chunk in chunks]
    objects = ObjectStore(backend)
    for chunk, name in zip(chunks, names, strict=True):
        assert objects.encodings(name.digest)
        assert objects.encodings(name.digest) == [name]
        assert objects.read(name.digest) == objects.read(name.digest, len(chunk)) == objects.read_object(name) == chunk
    assert list(objects.every()) == sorted(names)
    assert all(name.blob == f"objects/{name.digest[:3]}/{name.digest}" for name in names)


def test_what_is_not_there(backend: Watched) -> None:
    objects = ObjectStore(backend)
    digest = digest_of(b"absent")
    assert not objects.encodings(digest)
    assert objects.encodings(digest) == []
    with pytest.raises(MissingObject, match=digest[:12]):
        objects.read(digest)
    with pytest.raises(MissingObject, match="vanished"):
        objects.read_object(ObjectName(digest, None, 200))


@pytest.mark.parametrize("size", [0, 1, HEADER_SIZE - 1, HEADER_SIZE])
def test_objects_of_a_headers_size_or_less_are_absent(backend: Watched, size: int) -> None:
    name = store(backend, b"chunk" * 20)
    backend.write(name.blob, backend.read(name.blob)[:size])
    objects = ObjectStore(backend)
    assert not objects.encodings(name.digest)
    assert list(objects.every()) == []
    with pytest.raises(MissingObject):
        objects.read(name.digest)


def test_names_that_are_no_objects_are_passed_over(backend: Watched) -> None:
    name = store(backend, b"chunk" * 20)
    data = backend.read(name.blob)
    other = digest_of(b"other")
    for odd in (
        f"{name.folder}/{name.digest}.partial",
        f"{name.folder}/{name.digest}.{other}.x",
        f"{name.folder}/{name.digest.upper()}",
        f"{name.folder}/README",
        f"{name.folder}/{name.digest[:-1]}",
        f"objects/{'000' if name.digest[:3] != '000' else '001'}/{name.digest}",
        f"objects/{name.digest}",
    ):
        backend.write(odd, data)
    assert list(ObjectStore(backend).every()) == [name]


def test_a_folder_is_listed_once_until_it_is_forgotten(backend: Watched) -> None:
    name = store(backend, b"one")
    objects = ObjectStore(backend)
    for _ in range(3):
        assert objects.encodings(name.digest)
    assert backend.lists == [name.folder]
    backend.delete(name.blob)
    assert objects.encodings(name.digest)
    objects.forget()
    assert not objects.encodings(name.digest)


def test_a_noted_object_is_there(backend: Watched) -> None:
    objects = ObjectStore(backend)
    digest = digest_of(b"one")
    assert not objects.encodings(digest)
    name = store(backend, b"one")
    assert not objects.encodings(digest), "the listing is remembered"
    objects.note(name)
    objects.note(name)
    assert objects.encodings(digest) == [name]
    assert objects.read(digest) == b"one"
    backend.delete(name.blob)
    with pytest.raises(MissingObject, match="vanished"):
        objects.read(digest)


def test_wrong_bytes_with_a_right_checksum(backend: Watched) -> None:
    name = store(backend, b"right" * 10)
    put(backend, name.blob, Frame(CODEC_IDS["raw"], Layout(), 50, None, b"wrong" * 10))
    with pytest.raises(DamageError, match="other bytes than its name says"):
        ObjectStore(backend).read(name.digest)


def test_a_manifest_that_says_another_size(backend: Watched) -> None:
    name = store(backend, b"right" * 10)
    with pytest.raises(DamageError, match="50 bytes where a manifest says 51"):
        ObjectStore(backend).read(name.digest, 51)


def test_every_changed_byte_and_every_truncation_is_an_error_or_makes_no_difference(backend: Watched) -> None:
    plain = b"text " * 30
    name = store(backend, plain)
    good = backend.read(name.blob)
    variants = [good[:end] for end in range(len(good))]
    for place in range(len(good)):
        for flip in (0x01, 0x80, 0xFF):
            variants.append(good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :])
    harmless = 0
    for data in variants:
        backend.write(name.blob, data)
        with pytest.raises(DamageError):
            ObjectStore(backend).read_object(name)
        try:
            # A bit that decoding does not look at, in the row length or the checksum itself, costs nobody a model.
            assert ObjectStore(backend).read(name.digest, len(plain)) == plain
        except DamageError:
            continue
        assert len(data) == len(good)
        assert data[HEADER_SIZE:] == good[HEADER_SIZE:]
        harmless += 1
    assert 3 * 32 <= harmless < 3 * HEADER_SIZE
    backend.write(name.blob, good)
    assert ObjectStore(backend).read(name.digest) == plain


@pytest.mark.parametrize("codec", ["delta", "rank-one-delta"])
def test_every_changed_byte_of_a_delta_is_an_error_or_makes_no_difference(backend: Watched, codec: str) -> None:
    # Whole rows of two-byte numbers that are not negative, and the same a little later.
    base, plain = (b"".join(struct.pack("<H", 900 + row * 7 + more) * 8 for row in range(8)) for more in (0, 1))
    layout = Layout(2, 8)
    name = store(backend, base, layout)
    payload = codec_of(CODEC_IDS[codec]).encode(plain, layout, base)
    leaning = ObjectName(digest_of(plain), name.digest, HEADER_SIZE + len(payload))
    put(backend, leaning.blob, Frame(CODEC_IDS[codec], layout, len(plain), name.digest, payload))
    good = backend.read(leaning.blob)
    harmless = 0
    for place, flip in itertools.product(range(len(good)), (0x01, 0x02, 0x80, 0xFF)):
        backend.write(leaning.blob, good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :])
        with pytest.raises(DamageError):
            ObjectStore(backend).read_object(leaning)
        try:
            assert ObjectStore(backend).read(leaning.digest) == plain
            harmless += 1
        except DamageError:
            continue
    assert 4 * 32 <= harmless < 4 * HEADER_SIZE


@pytest.mark.parametrize("codec", [4, 6])
@pytest.mark.parametrize("item_size", [0, 1, 3, 5, 16, (1 << 32) - 1])
def test_a_delta_of_words_that_there_are_none(backend: Watched, codec: int, item_size: int) -> None:
    base, plain = plains(2)
    name = store(backend, base)
    digest = digest_of(plain)
    frame = Frame(codec, Layout(item_size, 8), len(plain), name.digest, bytes(60))
    put(backend, f"objects/{digest[:3]}/{digest}.{name.digest}", frame)
    with pytest.raises(DamageError):
        ObjectStore(backend).read(digest)


@pytest.mark.parametrize("codec", [0, 7, 9, 99])
def test_codecs_that_this_version_does_not_have(backend: Watched, codec: int) -> None:
    name = store(backend, b"chunk")
    put(backend, name.blob, Frame(codec, Layout(), 5, None, b"chunk"))
    with pytest.raises(DamageError, match=f"codec {codec}|base"):
        ObjectStore(backend).read(name.digest)


def test_the_closure_of_a_chunk(backend: Watched, delta: XorDelta) -> None:
    one, two, three, other = plains(4)
    store(backend, one)
    delta_of(backend, two, one)
    delta_of(backend, three, two)
    store(backend, other)
    delta_of(backend, other, three)
    objects = ObjectStore(backend)
    assert objects.closure(digest_of(one)) == {digest_of(one)}
    assert objects.closure(digest_of(three)) == {digest_of(plain) for plain in (one, two, three)}
    assert objects.closure(digest_of(other)) == {digest_of(plain) for plain in (one, two, three, other)}
    assert objects.closure("0" * 64) == {"0" * 64}


def test_the_closure_goes_over_every_encoding_and_ends(backend: Watched, delta: XorDelta) -> None:
    one, two, three = plains(3)
    store(backend, one)
    store(backend, two)
    for base in (one, two):
        delta_of(backend, three, base)
    delta_of(backend, two, three)
    everything = {digest_of(plain) for plain in (one, two, three)}
    assert ObjectStore(backend).closure(digest_of(three)) == everything
    assert ObjectStore(backend).closure(digest_of(two)) == everything
    assert ObjectStore(backend).closure(digest_of(one)) == {digest_of(one)}


@pytest.mark.parametrize("damage", ["flip", "cut", "vanish", "wrong bytes"])
def test_a_damaged_base_is_an_error(backend: Watched, delta: XorDelta, damage: str) -> None:
    base, plain = plains(2)
    alone = store(backend, base)
    leaning = delta_of(backend, plain, base)
    objects = ObjectStore(backend)
    assert objects.read(digest_of(plain)) == objects.read_object(leaning) == plain
    good = backend.read(alone.blob)
    if damage == "flip":
        backend.write(alone.blob, good[:-1] + bytes([good[-1] ^ 1]))
    elif damage == "cut":
        backend.write(alone.blob, good[:-1])
    elif damage == "vanish":
        backend.delete(alone.blob)
    else:
        put(backend, alone.blob, Frame(CODEC_IDS["raw"], Layout(), 40, None, plain))
    # What the first store knows of the folder is as old as a real one's; the second lists it anew.
    for seen in (objects, ObjectStore(backend)):
        with pytest.raises((DamageError, MissingObject), match=alone.digest[:12]):
            seen.read(digest_of(plain), 40)
        with pytest.raises((DamageError, MissingObject), match=alone.digest[:12]):
            seen.read_object(leaning)


def test_a_damaged_link_is_gone_around_where_there_is_another_way(backend: Watched, delta: XorDelta) -> None:
    one, two, three = plains(3)
    store(backend, one)
    link = delta_of(backend, two, one)
    delta_of(backend, three, two)
    assert ObjectStore(backend).read(digest_of(three)) == three
    good = backend.read(link.blob)
    backend.write(link.blob, good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(DamageError):
        ObjectStore(backend).read(digest_of(three))
    store(backend, two)
    assert ObjectStore(backend).read(digest_of(three)) == three


def test_a_payload_that_does_not_decode(backend: Watched) -> None:
    name = store(backend, b"chunk")
    put(backend, name.blob, Frame(CODEC_IDS["zstd"], Layout(), 5, None, b"chunk"))
    with pytest.raises(DamageError, match="zstd"):
        ObjectStore(backend).read(name.digest)


def test_a_newer_object(backend: Watched) -> None:
    name = store(backend, b"chunk")
    put(backend, name.blob, Frame(1, Layout(), 5, None, b"chunk", flags=0x4000))
    with pytest.raises(UnsupportedVault):
        ObjectStore(backend).read(name.digest)


def test_name_and_header_must_agree_on_the_base(backend: Watched, delta: XorDelta) -> None:
    plain, base, other = plains(3)
    store(backend, base)
    store(backend, other)
    good = delta_of(backend, plain, base)
    assert ObjectStore(backend).read(good.digest) == plain
    data = backend.read(good.blob)
    backend.delete(good.blob)
    for suffix in ("", "." + digest_of(other)):
        wrong = f"{good.folder}/{good.digest}{suffix}"
        backend.write(wrong, data)
        with pytest.raises(DamageError, match="different bases"):
            ObjectStore(backend).read(good.digest)
        backend.delete(wrong)


@pytest.mark.parametrize("codec", ["raw", "zstd", "planes", "rank-one", "turned-planes"])
def test_a_base_where_there_must_be_none(backend: Watched, codec: str) -> None:
    base = plains(1)[0]
    # Whole rows of numbers that are not negative: what each of them can code, so that only the base is wrong.
    plain = (b"\x01\x02" * 8 + b"\x03\x04" * 8) * 8
    layout = Layout(2, 8)
    payload = _payload(codec, plain, layout)
    name = store(backend, base)
    digest = digest_of(plain)
    frame = Frame(CODEC_IDS[codec], layout, len(plain), None, payload)
    put(backend, f"objects/{digest[:3]}/{digest}", frame)
    assert ObjectStore(backend).read(digest) == plain
    backend.delete(f"objects/{digest[:3]}/{digest}")
    put(backend, f"objects/{digest[:3]}/{digest}.{name.digest}", replace(frame, base=name.digest))
    with pytest.raises(DamageError, match="a base where there must be none"):
        ObjectStore(backend).read(digest)


def _payload(codec: str, plain: bytes, layout: Layout) -> bytes:
    if codec != "planes":
        return codec_of(CODEC_IDS[codec]).encode(plain, layout)
    # Written no more: two raw planes of words that are rotated by one bit.
    words = [int.from_bytes(plain[at : at + 2], "little") for at in range(0, len(plain), 2)]
    turned = [(word << 1 | word >> 15) & 0xFFFF for word in words]
    heads = struct.pack("<BIBI", 0, len(words), 0, len(words))
    return heads + bytes(word & 0xFF for word in turned) + bytes(word >> 8 for word in turned)


def test_none_where_there_must_be_a_base(backend: Watched, delta: XorDelta) -> None:
    digest = digest_of(b"chunk")
    put(backend, f"objects/{digest[:3]}/{digest}", Frame(CODEC_IDS["delta"], Layout(), 5, None, b"chunk"))
    with pytest.raises(DamageError, match="none where there must be one"):
        ObjectStore(backend).read(digest)


def chain(backend: MemoryBackend, length: int) -> list[bytes]:
    """Store a chunk of its own and ``length`` more, each a delta against the one before."""
    made = plains(length + 1)
    store(backend, made[0])
    for base, plain in itertools.pairwise(made):
        delta_of(backend, plain, base)
    return made


@pytest.mark.parametrize("length", [1, 2, 10, MAX_CHAIN])
def test_chains(backend: Watched, delta: XorDelta, length: int) -> None:
    made = chain(backend, length)
    objects = ObjectStore(backend)
    for plain in made:
        assert objects.read(digest_of(plain), 40) == plain


def test_a_chain_that_is_too_long(backend: Watched, delta: XorDelta) -> None:
    assert MAX_CHAIN == 64
    made = chain(backend, MAX_CHAIN + 1)
    objects = ObjectStore(backend)
    assert objects.read(digest_of(made[-2])) == made[-2]
    with pytest.raises(DamageError, match="too long chain"):
        objects.read(digest_of(made[-1]))


def test_a_chain_whose_end_is_missing(backend: Watched, delta: XorDelta) -> None:
    made = chain(backend, 3)
    first = digest_of(made[0])
    backend.delete(f"objects/{first[:3]}/{first}")
    with pytest.raises(MissingObject, match=first[:12]):
        ObjectStore(backend).read(digest_of(made[-1]))


def test_what_a_chain_ends_with(backend: Watched, delta: XorDelta) -> None:
    made = chain(backend, MAX_CHAIN)
    objects = ObjectStore(backend)
    size = objects.encodings(digest_of(made[0]))[0].size
    assert [objects.alone(digest_of(plain)) for plain in made] == [size] * len(made)
    store(backend, made[3])
    objects.forget()
    assert objects.alone(digest_of(made[3])) == objects.encodings(digest_of(made[3]))[0].size
    assert objects.alone("0" * 64) is None
    first = digest_of(made[0])
    backend.delete(f"objects/{first[:3]}/{first}")
    assert ObjectStore(backend).alone(digest_of(made[1])) is None


@pytest.mark.parametrize("length", [1, 2, 3, 70])
def test_cycles(backend: Watched, delta: XorDelta, length: int) -> None:
    digests = [digest_of(plain) for plain in plains(length)]
    for digest, base in zip(digests, digests[1:] + digests[:1], strict=True):
        store_delta(backend, digest, base, bytes(40))
    objects = ObjectStore(backend)
    for digest in digests:
        with pytest.raises(DamageError):
            objects.read(digest)
        assert objects.alone(digest) is None
    assert backend.reads <= 2 * length * min(length, MAX_CHAIN + 1)


def test_the_object_that_stands_alone_is_preferred(backend: Watched, delta: XorDelta) -> None:
    plain, base = plains(2)
    store(backend, base)
    leaning = delta_of(backend, plain, base)
    alone = store(backend, plain)
    objects = ObjectStore(backend)
    assert objects.encodings(alone.digest) == [alone, leaning]
    assert objects.read(alone.digest) == plain
    assert backend.reads == 1
    assert objects.read_object(leaning) == plain


@pytest.mark.parametrize("damage", ["flip", "vanish", "newer", "wrong bytes"])
def test_the_delta_is_used_where_the_other_is_damaged(backend: Watched, delta: XorDelta, damage: str) -> None:
    plain, base = plains(2)
    store(backend, base)
    leaning = delta_of(backend, plain, base)
    alone = store(backend, plain)
    objects = ObjectStore(backend)
    assert len(objects.encodings(alone.digest)) == 2
    if damage == "flip":
        backend.write(alone.blob, backend.read(alone.blob)[:-1] + b"\0")
    elif damage == "vanish":
        backend.delete(alone.blob)
    elif damage == "newer":
        put(backend, alone.blob, Frame(1, Layout(), 40, None, plain, flags=0x4000))
    else:
        put(backend, alone.blob, Frame(1, Layout(), 40, None, base))
    assert objects.read(alone.digest) == plain
    with pytest.raises((DamageError, UnsupportedVault)):
        objects.read_object(alone)
    assert objects.read_object(leaning) == plain


def test_a_second_base_is_used_where_the_first_is_damaged(backend: Watched, delta: XorDelta) -> None:
    plain, *bases = plains(3)
    names = [store(backend, base) for base in bases]
    for base in bases:
        delta_of(backend, plain, base)
    for name in names:
        good = backend.read(name.blob)
        backend.write(name.blob, good[:-1] + b"\0")
        assert ObjectStore(backend).read(digest_of(plain)) == plain
        backend.write(name.blob, good)


def test_a_failing_thicket_of_bases_ends_quickly(backend: Watched, delta: XorDelta) -> None:
    # Every chunk of a level leans on every chunk of the next, and the last level is not there.
    levels = [[digest_of(b"%d %d" % (level, which)) for which in range(2)] for level in range(MAX_CHAIN)]
    for upper, lower in itertools.pairwise(levels):
        for digest in upper:
            for base in lower:
                store_delta(backend, digest, base, bytes(40))
    with pytest.raises(MissingObject):
        ObjectStore(backend).read(levels[0][0])
    assert backend.reads <= 2 * 2 * MAX_CHAIN


def test_a_thicket_that_resolves_but_for_wrong_bytes_ends_quickly(backend: Watched, delta: XorDelta) -> None:
    # Every chunk has an object that decodes to something else, and one that is right: each after all its bases.
    source = random.Random(11)
    levels = [[source.randbytes(40) for _ in range(2)] for _ in range(40)]
    for plain in levels[-1]:
        store(backend, plain)
    for upper, lower in itertools.pairwise(levels):
        first, last = sorted(lower, key=digest_of)
        for plain in upper:
            store_delta(backend, digest_of(plain), digest_of(first), bytes(40))
            delta_of(backend, plain, last)
    with pytest.raises(DamageError, match="more objects than a vault ever writes"):
        ObjectStore(backend).read(digest_of(levels[0][0]))
    assert backend.reads <= 1000


def test_from_several_threads(backend: Watched, delta: XorDelta) -> None:
    made = chain(backend, 20)
    objects = ObjectStore(backend)
    barrier = threading.Barrier(8)

    def read(number: int) -> Sequence[Bytes]:
        barrier.wait()
        return [objects.read(digest_of(plain)) for plain in made]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == made for found in pool.map(read, range(8)))
    assert len(backend.lists) == len({digest_of(plain)[:3] for plain in made})
