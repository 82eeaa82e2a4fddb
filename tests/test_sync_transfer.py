"""Push, pull, sync: every snapshot arrives as a whole or not at all, byte for byte, and nothing goes twice."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from casvault import api
from casvault.errors import Cancelled, DamageError, StorageError, UsageError
from casvault.manifest.label import Label
from casvault.objects import ObjectGraph
from casvault.progress import Progress
from casvault.sync import SyncOptions, SyncResult, pull, push, sync
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Arrival
from casvault.vault.config import VaultConfig
from tests.support.ends import KINDS, end
from tests.support.faults import count_calls, spread, trial
from tests.support.lines import Line, copy_of, objects_on_disk

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
kinds = pytest.mark.parametrize("kind", KINDS)
ALL = SyncOptions()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A line of snapshots with deltas; tests work on copies."""
    made = Line(tmp_path_factory.mktemp("line"), threads=2)
    made.grow(7)
    return made


@pytest.fixture
def vault(line: Line, tmp_path: Path) -> api.Vault:
    return copy_of(line.vault, tmp_path / "here")


@pytest.fixture
def other(tmp_path: Path) -> api.Vault:
    api.init(tmp_path / "there" / ".casvault")
    return api.open(tmp_path / "there" / ".casvault", threads=2)


def pushed(vault: api.Vault, other: api.Vault, options: SyncOptions = ALL, kind: str = "path") -> SyncResult:
    with LocalRemote(vault) as here, end(other, kind) as there:
        return push(here, there, options)


def pulled(vault: api.Vault, other: api.Vault, options: SyncOptions = ALL, kind: str = "path") -> SyncResult:
    with LocalRemote(vault) as here, end(other, kind) as there:
        return pull(here, there, options)


def same_documents(a: api.Vault, b: api.Vault) -> None:
    for folder in ("snapshots", "labels"):
        assert a.path is not None
        assert b.path is not None
        names = {path.name: path.read_bytes() for path in (a.path / folder).iterdir()}
        assert names == {path.name: path.read_bytes() for path in (b.path / folder).iterdir()}


def pending(vault: api.Vault) -> list[str]:
    assert vault.path is not None
    return [path.name for path in (vault.path / "pending").iterdir()]


@kinds
def test_all_arrives_as_it_is_stored(line: Line, vault: api.Vault, other: api.Vault, kind: str) -> None:
    result = pushed(vault, other, kind=kind)
    assert result.snapshots == sorted(line.saves, reverse=True)
    assert objects_on_disk(other) == objects_on_disk(vault)
    same_documents(vault, other)
    line.check(other)
    assert other.verify(read_data=True).ok
    assert result.objects == len(objects_on_disk(vault))
    assert result.object_bytes == sum(objects_on_disk(vault).values())
    assert result.wire_bytes >= result.object_bytes
    assert pending(other) == []


@kinds
def test_a_second_push_moves_no_object(vault: api.Vault, other: api.Vault, kind: str) -> None:
    pushed(vault, other, kind=kind)
    before = objects_on_disk(other)
    again = pushed(vault, other, kind=kind)
    assert (again.snapshots, again.objects, again.object_bytes, again.labels) == ([], 0, 0, 0)
    assert objects_on_disk(other) == before


@kinds
def test_a_further_snapshot_moves_only_what_it_added(tmp_path: Path, other: api.Vault, kind: str) -> None:
    line = Line(tmp_path / "line", threads=2)
    line.grow(3)
    pushed(line.vault, other, kind=kind)
    before = objects_on_disk(line.vault)
    id = line.snapshot()
    result = pushed(line.vault, other, kind=kind)
    assert result.snapshots == [id]
    assert result.object_bytes == sum(objects_on_disk(line.vault).values()) - sum(before.values())
    assert objects_on_disk(other) == objects_on_disk(line.vault)


@kinds
def test_a_pull_brings_what_a_push_would(line: Line, vault: api.Vault, other: api.Vault, kind: str) -> None:
    result = pulled(other, vault, kind=kind)
    assert result.snapshots == sorted(line.saves, reverse=True)
    assert objects_on_disk(other) == objects_on_disk(vault)
    same_documents(vault, other)
    line.check(other)


