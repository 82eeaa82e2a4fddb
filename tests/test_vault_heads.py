"""Heads: the listing says which snapshots there are, and a thousand of them are read from one cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from casvault.backends.memory import MemoryBackend
from casvault.digest import digest_of
from casvault.errors import BadManifest, NoSpace, StorageError
from casvault.manifest.label import Label
from casvault.vault.config import VaultConfig
from casvault.vault.heads import HeadIndex
from casvault.vault.vault import Vault
from tests.support.vaults import make_manifest, stamp

CACHE = "cache/heads"
RECENT = "cache/heads-recent"


class Watched(MemoryBackend):
    """A backend that remembers what was read and written."""

    def __init__(self) -> None:
        super().__init__()
        self.read_names: list[str] = []
        self.written: list[str] = []

    def _read(self, name: str, limit: int | None) -> bytes:
        self.read_names.append(name)
        return super()._read(name, limit)

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        self.written.append(name)
        super()._write(name, data, durable)


@pytest.fixture
def backend() -> Watched:
    return Watched()


def add(backend: MemoryBackend, number: int, **changes: Any) -> str:
    manifest = make_manifest(stamp(number), **changes)
    backend.write(f"snapshots/{manifest.id}.json", manifest.to_bytes())
    return manifest.id


def label(backend: MemoryBackend, id: str, number: int, **members: Any) -> str:
    name = f"labels/{id}.{stamp(number)}.json"
    backend.write(name, Label(id, **members).to_bytes())
    return name


def reseal(document: Any) -> bytes:
    """Write a cache by hand, with a checksum that is right."""
    body = json.dumps(document).encode()
    return digest_of(body).encode() + b"\n" + body


def members(cache: bytes) -> Any:
    return json.loads(cache.partition(b"\n")[2])


def test_a_thousand_snapshots_are_read_from_the_cache(backend: Watched) -> None:
    ids = [add(backend, number, iteration=number) for number in range(1000)]
    for number in range(0, 1000, 3):
        label(backend, ids[number], number, name=f"name {number}")
    first = HeadIndex(backend).read().heads
    assert [head.id for head in first] == ids
    assert [head.iteration for head in first] == list(range(1000))
    assert [head.name for head in first[:4]] == ["name 0", None, None, "name 3"]

    backend.read_names.clear()
    backend.written.clear()
    again = HeadIndex(backend).read().heads
    assert again == first
    assert backend.read_names == [CACHE, RECENT]
    assert backend.written == []


def test_only_what_is_new_is_read(backend: Watched) -> None:
    ids = [add(backend, number) for number in range(10)]
    HeadIndex(backend).read()
    new = add(backend, 10)
    relabelled = label(backend, ids[3], 5, name="renamed")
    backend.delete(f"snapshots/{ids[0]}.json")
    backend.read_names.clear()
    heads = HeadIndex(backend).read().heads
    assert [head.id for head in heads] == [*ids[1:], new]
    assert heads[2].name == "renamed"
    assert sorted(backend.read_names) == sorted(
        [CACHE, RECENT, relabelled, f"snapshots/{ids[3]}.json", f"snapshots/{new}.json"]
    )
    backend.read_names.clear()
    assert HeadIndex(backend).read().heads == heads
    assert backend.read_names == [CACHE, RECENT]


def test_one_index_reads_its_cache_once(backend: Watched) -> None:
    ids = [add(backend, number) for number in range(3)]
    index = HeadIndex(backend)
    index.read()
    new = add(backend, 3)
    backend.read_names.clear()
    assert [head.id for head in index.read().heads] == [*ids, new]
    assert backend.read_names == [f"snapshots/{new}.json"]
    backend.delete(f"snapshots/{ids[1]}.json")
    assert [head.id for head in index.read().heads] == [ids[0], ids[2], new]


def test_what_was_committed_is_listed_without_being_read(backend: Watched) -> None:
    for number in range(200):
        add(backend, number)
    HeadIndex(backend).read()
    heads, written = [], []
    for number in range(200, 270):
        # Each snapshot is taken by a process of its own.
        manifest = make_manifest(stamp(number), iteration=number)
        backend.written.clear()
        heads.append(Vault(backend, VaultConfig()).commit(manifest, Label(manifest.id, name=f"save {number}")))
        written += backend.written
    backend.read_names.clear()
    assert HeadIndex(backend).read().heads[200:] == heads
    assert set(backend.read_names) == {CACHE, RECENT}
    # The large part is not written anew for every snapshot.
    assert written.count(CACHE) == 2


@pytest.mark.parametrize("part", [CACHE, RECENT])
def test_either_part_of_the_cache_may_be_damaged_or_gone(backend: Watched, part: str) -> None:
    for number in range(5):
        add(backend, number)
    HeadIndex(backend).read()
    manifest = make_manifest(stamp(7))
    Vault(backend, VaultConfig()).commit(manifest, Label(manifest.id, name="x"))
    wanted = HeadIndex(backend).read(cached=False).heads
    good = backend.read(part)
    for data in (good[:-1], good + b" ", b"", good.replace(b"manual", b"manuel")):
        backend.write(part, data)
        assert HeadIndex(backend).read().heads == wanted
        backend.delete(part)
        assert HeadIndex(backend).read().heads == wanted


def test_a_label_that_is_newer_than_the_cache_wins(backend: Watched) -> None:
    vault = Vault(backend, VaultConfig())
    manifest = make_manifest(stamp(1))
    vault.commit(manifest, Label(manifest.id, name="before"))
    Vault(backend, VaultConfig()).write_label(Label(manifest.id, name="after"))
    assert [head.name for head in vault.heads()] == ["after"]
    assert [head.name for head in HeadIndex(backend).read().heads] == ["after"]


def test_without_the_cache_every_document_is_read(backend: Watched) -> None:
    ids = [add(backend, number) for number in range(5)]
    HeadIndex(backend).read()
    backend.read_names.clear()
    assert len(HeadIndex(backend).read(cached=False).heads) == 5
    assert sorted(backend.read_names) == [f"snapshots/{id}.json" for id in ids]


def test_the_newest_label_wins(backend: Watched) -> None:
    id = add(backend, 1)
    label(backend, id, 300, name="newest", pinned=True)
    label(backend, id, 200, name="older", deleted=True)
    (head,) = HeadIndex(backend).read().heads
    assert (head.name, head.label.pinned, head.label.deleted) == ("newest", True, False)
    assert HeadIndex(backend).labels.stamps() == {id: [stamp(300), stamp(200)]}
    label(backend, id, 400, deleted=True)
    (head,) = HeadIndex(backend).read().heads
    assert (head.name, head.label.deleted) == (None, True)


def test_files_that_are_no_documents_are_passed_over(backend: Watched) -> None:
    id = add(backend, 1)
    data = backend.read(f"snapshots/{id}.json")
    for name in ("notes.json", f"{id}.bak", f"{id}-copy.json", f"{id}.json.part", "x"):
        backend.write(f"snapshots/{name}", data)
    for name in (
        "notes.json",
        f"{id}.json",
        f"{id}.{'z' * 27}.json",
        f"{id}.{stamp(5)}.json.part",
        f"{'z' * 27}.{stamp(5)}.json",
    ):
        backend.write(f"labels/{name}", b"{}")
    index = HeadIndex(backend)
    assert [head.id for head in index.read().heads] == index.ids() == [id]
    assert index.damaged == {}
    assert index.labels.stamps() == {}


def test_a_damaged_manifest_is_told_and_the_others_are_listed(backend: Watched) -> None:
    ids = [add(backend, number) for number in range(5)]
    backend.write(f"snapshots/{ids[2]}.json", b"x" + backend.read(f"snapshots/{ids[2]}.json")[1:])
    backend.write(f"snapshots/{ids[4]}.json", b"")
    index = HeadIndex(backend)
    for _ in range(3):
        assert [head.id for head in index.read().heads] == [ids[0], ids[1], ids[3]]
        assert set(index.damaged) == {ids[2], ids[4]}
        assert all(isinstance(error, BadManifest) for error in index.damaged.values())
    assert index.ids() == ids
    add(backend, 2)
    assert [head.id for head in index.read().heads] == ids[:4]
    assert set(index.damaged) == {ids[4]}


def test_a_damaged_label_is_told_and_the_snapshot_is_listed(backend: Watched) -> None:
    id = add(backend, 1)
    name = label(backend, id, 5, name="x")
    good = backend.read(name)
    backend.write(name, good[:-5])
    index = HeadIndex(backend)
    for _ in range(2):
        (head,) = index.read().heads
        assert head.label == Label(id)
        assert set(index.damaged) == {f"{id}.{stamp(5)}"}
    backend.write(name, good)
    (head,) = index.read().heads
    assert head.name == "x"
    assert index.damaged == {}


def test_where_the_newest_label_is_damaged_the_one_before_is_taken(backend: Watched) -> None:
    id = add(backend, 1)
    label(backend, id, 5, name="older", pinned=True, deleted=True, thinned=("a.npy",))
    backend.write(label(backend, id, 9, name="newest"), b"x")
    index = HeadIndex(backend)
    for _ in range(2):
        (head,) = index.read().heads
        # The newest may have taken it back that it was deleted or thinned.
        assert head.label == Label(id, "older", pinned=True)
        assert head.doubtful
        assert set(index.damaged) == {f"{id}.{stamp(9)}"}


def test_a_cache_that_is_cut_or_changed_anywhere(backend: Watched) -> None:
    id = add(backend, 1)
    label(backend, id, 5, name="x")
    expected = HeadIndex(backend).read().heads
    good = backend.read(CACHE)
    changed = [good[:end] for end in range(len(good))]
    changed += [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in range(len(good))]
    for data in changed:
        backend.write(CACHE, data)
        backend.read_names.clear()
        assert HeadIndex(backend).read().heads == expected
        assert f"snapshots/{id}.json" in backend.read_names
    assert backend.read(CACHE) == good, "and it is written anew"


HOSTILE = ["null", "[]", "{}", '{"format":1}', '{"format":2,"heads":{}}', '{"format":1,"heads":[]}', "5", '"x"']


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cache_that_is_none(backend: Watched, text: str) -> None:
    add(backend, 1)
    expected = HeadIndex(backend).read().heads
    for data in (text.encode(), reseal(json.loads(text))):
        backend.write(CACHE, data)
        assert HeadIndex(backend).read().heads == expected


@pytest.mark.parametrize("record", [None, 5, [], {}, "x", [1, 2, 3], [0] * 7, [0] * 8])
def test_a_cache_with_wrong_records(backend: Watched, record: Any) -> None:
    id = add(backend, 1)
    expected = HeadIndex(backend).read().heads
    backend.write(CACHE, reseal({"format": 1, "heads": {id: record}}))
    assert HeadIndex(backend).read().heads == expected


@pytest.mark.parametrize("member", ["id", "created", "kind", "model", "iteration", "loss", "incomplete", "health"])
def test_a_cache_with_heads_that_lack_something(backend: Watched, member: str) -> None:
    id, _ = add(backend, 1), add(backend, 2)
    expected = HeadIndex(backend).read().heads
    cache = members(backend.read(CACHE))
    del cache["heads"][id][2][member]
    backend.write(CACHE, reseal(cache))
    assert HeadIndex(backend).read().heads == expected


def test_a_cache_that_mixes_snapshots_up(backend: Watched) -> None:
    one, two = add(backend, 1, iteration=1), add(backend, 2, iteration=2)
    expected = HeadIndex(backend).read().heads
    cache = members(backend.read(CACHE))
    heads = cache["heads"]
    heads[one], heads[two] = heads[two], heads[one]
    backend.write(CACHE, reseal(cache))
    assert HeadIndex(backend).read().heads == expected


def test_the_cache_knows_nothing_that_the_listing_does_not(backend: Watched) -> None:
    ids = [add(backend, number) for number in range(3)]
    HeadIndex(backend).read()
    for id in ids:
        backend.delete(f"snapshots/{id}.json")
    assert HeadIndex(backend).read().heads == []


def test_a_disk_that_takes_no_cache(backend: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    add(backend, 1)
    for error in (NoSpace("full."), StorageError("read-only.")):

        def refuse(name: str, data: bytes, durable: bool, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(backend, "_write", refuse)
        assert len(HeadIndex(backend).read().heads) == 1


def test_a_manifest_that_is_too_large(backend: Watched) -> None:
    ids = [add(backend, 1), add(backend, 2)]
    backend.write(f"snapshots/{ids[0]}.json", bytes((64 << 20) + 1))
    index = HeadIndex(backend)
    assert [head.id for head in index.read().heads] == ids[1:]
    assert "cannot be right" in str(index.damaged[ids[0]])


def test_labels_that_count_no_more(backend: Watched) -> None:
    vault = Vault(backend, VaultConfig())
    for number in (1, 2, 3):
        vault.commit(make_manifest(stamp(number)), Label(stamp(number), "first name"))
    newest = vault.write_label(Label(stamp(1), "second name"))
    gone = vault.write_label(Label(stamp(4), deleted=True))
    never = vault.write_label(Label(stamp(5), "never came to be"))
    vault.write_label(Label(stamp(2), deleted=True))
    found = vault.index.labels.outdated({stamp(1), stamp(3)})
    kept = {entry.name[: -len(".json")] for entry in backend.list("labels")} - set(found)
    assert f"{stamp(5)}.{never}" in found
    assert {name[:27] for name in kept} == {stamp(number) for number in (1, 2, 3, 4)}
    assert {f"{stamp(1)}.{newest}", f"{stamp(4)}.{gone}"} <= kept
    assert len(kept) == 4
    assert vault.index.labels.newest(stamp(4)).deleted
    assert vault.index.labels.newest(stamp(6)) == Label(stamp(6))


def test_newest_first_reads_only_what_is_asked_for(backend: Watched) -> None:
    ids = [add(backend, number, iteration=number) for number in range(400)]
    label(backend, ids[398], 400, name="named", deleted=True)
    wanted = HeadIndex(backend).read().heads[::-1]
    new = make_manifest(stamp(500))
    Vault(backend, VaultConfig()).commit(new, Label(new.id, name="new"))
    index = HeadIndex(backend)
    backend.read_names.clear()
    found = index.newest_first()
    assert [next(found).id for _ in range(2)] == [new.id, ids[399]]
    assert next(found) == wanted[1]
    assert CACHE not in backend.read_names
    # A few documents, then the large part of the cache.
    assert list(found) == wanted[2:]
    assert backend.read_names.count(CACHE) == 1
    assert sum(name.startswith("snapshots/") for name in backend.read_names) <= 5


@pytest.mark.parametrize("part", [CACHE, RECENT])
def test_newest_first_takes_no_word_of_the_cache_against_the_listing(backend: Watched, part: str) -> None:
    ids = [add(backend, number) for number in range(4)]
    HeadIndex(backend).read()
    new = make_manifest(stamp(9))
    Vault(backend, VaultConfig()).commit(new, Label(new.id, name="x"))
    good = backend.read(part)
    heads = [reseal({"format": 2, "heads": {new.id: record}}) for record in (None, 5, [], [0] * 7)]
    for data in (*heads, good[:-1], b"", good.replace(b"manual", b"manuel")):
        backend.write(part, data)
        assert list(HeadIndex(backend).newest_first()) == HeadIndex(backend).read(cached=False).heads[::-1]
        assert HeadIndex(backend).newest_id() == new.id
    backend.write(f"snapshots/{ids[3]}.json", b"x")
    backend.delete(f"snapshots/{new.id}.json")
    label(backend, ids[2], 50, name="renamed")
    assert [(head.id, head.name) for head in HeadIndex(backend).newest_first()] == [
        (ids[2], "renamed"),
        (ids[1], None),
        (ids[0], None),
    ]
    backend.write(label(backend, ids[2], 60), b"x")
    assert next(HeadIndex(backend).newest_first()).doubtful


def test_labels_of_one_snapshot(backend: Watched) -> None:
    id = add(backend, 1)
    for number in (3, 9, 5):
        label(backend, id, number)
    label(backend, add(backend, 2), 4)
    backend.write(f"labels/{id}.x.json", b"x")
    assert HeadIndex(backend).labels.of(id) == [stamp(9), stamp(5), stamp(3)]
    assert HeadIndex(backend).labels.of(stamp(7)) == []
