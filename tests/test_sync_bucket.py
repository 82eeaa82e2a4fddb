"""A vault in a bucket as one end of a transfer: what holds for every remote, and what only there can go wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
import pytest

from casvault import RestoreOptions, api
from casvault.errors import DamageError, NoVault, RemoteError, UnsupportedVault, UsageError
from casvault.manifest.manifest import Manifest
from casvault.sync.bucket import BucketRemote
from casvault.sync.connect import connect
from casvault.sync.reach import reach
from casvault.sync.remote import Commit, Outcome
from casvault.sync.remotes import RemoteEntry
from casvault.vault.pending import Pending
from tests.support.command import call
from tests.support.lines import Line, copy_of, objects_on_disk
from tests.support.proxy import proxy
from tests.support.recoded import check_no_circles, two_that_recoded
from tests.support.stores import Store, fresh


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A line of snapshots with deltas; tests work on copies."""
    made = Line(tmp_path_factory.mktemp("line"), threads=2)
    made.grow(5)
    return made


@pytest.fixture
def vault(line: Line, tmp_path: Path) -> api.Vault:
    return copy_of(line.vault, tmp_path / "here")


@pytest.fixture
def place(s3: Store) -> str:
    return fresh(s3)


def new_vault(root: Path) -> api.Vault:
    api.init(root / ".casvault")
    return api.open(root / ".casvault", threads=2)


@contextmanager
def remote(vault: api.Vault, place: str, *, make: bool = False) -> Iterator[BucketRemote]:
    _, there = reach(vault, place, make=make)
    assert isinstance(there, BucketRemote)
    with there:
        yield there


def names(store: Store, place: str, folder: str = "") -> list[str]:
    prefix = place.removeprefix(f"s3://{store.bucket}/")
    return [name[len(prefix) + 1 :] for name in store.names(f"{prefix}/{folder}" if folder else prefix)]


def blob(store: Store, place: str, name: str) -> str:
    return f"{place.removeprefix(f's3://{store.bucket}/')}/{name}"