@kinds
def test_the_latest_alone_needs_no_base(line: Line, vault: api.Vault, other: api.Vault, kind: str) -> None:
    last = max(line.saves)
    result = pulled(other, vault, SyncOptions(latest=True), kind)
    assert result.snapshots == [last]
    assert all("." not in Path(name).name for name in objects_on_disk(other))
    line.check(other)
    # What comes later finds what is there.
    assert pulled(other, vault, kind=kind).snapshots == sorted(set(line.saves) - {last}, reverse=True)
    line.check(other)
    assert other.verify(read_data=True).ok


def test_chosen_snapshots_lean_on_each_other(line: Line, vault: api.Vault, other: api.Vault) -> None:
    ids = sorted(line.saves)[:3]
    result = pushed(vault, other, SyncOptions(snapshots=tuple(ids)))
    assert result.snapshots == ids[::-1]
    assert any("." in Path(name).name for name in objects_on_disk(other))
    line.check(other)


def test_a_model_by_name(vault: api.Vault, other: api.Vault, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "weights.bin").write_bytes(b"7" * 5000)
    id = vault.snapshot(tmp_path / "second").id
    assert pushed(vault, other, SyncOptions(model="second")).snapshots == [id]
    assert id not in pushed(vault, other, SyncOptions(model="line")).snapshots


@kinds
def test_a_receiver_with_shorter_chains_gets_none_that_are_longer(
    line: Line, vault: api.Vault, tmp_path: Path, kind: str
) -> None:
    for depth in (0, 1):
        api.init(tmp_path / f"depth{depth}")
        config = tmp_path / f"depth{depth}" / "vault.json"
        config.write_bytes(VaultConfig(max_depth=depth).to_bytes())
        other = api.open(tmp_path / f"depth{depth}", threads=2)
        result = pushed(vault, other, kind=kind)
        assert len(result.snapshots) == 7
        graph = ObjectGraph(list(other.objects.every()))
        assert max(map(graph.depth, graph.chosen)) == depth
        line.check(other)
        assert other.verify(read_data=True).ok


def test_a_dry_run_tells_exactly_and_changes_nothing(vault: api.Vault, other: api.Vault) -> None:
    told = pushed(vault, other, SyncOptions(dry_run=True))
    assert objects_on_disk(other) == {}
    assert pending(other) == []
    done = pushed(vault, other)
    assert (told.snapshots, told.objects, told.object_bytes) == (done.snapshots, done.objects, done.object_bytes)


# Labels and deletions


@kinds
def test_the_newest_label_wins_both_ways(vault: api.Vault, other: api.Vault, kind: str) -> None:
    pushed(vault, other, kind=kind)
    first, second = (head.id for head in vault.snapshots()[:2])
    vault.edit(first, name="older")
    other.edit(first, name="newer", pinned=True)
    vault.edit(second, notes="from here")
    with LocalRemote(vault) as here, end(other, kind) as there:
        sent, received = sync(here, there, ALL)
    assert (sent.labels, received.labels) == (1, 1)
    assert (sent.snapshots, received.snapshots) == ([], [])
    for each in (vault, other):
        assert each.find(first).name == "newer"
        assert each.find(first).label.pinned
        assert each.find(second).label.notes == "from here"


@kinds
def test_the_dead_do_not_come_back(vault: api.Vault, other: api.Vault, kind: str) -> None:
    pushed(vault, other, kind=kind)
    gone, collected = (head.id for head in other.snapshots()[:2])
    other.delete(collected, gc=True)
    other.delete(gone)
    # A newer label at the sender does not wake them either.
    vault.edit(gone, name="still wanted here")
    result = pushed(vault, other, kind=kind)
    assert set(result.refused) == {gone, collected}
    assert "deleted" in result.refused[gone]
    assert len(other.snapshots()) == 5
    assert other.verify(read_data=True).ok


