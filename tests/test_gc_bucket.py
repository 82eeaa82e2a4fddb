"""Collecting in a bucket: nothing that is needed, announced, or young goes, whoever is interrupted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from casvault import api
from casvault.backends.bucket import BucketBackend, BucketEntry
from casvault.capture import Patience
from casvault.errors import DamageError, RemoteError, StorageError, UsageError
from casvault.gc.bucket import BucketGcResult, _Collector
from casvault.progress import Progress
from casvault.sync.bucket import BucketRemote
from casvault.sync.reach import reach
from casvault.sync.remote import Commit
from casvault.vault.labels import LabelIndex
from casvault.vault.pending import Pending
from casvault.vault.sweeps import Sweep, sweeps_in
from tests.support.command import call
from tests.support.lines import Line, copy_of, objects_on_disk
from tests.support.stores import Store, fresh

NOW = timedelta(0)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A line of snapshots with deltas; tests work on copies."""
    made = Line(tmp_path_factory.mktemp("line"), threads=2)
    made.grow(4)
    return made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.gc.bucket._SETTLE", 0.0)
    monkeypatch.setattr("casvault.sync.bucket._POLL", 0.02)


@pytest.fixture
def vault(line: Line, tmp_path: Path, s3: Store) -> api.Vault:
    """A vault whose remote ``b`` has all it has."""
    made = copy_of(line.vault, tmp_path / "here")
    made.add_remote("b", fresh(s3))
    made.push("b")
    return made


def blobs(store: Store, vault: api.Vault, folder: str) -> list[str]:
    prefix = vault.remotes()[0].url.removeprefix(f"s3://{store.bucket}/")
    return [name[len(prefix) + 1 :] for name in store.names(f"{prefix}/{folder}")]


def key(store: Store, vault: api.Vault, name: str) -> str:
    return f"{vault.remotes()[0].url.removeprefix(f's3://{store.bucket}/')}/{name}"


def collected(vault: api.Vault, grace: timedelta | None = NOW, *, dry_run: bool = False) -> BucketGcResult:
    with vault.remote("b") as there:
        return there.gc(grace=grace, dry_run=dry_run)


@contextmanager
def remote(vault: api.Vault) -> Iterator[BucketRemote]:
    _, there = reach(vault, "b")
    assert isinstance(there, BucketRemote)
    with there:
        yield there


def check_whole(line: Line, vault: api.Vault, tmp_path: Path) -> set[str]:
    """Assert that all that is in the bucket comes out of it, and return which snapshots these are."""
    api.init(tmp_path / "anew" / ".casvault")
    home = api.open(tmp_path / "anew" / ".casvault", threads=2)
    got = home.pull(vault.remotes()[0].url)
    assert not got.failed
    line.check(home)
    return {head.id for head in home.snapshots()}


def test_what_a_deleted_snapshot_alone_needed_goes(line: Line, vault: api.Vault, s3: Store, tmp_path: Path) -> None:
    ids = sorted(line.saves)
    foretold = vault.usage(ids[-1]).set_bytes
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    would = collected(vault, dry_run=True)
    assert (would.freed_bytes, would.forgotten_snapshots) == (foretold, (ids[-1],))
    assert len(blobs(s3, vault, "objects")) == len(objects_on_disk(vault))
    done = collected(vault)
    assert (done.freed_bytes, done.deleted_objects) == (would.freed_bytes, would.deleted_objects)
    assert done.forgotten_snapshots == (ids[-1],)
    assert f"snapshots/{ids[-1]}.json" not in blobs(s3, vault, "snapshots")
    assert any(ids[-1] in name for name in blobs(s3, vault, "labels"))
    assert blobs(s3, vault, "tmp") == []
    assert check_whole(line, vault, tmp_path) == set(ids[:-1])
    again = collected(vault)
    assert (again.freed_bytes, again.deleted_objects, again.forgotten_snapshots) == (0, 0, ())
    assert (
        again.remaining_bytes
        == done.remaining_bytes
        == sum(obstore.head(s3.raw(), key(s3, vault, name))["size"] for name in blobs(s3, vault, "objects"))
    )