@pytest.mark.parametrize("kind", ["moto", "swift"])
def test_there_and_back(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Store = request.getfixturevalue(kind)
    for key, value in store.environment.items():
        monkeypatch.setenv(key, value)
    line = Line(tmp_path / "line", threads=2)
    line.grow(3)
    vault = line.vault
    place = fresh(store)
    sent = vault.push(place)
    assert sent.snapshots == sorted(line.saves, reverse=True)
    assert sent.objects == len(objects_on_disk(vault))
    on_disk = {f"objects/{name}" for name in objects_on_disk(vault)}
    assert set(names(store, place, "objects")) == on_disk
    assert not names(store, place, "pending")
    again = vault.push(place)
    assert (again.snapshots, again.objects, again.object_bytes) == ([], 0, 0)
    home = new_vault(tmp_path / "home")
    got = home.pull(place)
    assert got.snapshots == sent.snapshots
    assert objects_on_disk(home) == objects_on_disk(vault)
    line.check(home)
    assert home.pull(place).objects == 0
    # What is in a bucket, copied to a disk by any tool, is a vault.
    copied = tmp_path / "copied" / ".casvault"
    for name in names(store, place):
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        data = bytes(obstore.get(store.raw(), blob(store, place, name)).bytes())
        (copied / name).write_bytes(data)
    line.check(api.open(copied))
    assert api.open(copied).verify(read_data=True).ok


def test_what_goes_over_the_wire(line: Line, vault: api.Vault, s3: Store, tmp_path: Path) -> None:
    with proxy(int(s3.endpoint.rpartition(":")[2])) as way:
        vault.add_remote("b", fresh(s3), options={"endpoint": way.endpoint, "allow_http": "true"})
        home = new_vault(tmp_path / "home")
        home.add_remote("b", vault.remotes()[0].url, options={"endpoint": way.endpoint, "allow_http": "true"})
        older = sorted(line.saves)[:-1]
        vault.push("b", *older)
        home.pull("b")
        way.heal()
        further = vault.push("b")
        assert further.snapshots == [max(line.saves)]
        added = {chunk.digest for chunk in vault.manifest(max(line.saves)).chunks()}
        added -= {chunk.digest for id in older for chunk in vault.manifest(id).chunks()}
        sent = {path.rpartition("/")[2].partition(".")[0] for method, path in way.requests
                if method == "PUT" and "/objects/" in path}  # fmt: skip
        assert sent == added
        way.heal()
        got = home.pull("b")
        assert got.snapshots == [max(line.saves)]
        asked = {path.rpartition("/")[2].partition(".")[0] for method, path in way.requests
                 if method == "GET" and "/objects/" in path}  # fmt: skip
        assert asked == added
        # Nothing that is known is read again but what may have changed: the listings.
        way.heal()
        home.pull("b")
        assert not [path for method, path in way.requests if "?" not in path and "vault.json" not in path]


def test_labels_travel_and_the_dead_do_not_come_back(line: Line, vault: api.Vault, place: str, tmp_path: Path) -> None:
    home, ids = new_vault(tmp_path / "home"), sorted(line.saves)
    vault.push(place)
    home.pull(place)
    vault.edit(ids[0], name="before GAN", notes="that one")
    assert vault.push(place).labels == 1
    assert home.pull(place).labels == 1
    assert home.find("before GAN").label.notes == "that one"
    vault.delete(ids[1])
    assert vault.push(place).deleted == []
    assert vault.push(place, delete=True).deleted == [ids[1]]
    assert home.push(place).refused.keys() == {ids[1]}
    assert {head.id for head in new_vault(tmp_path / "anew").snapshots()} == set()
    third = new_vault(tmp_path / "third")
    third.pull(place)
    assert {head.id for head in third.snapshots()} == set(ids) - {ids[1]}


def test_one_snapshot_of_a_bucket(line: Line, vault: api.Vault, place: str, tmp_path: Path) -> None:
    vault.push(place)
    home, newest = new_vault(tmp_path / "home"), max(line.saves)
    home.add_remote("b", place)
    with home.remote("b") as there:
        assert [head.id for head in there.snapshots()] == sorted(line.saves)
        assert there.show(newest).to_bytes() == vault.manifest(newest).to_bytes()
        assert there.usage(newest).to_json() == vault.usage(newest).to_json()
        assert there.stored_size(there.show(newest)) == vault.stored_size(vault.manifest(newest))
        assert objects_on_disk(home) == {}
        there.restore(newest, RestoreOptions(to=tmp_path / "restored"))
    back = {path.name: path.read_bytes() for path in (tmp_path / "restored").rglob("*") if path.is_file()}
    assert back == line.saves[newest]
    assert [head.id for head in home.snapshots()] == [newest]
    assert home.verify(read_data=True).ok


def test_a_remote_that_is_tried(vault: api.Vault, place: str, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.add_remote("b", place)
    found = vault.check_remote("b")
    assert (found.uuid, found.snapshots, found.cannot) == (None, 0, {})
    assert set(found.can) == {"list", "write", "read", "delete"}
    assert names(s3, place) == []
    vault.push("b")
    found = vault.check_remote("b")
    assert found.uuid is not None
    assert found.snapshots == len(vault.snapshots())
    assert set(found.can) == {"list", "write", "read", "delete"}
    assert not [name for name in names(s3, place) if name.startswith("tmp/")]
    compared = vault.compare_remote("b")
    assert not compared.only_here
    assert not compared.only_there
    # Somebody who may only read.
    with proxy(int(s3.endpoint.rpartition(":")[2])) as way:
        way.decide = lambda method, path, number: 403 if method in ("PUT", "DELETE") else None
        vault.add_remote("reading", place, options={"endpoint": way.endpoint, "allow_http": "true"})
        found = vault.check_remote("reading")
        assert found.can == ("list", "read")
        assert found.cannot.keys() == {"write"}
        vault.edit(vault.snapshots()[0].id, name="x")
        with pytest.raises(RemoteError, match="refuses writing"):
            vault.push("reading")


def test_nothing_there_and_something_else(vault: api.Vault, place: str, s3: Store) -> None:
    with pytest.raises(NoVault, match=r"there is no vault at s3://.*; the first push makes one"):
        vault.pull(place)
    assert vault.compare_remote(place).only_here
    assert vault.push(place, dry_run=True).objects
    assert names(s3, place) == []
    obstore.put(s3.raw(), blob(s3, place, "holiday.jpg"), b"1")
    for call_ in (lambda: vault.push(place), lambda: vault.pull(place), lambda: vault.check_remote(place)):
        with pytest.raises(NoVault, match=r"holds other things \(such as holiday.jpg\) and no vault"):
            call_()
    assert names(s3, place) == ["holiday.jpg"]
    obstore.put(s3.raw(), blob(s3, place, "vault.json"), b'{"format": 99, "required": ["x"]}')
    with pytest.raises(UnsupportedVault):
        vault.push(place)


def test_two_who_make_the_vault_at_once(line: Line, vault: api.Vault, place: str, tmp_path: Path) -> None:
    other = copy_of(line.vault, tmp_path / "other")
    ids = sorted(line.saves)
    with remote(vault, place, make=True) as one, remote(other, place, make=True) as two:
        # Both have looked, and there was nothing.
        one.announce(ids[0], [])
        two.announce(ids[1], [])
        one.withdraw(ids[0])
        two.withdraw(ids[1])
    failures: list[BaseException] = []

    def send(sender: api.Vault, which: list[str]) -> None:
        try:
            sender.push(place, *which)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    senders = [threading.Thread(target=send, args=each) for each in ((vault, ids[:3]), (other, ids[2:]))]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert not failures
    home = new_vault(tmp_path / "home")
    home.pull(place)
    assert {head.id for head in home.snapshots()} == set(ids)
    line.check(home)


def test_vaults_that_coded_anew_on_their_own(line: Line, place: str, tmp_path: Path) -> None:
    import random

    one, two = two_that_recoded(line, tmp_path, random.Random(1))
    for _ in range(2):
        for each in (one, two):
            each.sync(place)
            fresh_one = api.open(str(each.path), threads=1)
            check_no_circles(fresh_one)
            line.check(fresh_one)
    assert {head.id for head in one.snapshots()} == {head.id for head in two.snapshots()}
    home = new_vault(tmp_path / "home")
    home.pull(place)
    check_no_circles(home)
    line.check(home)
    assert home.verify(read_data=True).ok


def test_an_object_that_is_wrong_is_not_taken(
    line: Line, vault: api.Vault, place: str, s3: Store, tmp_path: Path
) -> None:
    vault.push(place)
    newest = max(line.saves)
    digest = next(chunk.digest for chunk in vault.manifest(newest).chunks())
    (name,) = [name for name in names(s3, place, "objects") if f"/{digest}" in name]
    data = bytes(obstore.get(s3.raw(), blob(s3, place, name)).bytes())
    obstore.put(s3.raw(), blob(s3, place, name), data[:-1] + bytes([data[-1] ^ 1]))
    home = new_vault(tmp_path / "home")
    got = home.pull(place)
    assert newest in got.failed
    assert newest not in {head.id for head in home.snapshots()}
    line.check(home)
    assert "\n" not in got.failed[newest]


def test_a_commit_without_its_chunks_is_refused(line: Line, vault: api.Vault, place: str) -> None:
    id = max(line.saves)
    manifest = vault.manifest(id)
    with remote(vault, place, make=True) as there:
        digests = {chunk.digest for chunk in manifest.chunks()}
        there.announce(id, digests)
        assert there.standing(digests).depths == {}
        outcome = there.commit(Commit(id, manifest.to_bytes()))
        assert set(outcome.missing) == digests
        assert there.state().snapshots == {}
        there.withdraw(id)


def test_what_vanishes_during_the_commit_is_sent_again(
    line: Line, vault: api.Vault, place: str, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, *older = sorted(line.saves, reverse=True)
    shared = {chunk.digest for id in older for chunk in vault.manifest(id).chunks()}
    own = next(c.digest for c in vault.manifest(newest).chunks() if c.digest not in shared)
    commit, gone = BucketRemote.commit, list[str]()

    def then_one_goes(self: BucketRemote, what: Commit) -> Outcome:
        outcome = commit(self, what)
        if not gone:
            gone.extend(name for name in names(s3, place, "objects") if f"/{own}" in name)
            obstore.delete(s3.raw(), blob(s3, place, gone[0]))
        return outcome

    monkeypatch.setattr(BucketRemote, "commit", then_one_goes)
    assert not vault.push(place).failed
    assert gone[0] in names(s3, place, "objects")
    home = new_vault(tmp_path / "home")
    assert not home.pull(place).failed
    line.check(home)


def test_announced_under_names_that_nobody_else_writes(vault: api.Vault, place: str, s3: Store) -> None:
    id, digest = vault.snapshots()[0].id, "ab" * 32
    with remote(vault, place, make=True) as one, remote(vault, place, make=True) as two:
        one.announce(id, [digest])
        two.announce(id, [digest])
        assert len(names(s3, place, "pending")) == 2
        first = names(s3, place, "pending")
        one.announce(id, [digest, "cd" * 32])
        assert len(set(first) & set(names(s3, place, "pending"))) == 1
        said = Pending.every(one.backend)
        assert sorted(len(each.digests) for each in said) == [1, 2]
        for each in (one, two):
            each.withdraw(id)
        assert names(s3, place, "pending") == []


def test_what_is_there_and_hostile(line: Line, vault: api.Vault, place: str, s3: Store, tmp_path: Path) -> None:
    vault.push(place)
    ids = sorted(line.saves)
    obstore.put(s3.raw(), blob(s3, place, f"snapshots/{ids[0]}.json"), b'{"format": 1, "files": [{"path": "../x"}]}')
    obstore.put(s3.raw(), blob(s3, place, f"snapshots/{ids[0][:-3]}abc.json"), b"\xff" * 100)
    home = new_vault(tmp_path / "home")
    got = home.pull(place)
    assert set(got.snapshots) == set(ids[1:])
    line.check(home)
    with home.remote(place) as there:
        assert set(there.damaged) == {ids[0], f"{ids[0][:-3]}abc"}


def test_the_command_line(vault: api.Vault, place: str, tmp_path: Path) -> None:
    root = tmp_path / "here"
    assert call(root, "remote", "add", "b", place, "--option", "region=us-east-1").code == 0
    assert (
        "it is empty, and the first push makes a vault there. You can list, write, read and delete there."
        in call(root, "remote", "check", "b").out
    )
    pushed = call(root, "push", "b", "--json")
    assert pushed.code == 0, pushed.err
    document = json.loads(pushed.out)
    assert document["snapshots_sent"] == len(vault.snapshots())
    assert document["wire_bytes"] >= sum(objects_on_disk(vault).values())
    assert call(root, "--remote", "b", "list").out.count("Iter") == 0
    assert len(json.loads(call(root, "--remote", "b", "list", "--json").out)["snapshots"]) == len(vault.snapshots())
    assert "Nothing was received from b: all is there." in call(root, "pull", "b").out
    listed = json.loads(call(root, "remote", "list", "--json").out)["remotes"]
    assert listed[0]["options"] == {"region": "us-east-1"}
    assert call(root, "remote", "remove", "b").code == 0


def test_an_entry_of_another_kind_of_store(vault: api.Vault) -> None:
    with pytest.raises(UsageError, match="options are for s3://"):
        vault.add_remote("x", "/mnt/nas", options={"region": "x"})
    with pytest.raises((UsageError, RemoteError)):
        connect(RemoteEntry("x", "az://container/x"), near=vault)


def test_damage_is_not_taken_for_absence(vault: api.Vault, place: str, s3: Store) -> None:
    vault.push(place)
    with proxy(int(s3.endpoint.rpartition(":")[2])) as way:
        way.decide = lambda method, path, number: "garble" if "/snapshots/" in path and method == "GET" else None
        other = fresh_reader(vault, place, way.endpoint)
        with other as there:
            state = there.state()
            assert set(state.damaged) == {head.id for head in vault.snapshots()}
            id = vault.snapshots()[0].id
            with pytest.raises(DamageError):
                Manifest.parse(there.manifest(id), id)


def fresh_reader(vault: api.Vault, place: str, endpoint: str) -> BucketRemote:
    there = connect(RemoteEntry("b", place, options={"endpoint": endpoint, "allow_http": "true"}), threads=2)
    assert isinstance(there, BucketRemote)
    return there