@kinds
def test_a_tombstone_that_comes_in_between_refuses(vault: api.Vault, other: api.Vault, kind: str) -> None:
    pushed(vault, other, kind=kind)
    id = vault.snapshots()[-1].id
    commit_of = LocalRemote(vault)
    with end(other, kind) as there:
        from casvault.sync.remote import Commit

        other.delete(id)
        outcome = there.commit(Commit(id, commit_of.manifest(id)))
    assert outcome.refused is not None
    assert "deleted" in outcome.refused


@kinds
def test_deletions_travel_only_when_asked(vault: api.Vault, other: api.Vault, kind: str) -> None:
    pushed(vault, other, kind=kind)
    collected, gone, pinned, newer = (head.id for head in vault.snapshots()[:4])
    vault.delete(collected, gc=True)
    other.edit(pinned, pinned=True)
    vault.delete(gone, pinned, newer)
    # Of two changes in one millisecond it is not known which was first.
    time.sleep(0.005)
    other.edit(newer, name="renamed later")
    result = pushed(vault, other, kind=kind)
    assert (result.deleted, len(other.snapshots())) == ([], 7)
    told = pushed(vault, other, SyncOptions(delete=True, dry_run=True), kind)
    assert (sorted(told.deleted), len(other.snapshots())) == ([collected, gone], 7)
    result = pushed(vault, other, SyncOptions(delete=True), kind)
    assert sorted(result.deleted) == [collected, gone]
    assert set(result.refused) == {pinned, newer}
    assert {head.id for head in other.snapshots(deleted=True)} == {collected, gone}
    other.gc()
    assert other.verify(read_data=True).ok


@kinds
def test_what_was_thinned_travels_thinned_and_thins_nobody(tmp_path: Path, kind: str) -> None:
    from casvault.demo.model import SampleModel

    folder = tmp_path / "work" / "model"
    folder.mkdir(parents=True)
    api.init(tmp_path / "work" / ".casvault")
    vault = api.open(tmp_path / "work" / ".casvault")
    SampleModel(folder).save()
    id = vault.snapshot(folder).id
    whole, fresh = tmp_path / "whole", tmp_path / "fresh"
    api.init(whole)
    api.init(fresh)
    pushed(vault, api.open(whole), kind=kind)
    vault.thin(id, gc=True)
    result = pushed(vault, api.open(fresh), kind=kind)
    assert result.snapshots == [id]
    assert objects_on_disk(api.open(fresh)) == objects_on_disk(vault)
    refused = pushed(vault, api.open(whole), kind=kind)
    assert "--delete" in refused.refused[id]
    assert api.open(whole).verify(read_data=True).ok
    assert pushed(vault, api.open(whole), SyncOptions(delete=True), kind).labels == 1
    assert api.open(whole).find(id).label.thinned


def test_a_thinned_receiver_is_made_whole_before_its_label_says_so(tmp_path: Path) -> None:
    from casvault.demo.model import SampleModel

    folder = tmp_path / "work" / "model"
    folder.mkdir(parents=True)
    api.init(tmp_path / "work" / ".casvault")
    vault = api.open(tmp_path / "work" / ".casvault")
    SampleModel(folder).save()
    id = vault.snapshot(folder).id
    api.init(tmp_path / "there")
    other = api.open(tmp_path / "there")
    pushed(vault, other)
    other.thin(id, gc=True)
    assert pushed(vault, other).objects == 0
    vault.edit(id, name="newer, and whole")
    result = pushed(vault, other)
    assert result.objects > 0
    assert not other.find(id).label.thinned
    assert other.verify(read_data=True).ok


