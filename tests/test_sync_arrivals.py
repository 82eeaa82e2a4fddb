"""Arrivals: whoever sends objects cannot get wrong bytes accepted, nor chains that this vault would not write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casvault import api
from casvault.codecs import CODEC_IDS, Layout, encode_in_pieces
from casvault.digest import digest_of
from casvault.errors import CasvaultError, DamageError, MissingObject
from casvault.objects import Frame, ObjectName
from casvault.sync.arrivals import Arrivals
from casvault.sync.remote import Arrival
from tests.support.lines import objects_on_disk

LAYOUT = Layout(4, 0)


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


def numbers(seed: int) -> bytes:
    """Return numbers that are near those of any other seed."""
    start = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    drift = np.random.default_rng(seed).standard_normal(20_000).astype(np.float32)
    return (start + drift * np.float32(1e-5)).tobytes()


def coded(plain: bytes, base: bytes | None = None, name: str | None = None, base_name: str | None = None) -> Arrival:
    """Return an object, perhaps under a name that is not its own; its checksum is right."""
    codec, payload = encode_in_pieces(plain, LAYOUT, base)
    digest = (base_name or digest_of(base)) if base is not None else None
    data = b"".join(Frame(codec, LAYOUT, len(plain), digest, b"").around(payload))
    return Arrival(ObjectName(name or digest_of(plain), digest, len(data)), data)


def take(vault: api.Vault, *portion: Arrival) -> None:
    arrivals = Arrivals(vault)
    try:
        arrivals.put(portion)
        arrivals.settle()
    finally:
        arrivals.close()


def refused(vault: api.Vault, *portion: Arrival, match: str | None = None) -> None:
    before = objects_on_disk(vault)
    with pytest.raises(DamageError, match=match):
        take(vault, *portion)
    assert objects_on_disk(vault) == before


def test_what_is_right_is_taken_bases_first_or_not(vault: api.Vault) -> None:
    a, b, c = numbers(1), numbers(2), numbers(3)
    take(vault, coded(c, b), coded(b, a), coded(a))
    for plain in (a, b, c):
        assert vault.objects.read(digest_of(plain)) == plain
    assert [name.base for name in vault.objects.encodings(digest_of(c))] == [digest_of(b)]


def test_wrong_bytes_under_a_right_name(vault: api.Vault) -> None:
    refused(vault, coded(numbers(1), name=digest_of(numbers(2))), match="bytes of another")
    base, wrong = numbers(1), numbers(3)
    take(vault, coded(base))
    refused(vault, coded(wrong, base, name=digest_of(numbers(2))), match="bytes of another")


def test_a_delta_that_only_decodes_against_another_base(vault: api.Vault) -> None:
    take(vault, coded(numbers(1)))
    refused(vault, coded(numbers(3), numbers(2), base_name=digest_of(numbers(1))), match="bytes of another")


def test_a_broken_checksum_and_a_false_name(vault: api.Vault) -> None:
    good = coded(numbers(1))
    refused(vault, Arrival(good.name, bytes(good.data[:-1]) + b"?"), match="checksum")
    refused(vault, Arrival(good.name._replace(size=7), good.data), match="not its own")
    refused(vault, Arrival(good.name._replace(base="0" * 64), good.data), match="not its own")
    for name in ("../../etc", "A" * 64, "0" * 63):
        refused(vault, Arrival(good.name._replace(digest=name), good.data), match="name is none")
    refused(vault, Arrival(good.name, b""))


def test_a_codec_that_says_one_thing_and_a_base_that_says_another(vault: api.Vault) -> None:
    a, b = numbers(1), numbers(2)
    take(vault, coded(a))
    frame = Frame(CODEC_IDS["raw"], LAYOUT, len(b), digest_of(a), b)
    data = b"".join(frame.pieces())
    refused(vault, Arrival(ObjectName(digest_of(b), digest_of(a), len(data)), data), match="base")
    data = b"".join(Frame(CODEC_IDS["pack"], LAYOUT, len(b), None, b).pieces())
    with pytest.raises(CasvaultError):
        take(vault, Arrival(ObjectName(digest_of(b), None, len(data)), data))


def test_a_base_that_is_not_there(vault: api.Vault) -> None:
    with pytest.raises(MissingObject):
        take(vault, coded(numbers(2), numbers(1)))
    assert objects_on_disk(vault) == {}


def test_chains_end_where_the_vault_says(vault: api.Vault) -> None:
    plains = [numbers(seed) for seed in range(1, 5)]
    take(vault, coded(plains[0]), coded(plains[1], plains[0]), coded(plains[2], plains[1]))
    refused(vault, coded(plains[3], plains[2]), match="too many bases")


def test_no_circle_is_closed(vault: api.Vault) -> None:
    a, b = numbers(1), numbers(2)
    take(vault, coded(a), coded(b, a))
    refused(vault, coded(a, b), match="circle")
    refused(vault, coded(numbers(3), numbers(4)), coded(numbers(4), numbers(3)), match="circle")


def test_of_a_portion_with_something_wrong_nothing_is_taken(vault: api.Vault) -> None:
    refused(vault, coded(numbers(1)), coded(numbers(3), name=digest_of(numbers(2))))