def test_what_others_lean_on_stays(line: Line, vault: api.Vault, tmp_path: Path) -> None:
    ids = sorted(line.saves)
    vault.delete(ids[0])
    vault.push("b", delete=True)
    done = collected(vault)
    assert done.base_bytes > 0
    assert check_whole(line, vault, tmp_path) == set(ids[1:])


def test_what_is_young_is_held_back(line: Line, vault: api.Vault, s3: Store) -> None:
    ids = sorted(line.saves)
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    held = collected(vault, None)
    assert (held.deleted_objects, held.forgotten_snapshots) == (0, ())
    assert held.waiting_snapshots == (ids[-1],)
    assert held.to_json()["grace_seconds"] == 24 * 3600
    # An object that nobody speaks of, such as one of a push that was given up.
    stray = f"objects/abc/abc{'0' * 61}"
    obstore.put(s3.raw(), key(s3, vault, stray), b"x" * 500)
    more = collected(vault, None)
    assert (more.held_objects - held.held_objects, more.held_bytes - held.held_bytes) == (1, 500)
    assert stray in blobs(s3, vault, "objects")
    assert collected(vault).deleted_objects == more.held_objects
    assert stray not in blobs(s3, vault, "objects")


def test_what_was_deleted_lately_is_kept_with_all_it_leans_on(
    line: Line, vault: api.Vault, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted(line.saves)
    bases = {name.base for name in vault.objects.every() if name.base is not None}
    assert bases <= {chunk.digest for chunk in vault.manifest(ids[0]).chunks()}
    vault.delete(*ids)
    vault.push("b", delete=True)
    walk, lately = BucketBackend.walk, tuple(f"labels/{id}." for id in ids[1:])

    def long_ago(self: BucketBackend, *where: Any) -> Iterator[BucketEntry]:
        for one in walk(self, *where):
            old = not one.name.startswith(("tmp/", *lately))
            yield one._replace(modified=one.modified - timedelta(days=2)) if old else one

    with monkeypatch.context() as patch:
        patch.setattr(BucketBackend, "walk", long_ago)
        done = collected(vault, None)
    assert (done.forgotten_snapshots, done.waiting_snapshots) == ((ids[0],), tuple(ids[1:]))
    there = {name.rpartition("/")[2].partition(".")[0] for name in blobs(s3, vault, "objects")}
    assert bases <= there
    assert {chunk.digest for id in ids[1:] for chunk in vault.manifest(id).chunks()} <= there
    assert done.deleted_objects == len({chunk.digest for chunk in vault.manifest(ids[0]).chunks()} - there) > 0


def test_what_was_announced_stays(line: Line, vault: api.Vault, s3: Store, tmp_path: Path) -> None:
    ids = sorted(line.saves)
    other = copy_of(line.vault, tmp_path / "other")
    other.add_remote("b", vault.remotes()[0].url)
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    digests = {chunk.digest for chunk in other.manifest(ids[-1]).chunks()}
    with remote(other) as there:
        there.announce(ids[-1], digests)
        assert there.standing(digests).depths.keys() == digests
        assert collected(vault).deleted_objects == 0
        assert there.standing(digests).depths.keys() == digests
        there.withdraw(ids[-1])
    assert collected(vault).deleted_objects > 0


def test_what_is_renewed_while_it_looks_stays(
    line: Line, vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy_of(line.vault, tmp_path / "other")
    other.add_remote("b", vault.remotes()[0].url)
    again = other.snapshot(line.folder, name="the same once more", patience=Patience(0.0)).id
    vault.delete(max(line.saves))
    vault.push("b", delete=True)
    digests = {chunk.digest for chunk in other.manifest(again).chunks()}
    read, renewed = Pending.read, list[str]()
    with remote(other) as there:
        there.announce(again, digests)

        def renews_first(backend: BucketBackend, id: str) -> Pending:
            if not renewed:
                renewed.append(id)
                there.announce(again, digests)
            return read(backend, id)

        with monkeypatch.context() as patch:
            patch.setattr("casvault.sync.bucket.sweeps_in", lambda backend: [])
            patch.setattr(Pending, "read", renews_first)
            assert collected(vault).deleted_objects == 0
        assert renewed
        there.withdraw(again)


def test_an_announcement_that_nobody_renews_runs_out(
    line: Line, vault: api.Vault, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with remote(vault) as there:
        there.announce(max(line.saves), ["ab" * 32])
    assert len(blobs(s3, vault, "pending")) == 1
    collected(vault)
    assert len(blobs(s3, vault, "pending")) == 1
    monkeypatch.setattr("casvault.gc.bucket.LIFETIME", timedelta(seconds=-1))
    collected(vault)
    assert blobs(s3, vault, "pending") == []


def test_who_announces_waits_for_a_sweep_that_began_before(line: Line, vault: api.Vault, s3: Store) -> None:
    said, told = threading.Event(), list[str]()

    class Listening(Progress):
        def message(self, text: str) -> None:
            told.append(text)

    def announce() -> None:
        with remote(vault) as there:
            there.attend(Listening())
            there.announce(max(line.saves), ["ab" * 32])
            said.set()
            there.withdraw(max(line.saves))

    with remote(vault) as there:
        with Sweep(there.backend) as sweep:
            sender = threading.Thread(target=announce)
            sender.start()
            while not blobs(s3, vault, "pending"):
                assert not said.is_set()
            assert not said.wait(0.3)
            # It is the same one still when it says that it goes on.
            sweep._say()
            assert not said.wait(0.3)
            later = Sweep(there.backend)
            assert not said.wait(0.3)
        # One that began later sees what was announced, and nobody waits for it.
        with later:
            sender.join()
    assert said.is_set()
    assert [text.startswith("waiting for a collection in s3://") for text in told] == [True]


def test_a_sweep_that_was_killed_holds_up_for_a_while_only(
    line: Line, vault: api.Vault, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with remote(vault) as there:
        killed = Sweep(there.backend)
        assert len(sweeps_in(there.backend)) == 1
        monkeypatch.setattr("casvault.sync.bucket.LIFE", 0.5)
        there.announce(max(line.saves), ["ab" * 32])
        there.withdraw(max(line.saves))
        del killed
    # The next collection removes what it left, once that is old enough.
    collected(vault)
    assert len(blobs(s3, vault, "tmp")) == 1
    monkeypatch.setattr("casvault.vault.sweeps.LIFE", -1.0)
    with remote(vault) as there, Sweep(there.backend) as sweep:
        sweep.clear()
    assert blobs(s3, vault, "tmp") == []


def test_a_sweep_that_was_held_up_removes_nothing_more(vault: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    with remote(vault) as there, Sweep(there.backend) as sweep:
        sweep.go_on()
        monkeypatch.setattr("casvault.vault.sweeps.clocks", lambda: (1e12, 1e12))
        with pytest.raises(StorageError, match="was held up for so long"):
            sweep.go_on()


def test_a_commit_while_it_looks(line: Line, vault: api.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot becomes real, and what it needed is announced no more, just before the look at announcements."""
    other = copy_of(line.vault, tmp_path / "other")
    other.add_remote("b", vault.remotes()[0].url)
    again = other.snapshot(line.folder, name="the same once more", patience=Patience(0.0)).id
    vault.delete(max(line.saves))
    vault.push("b", delete=True)
    digests = {chunk.digest for chunk in other.manifest(again).chunks()}
    coming = _Collector._coming

    with remote(other) as there:
        there.announce(again, digests)
        assert there.standing(digests).depths.keys() == digests

        def commits_first(self: _Collector, view: Any, now: Any) -> set[str]:
            assert there.commit(Commit(again, other.manifest(again).to_bytes())).missing == ()
            there.withdraw(again)
            return coming(self, view, now)

        with monkeypatch.context() as patch:
            patch.setattr(_Collector, "_coming", commits_first)
            assert collected(vault).forgotten_snapshots == (max(line.saves),)
    line.saves[again] = line.saves[max(id for id in line.saves if id != again)]
    try:
        assert check_whole(line, vault, tmp_path) == {again, *sorted(line.saves)[:-2]}
    finally:
        del line.saves[again]


def test_a_label_that_comes_just_before_its_manifest(
    line: Line, vault: api.Vault, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy_of(line.vault, tmp_path / "other")
    other.add_remote("b", vault.remotes()[0].url)
    again = other.snapshot(line.folder, name="the same once more", patience=Patience(0.0)).id
    (stamp,) = other.index.labels.stamps()[again]
    label = (tmp_path / "other" / ".casvault" / "labels" / f"{again}.{stamp}.json").read_bytes()
    digests = {chunk.digest for chunk in other.manifest(again).chunks()}
    outdated = LabelIndex.outdated
    with remote(other) as there:
        there.announce(again, digests)
        there.standing(digests)

        def comes_first(self: LabelIndex, living: Any) -> list[str]:
            there.commit(Commit(again, other.manifest(again).to_bytes(), stamp, label))
            return outdated(self, living)

        for early in (True, False):
            with monkeypatch.context() as patch:
                if early:
                    obstore.put(s3.raw(), key(s3, vault, f"labels/{again}.{stamp}.json"), label)
                else:
                    patch.setattr(LabelIndex, "outdated", comes_first)
                collected(vault)
        there.withdraw(again)
    with vault.remote("b") as looked:
        assert looked.find(again).name == "the same once more"


def test_a_manifest_that_cannot_be_read_stops_it(line: Line, vault: api.Vault, s3: Store) -> None:
    ids = sorted(line.saves)
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    before = blobs(s3, vault, "objects")
    obstore.put(s3.raw(), key(s3, vault, f"snapshots/{ids[0]}.json"), b"{}")
    with pytest.raises(DamageError, match="is not known; push it again"):
        collected(vault)
    assert blobs(s3, vault, "objects") == before
    assert blobs(s3, vault, "tmp") == []


def test_a_link_that_breaks_in_its_midst(line: Line, vault: api.Vault, s3: Store, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    ids = sorted(line.saves)
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    delete, gone = BucketBackend._delete, 0

    def breaks(self: BucketBackend, name: str) -> None:
        nonlocal gone
        gone += 1
        if gone > 2:
            raise RemoteError("the link broke.")
        delete(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(BucketBackend, "_delete", breaks)
        with pytest.raises(RemoteError, match="broke"):
            collected(vault)
    assert check_whole(line, vault, tmp_path / "meanwhile") <= set(ids)
    collected(vault)
    assert check_whole(line, vault, tmp_path) == set(ids[:-1])


def test_another_kind_of_remote_is_told_where_to_collect(vault: api.Vault, tmp_path: Path) -> None:
    other = api.init(tmp_path / "nas" / ".casvault")
    vault.add_remote("nas", str(other.path))
    with vault.remote("nas") as there, pytest.raises(UsageError, match="nas is no bucket; run `casvault gc`"):
        there.gc()


def test_the_command_line(line: Line, vault: api.Vault, tmp_path: Path) -> None:
    root, ids = tmp_path / "here", sorted(line.saves)
    vault.delete(ids[-1])
    vault.push("b", delete=True)
    said = call(root, "--remote", "b", "gc")
    assert said.code == 0, said.err
    assert "There was nothing to free." in said.out
    said = call(root, "--remote", "b", "gc", "--grace", "0m", "--dry-run")
    assert "gc would free" in said.out
    assert "1 deleted snapshot could not be brought back after that." in said.out
    document = json.loads(call(root, "--remote", "b", "gc", "--grace", "0m", "--json").out)
    assert document["forgotten_snapshots"] == [ids[-1]]
    assert document["freed_bytes"] > 0
    refused = call(root, "gc", "--grace", "1h")
    assert refused.code == 2
    assert "--grace goes with --remote" in refused.err