@kinds
def test_conflicts_are_told_and_left_alone(line: Line, vault: api.Vault, other: api.Vault, kind: str) -> None:
    assert vault.path is not None
    assert other.path is not None
    pushed(vault, other, kind=kind)
    ids = sorted(line.saves)
    manifest = other.manifest(ids[0])
    import dataclasses

    (other.path / "snapshots" / f"{ids[0]}.json").write_bytes(
        dataclasses.replace(manifest, iteration=(manifest.iteration or 0) + 1).to_bytes()
    )
    vault.edit(ids[1], name="one")
    label = next((vault.path / "labels").glob(f"{ids[1]}.*"))
    (other.path / "labels" / label.name).write_bytes(Label(ids[1], "another").to_bytes())
    (other.path / "snapshots" / f"{ids[2]}.json").write_bytes(b"{}")
    before = {path: path.read_bytes() for path in other.path.rglob("*.json") if "cache" not in path.parts}
    result = pushed(vault, other, kind=kind)
    assert set(result.conflicts) == set(ids[:3])
    for path, data in before.items():
        assert path.read_bytes() == data


# What goes wrong


@posix
@pytest.mark.parametrize("fault", ["kill", "ENOSPC"])
def test_interrupted_there_are_whole_snapshots_or_none_and_it_goes_on(tmp_path: Path, fault: str) -> None:
    interrupt(tmp_path, fault, 2, 16)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "ENOSPC", "EIO", "crash"])
def test_interrupted_anywhere(tmp_path: Path, fault: str) -> None:
    interrupt(tmp_path, fault, 3, 10_000)


def interrupt(tmp_path: Path, fault: str, snapshots: int, points: int) -> None:
    line = Line(tmp_path / "line", threads=1)
    line.grow(snapshots)
    api.init(tmp_path / "empty" / ".casvault")
    empty = api.open(tmp_path / "empty" / ".casvault", threads=1)
    work = tmp_path / "work"

    def run() -> None:
        # In the child: a thread of the parent's would not live there.
        pushed(line.vault, api.open(work / ".casvault", threads=1))

    copy_of(empty, work)
    total = count_calls(run)
    whole = None
    for number in spread(total, points):
        other = copy_of(empty, work)
        ended = trial(number, fault, run)
        assert fault == "crash" or ended.code != -1, ended.told
        other = api.open(work / ".casvault", threads=1)
        line.check(other)
        assert other.verify(read_data=True).ok
        arrived = set(objects_on_disk(other))
        whole_there = {name for name in arrived if not name.endswith(".tmp")}
        result = pushed(line.vault, other)
        assert len(other.snapshots()) == snapshots
        assert result.objects == len(objects_on_disk(line.vault)) - len(whole_there)
        line.check(other)
        whole = other
    assert whole is not None
    assert whole.gc().deleted_objects == 0


@kinds
def test_a_stop_leaves_what_arrived_and_it_is_not_sent_again(
    line: Line, vault: api.Vault, other: api.Vault, kind: str
) -> None:
    class Stop(Progress):
        def advance(self, amount: int) -> None:
            self.cancel()
            super().advance(amount)

    with LocalRemote(vault) as here, end(other, kind) as there, pytest.raises(Cancelled):
        push(here, there, ALL, Stop())
    assert other.snapshots() == []
    arrived = len(objects_on_disk(other))
    assert arrived
    # It is announced still, so that gc spares it.
    assert other.gc().deleted_objects == 0
    assert pushed(vault, other, kind=kind).objects == len(objects_on_disk(vault)) - arrived
    line.check(other)


