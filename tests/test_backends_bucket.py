"""Blobs in a bucket: what a store, or the way to it, does wrong is noticed, tried again, or told in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import obstore
import pytest

from casvault.backends.bucket import BucketBackend
from casvault.backends.stores import open_store
from casvault.errors import BrokenLink, NotFound, RemoteError, StorageError
from tests.support.proxy import Proxy, proxy
from tests.support.stores import Store, bucket_in

DATA = bytes(range(256)) * 40
HARMS: list[str | int] = ["drop", "reset", "truncate", "delay", 500, 503, 429]


@pytest.fixture
def way(s3: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    quick = {"init_backoff": timedelta(milliseconds=10), "max_backoff": timedelta(milliseconds=50), "base": 2}
    monkeypatch.setattr("casvault.backends.stores._RETRY", {"max_retries": 6, "backoff": quick})
    with proxy(int(s3.endpoint.rpartition(":")[2])) as made:
        yield made


@pytest.fixture
def backend(s3: Store, way: Proxy) -> Iterator[BucketBackend]:
    with bucket_in(s3.reached_at(way.endpoint)) as made:
        yield made


@pytest.mark.parametrize("harm", HARMS)
def test_what_goes_wrong_once_is_tried_again(backend: BucketBackend, way: Proxy, harm: str | int) -> None:
    first: set[tuple[str, str]] = set()

    def decide(method: str, path: str, number: int) -> str | int | None:
        if (method, path) in first:
            return None
        first.add((method, path))
        return harm

    way.decide, way.pause = decide, 0.05
    backend.write("a/x", DATA)
    assert backend.read("a/x") == DATA
    assert [(one.name, one.size) for one in backend.walk()] == [("a/x", len(DATA))]
    assert backend.exists("a/x")
    backend.delete("a/x")
    assert not list(backend.walk())


def test_bytes_that_were_changed_on_the_way_are_not_kept(backend: BucketBackend, way: Proxy) -> None:
    sent = iter(["garble"])
    way.decide = lambda method, path, number: next(sent, None) if method == "PUT" else None
    backend.write("a/x", DATA)
    way.decide = lambda method, path, number: None
    assert backend.read("a/x") == DATA


def test_what_never_works_ends(backend: BucketBackend, way: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.backends.bucket._PAUSE", 0.0)
    backend.write("a/x", DATA)
    way.decide = lambda method, path, number: "truncate"
    with pytest.raises(BrokenLink, match="reading a/x failed"):
        backend.read("a/x")
    way.decide = lambda method, path, number: 400
    for call in (lambda: backend.write("a/x", DATA), lambda: list(backend.walk()), lambda: backend.delete("a/x")):
        with pytest.raises(RemoteError, match=r"^s3://vaults/\w+: .* failed: the store answers 400[^\n]*\.$") as caught:
            call()
        assert not isinstance(caught.value, BrokenLink)


def test_nobody_there_and_no_such_bucket(s3: Store, way: Proxy) -> None:
    with bucket_in(Store(s3.endpoint, s3.key, s3.secret, "no-such-bucket"), "x") as there:
        with pytest.raises(RemoteError, match="there is no such bucket; make it"):
            list(there.walk())
        with pytest.raises(NotFound):
            there.read("vault.json")
    with proxy(1) as nobody:
        gone = nobody.endpoint
    store = open_store("s3", "vaults", {"endpoint": gone, "allow_http": "true"})
    told = f"failed: nobody answers at {re.escape(gone)}"
    with closing(BucketBackend(store, "x", "s3://vaults/x", 1)) as there, pytest.raises(BrokenLink, match=told):
        there.read("vault.json")


def test_who_may_not_is_told_how_to_say_who_asks(swift: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in Store(swift.endpoint, swift.key, "wrong").environment.items():
        monkeypatch.setenv(key, value)
    with bucket_in(swift, "x") as there:
        for call in (lambda: there.read("vault.json"), lambda: there.write("a/x", b""), lambda: list(there.walk())):
            with pytest.raises(RemoteError, match=r"refuses .*AWS_ACCESS_KEY_ID") as caught:
                call()
            assert not isinstance(caught.value, BrokenLink)


def test_a_part_of_a_large_blob(backend: BucketBackend) -> None:
    backend.write("a/x", DATA)
    assert backend.read_start("a/x", 10) == DATA[:10]
    assert backend.read_start("a/x", 1 << 20) == DATA
    before = backend.moved
    with pytest.raises(StorageError, match="more than 100 bytes"):
        backend.read("a/x", 100)
    assert backend.moved - before == 101


def test_names_that_are_no_names_are_left_out(s3: Store) -> None:
    for name in ("here/a/x", "here/a/é", "here/.hidden", "here2/a/x", "herein"):
        obstore.put(s3.raw(), name, b"1")
    with bucket_in(s3, "here") as backend:
        assert [one.name for one in backend.walk()] == ["a/x"]
        assert [entry.name for entry in backend.list("a")] == ["x"]


def test_a_listing_that_is_too_long(backend: BucketBackend) -> None:
    for number in range(4):
        backend.write(f"a/{number}", b"1")
    assert len(list(backend.walk("a", 4))) == 4
    with pytest.raises(RemoteError, match="lists without an end"):
        list(backend.walk("a", 3))


def test_what_is_read_ahead_is_read_once(backend: BucketBackend, way: Proxy) -> None:
    backend.write("a/x", DATA)
    backend.ahead(["a/x", "a/gone"])
    asked = len(way.requests)
    assert backend.read("a/x") == DATA
    assert len(way.requests) == asked
    # The second time somebody may have written it anew.
    assert backend.read("a/x") == DATA
    assert len(way.requests) > asked
    with pytest.raises(NotFound):
        backend.read("a/gone")


def test_a_store_that_keeps_other_bytes(backend: BucketBackend, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.backends.bucket._PAUSE", 0.0)
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, name, data, **more: put(store, name, bytes(data)[:-1], **more))
    with pytest.raises(StorageError, match="has other bytes under that name"):
        backend.write("a/x", DATA)