@kinds
def test_gc_at_the_receiver_loses_nothing(
    line: Line, vault: api.Vault, other: api.Vault, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gc runs between any two portions, and all the time in another thread."""
    monkeypatch.setattr("casvault.sync.transfer.PORTION", 100_000)
    done = threading.Event()
    failures: list[BaseException] = []

    def collect() -> None:
        mine = api.open(str(other.path), threads=1)
        while not done.is_set():
            try:
                mine.gc()
            except BaseException as error:  # noqa: BLE001
                failures.append(error)
            done.wait(0.2)

    class Collect(Progress):
        def advance(self, amount: int) -> None:
            api.open(str(other.path), threads=1).gc()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        with LocalRemote(vault) as here, end(other, kind) as there:
            result = push(here, there, ALL, Collect())
    finally:
        done.set()
        thread.join()
    assert failures == []
    assert len(result.snapshots) == 7
    assert result.objects == len(objects_on_disk(vault))
    line.check(other)
    assert other.verify(read_data=True).ok


def test_two_who_push_and_a_gc_at_once(line: Line, tmp_path: Path, other: api.Vault) -> None:
    """Both have the same snapshots, coded in different ways, and gc codes anew at the receiver meanwhile."""
    ids = sorted(line.saves)
    senders = [copy_of(line.vault, tmp_path / name) for name in "ab"]
    senders[0].delete(ids[0], gc=True)
    senders[1].delete(ids[3], ids[4], gc=True)
    done = threading.Event()
    failures: list[BaseException] = []
    results: list[SyncResult] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        return threading.Thread(target=run)

    def collect() -> None:
        while not done.is_set():
            api.open(str(other.path), threads=1).gc()
            done.wait(0.05)

    pushers = [guarded(lambda each=each: results.append(pushed(each, other, kind="wire"))) for each in senders]  # type: ignore[misc]
    collector = guarded(collect)
    for thread in (collector, *pushers):
        thread.start()
    for thread in pushers:
        thread.join()
    done.set()
    collector.join()
    assert failures == []
    assert [result.failed for result in results] == [{}, {}]
    assert {head.id for head in other.snapshots()} == set(ids)
    line.check(other)
    assert other.verify(read_data=True).ok


def test_more_chunks_than_a_snapshot_has_are_not_announced(other: api.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.local._MOST_ANNOUNCED", 2)
    with LocalRemote(other) as there, pytest.raises(StorageError, match="more than one has"):
        there.announce("20261124T031500.123Z-1f3c9a", ["a" * 64, "b" * 64, "c" * 64])
    assert pending(other) == []


def test_what_was_collected_since_its_announcement_ran_out_is_sent_anew(
    line: Line, vault: api.Vault, other: api.Vault
) -> None:
    class Forgetful(LocalRemote):
        commits = 0

        def settle(self) -> None:
            super().settle()
            if not self.commits:
                self.commits = 1
                shutil.rmtree(other.path / "pending")  # type: ignore[operator]
                other.gc()
                assert objects_on_disk(other) == {}

    with LocalRemote(vault) as here, Forgetful(api.open(str(other.path))) as there:
        result = push(here, there, ALL)
    assert len(result.snapshots) == 7
    line.check(other)
    assert other.verify(read_data=True).ok


def test_gc_at_the_sender_that_codes_anew(line: Line, tmp_path: Path, other: api.Vault) -> None:
    vault = copy_of(line.vault, tmp_path / "coded")
    first = min(line.saves)
    vault.delete(first)

    class Recoding(LocalRemote):
        done = False

        def closure(self, digests):  # type: ignore[no-untyped-def]
            found = super().closure(digests)
            if not self.done:
                self.done = True
                assert api.open(str(vault.path)).gc().recoded_objects
            return found

    with Recoding(vault) as here, end(other) as there:
        result = push(here, there, ALL)
    assert result.failed == {}
    assert len(result.snapshots) == 6
    line.check(other)


def test_two_vaults_that_coded_anew_on_their_own(line: Line, tmp_path: Path) -> None:
    """Each lost other snapshots and chose other heirs; afterwards both have all that is left, and no circle."""
    ids = sorted(line.saves)
    a, b = copy_of(line.vault, tmp_path / "a"), copy_of(line.vault, tmp_path / "b")
    a.delete(ids[0], ids[4], gc=True)
    b.delete(ids[1], ids[2], gc=True)
    for vault in (a, b):
        # Without the tombstones, so that each brings the other what it lacks.
        assert vault.path is not None
        for path in (vault.path / "labels").iterdir():
            path.unlink()
    with LocalRemote(a) as here, end(b) as there:
        sent, received = sync(here, there, ALL)
    assert sorted(sent.snapshots) == [ids[1], ids[2]]
    assert sorted(received.snapshots) == [ids[0], ids[4]]
    for vault in (a, b):
        assert len(vault.snapshots()) == 7
        assert vault.verify(read_data=True).ok
        graph = ObjectGraph(list(vault.objects.every()))
        assert set(graph.chosen) == {name.digest for name in graph.names}
        assert max(map(graph.depth, graph.chosen)) <= 2
        line.check(vault)
        vault.gc()
        line.check(vault)


def test_damage_at_the_sender_keeps_no_other_snapshot(line: Line, vault: api.Vault, other: api.Vault) -> None:
    ids = sorted(line.saves)
    digests = {c.digest for c in vault.manifest(ids[-1]).chunks()}
    for id in ids[:-1]:
        digests -= {c.digest for c in vault.manifest(id).chunks()}
    name = next(name for name in vault.objects.every() if name.digest in digests)
    assert vault.path is not None
    path = vault.path / name.blob
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = pushed(vault, other)
    assert list(result.failed) == [ids[-1]]
    assert len(result.snapshots) == 6
    line.check(other)
    path.unlink()
    assert list(pushed(vault, other).failed) == [ids[-1]]


def test_a_sender_that_gives_something_else_is_not_believed(vault: api.Vault, other: api.Vault) -> None:
    class Liar(LocalRemote):
        def read(self, portions):  # type: ignore[no-untyped-def]
            for portion in super().read(portions):
                first = portion[0]
                yield [Arrival(first.name._replace(digest="0" * 64), first.data), *portion[1:]]

    with LocalRemote(other) as here, Liar(vault) as there:
        result = pull(here, there, ALL)
    assert result.snapshots == []
    assert "asked for" in next(iter(result.failed.values()))
    assert objects_on_disk(other) == {}


def test_a_vault_is_not_synced_with_itself(vault: api.Vault) -> None:
    with pytest.raises(UsageError, match="both ends"):
        pushed(vault, vault)


def test_a_commit_needs_every_chunk(vault: api.Vault, other: api.Vault) -> None:
    from casvault.sync.remote import Commit

    id = vault.snapshots()[0].id
    with LocalRemote(vault) as here, end(other) as there:
        outcome = there.commit(Commit(id, here.manifest(id)))
    assert outcome.missing
    assert other.snapshots() == []


def test_what_is_paused_goes_on_another_time(vault: api.Vault, other: api.Vault, line: Line) -> None:
    first = pushed(vault, other, SyncOptions(pause=lambda: True))
    assert first.snapshots == [max(line.saves)]
    line.check(other)
    assert len(pushed(vault, other).snapshots) == 6
    line.check(other)
    assert objects_on_disk(other) == objects_on_disk(vault)


def test_the_result_as_json(vault: api.Vault, other: api.Vault) -> None:
    document = pushed(vault, other).to_json()
    assert json.loads(json.dumps(document))["snapshots_sent"] == 7
    assert {"snapshots_sent", "objects_sent", "wire_bytes", "seconds"} <= document.keys()


@kinds
def test_a_manifest_that_cannot_be_read_is_told_and_keeps_no_other(
    line: Line, vault: api.Vault, other: api.Vault, kind: str
) -> None:
    lost, *others = sorted(line.saves)
    assert vault.path is not None
    manifest = vault.path / "snapshots" / f"{lost}.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-9])
    result = pushed(vault, other, kind=kind)
    assert result.snapshots == others[::-1]
    assert list(result.failed) == [lost]
    assert "its manifest in" in result.failed[lost]
    # Where the other side has it, nothing is lost.
    manifest.write_bytes(whole)
    pushed(vault, other, kind=kind)
    manifest.write_bytes(whole[:-9])
    assert not pushed(vault, other, kind=kind).failed


def test_an_object_that_is_damaged_on_the_way_is_refused(vault: api.Vault, other: api.Vault) -> None:
    names = list(vault.objects.every())
    with LocalRemote(vault) as here, LocalRemote(other) as there:
        from casvault.sync.remote import Wanted

        portion = next(here.read([[Wanted(next(name for name in names if name.base is None))]]))
        broken = Arrival(portion[0].name, bytes(portion[0].data)[:-1] + b"?")
        there.put([broken])
        with pytest.raises(DamageError):
            there.settle()
    assert objects_on_disk(other) == {}
