"""Bit rot: whatever happens to a byte of a vault is found where it matters, and never restored as if it were right.

CASVAULT_SOAK_ROT is how many damages of a larger vault the long form tries; of the small one it tries all there are.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from casvault import RestoreOptions, api
from casvault.capture import Patience
from casvault.errors import CasvaultError
from casvault.objects import frame, store
from tests.support import soak
from tests.support.history import make_drifting
from tests.support.trainer import contents

_MASKS = (0x01, 0x80, 0xFF)
_CHECKED = ("objects", "snapshots", "labels")
"""The folders whose files are covered by checksums. vault.json, cache, live and the rest are derived or have none."""
Files = dict[str, bytes]


class Damage(NamedTuple):
    """What happens to a file, given as its path in the vault: its new bytes, or None where it goes."""

    what: str
    changes: dict[str, bytes | None]


class Ward:
    """A vault and what its snapshots hold; it is damaged, looked at, and mended again."""

    def __init__(self, vault: api.Vault, held: dict[str, Files]) -> None:
        assert vault.path is not None
        self.path, self.held = vault.path, held
        shutil.rmtree(self.path / "cache", ignore_errors=True)
        assert vault.verify().ok
        self.roll = (self.path / "cache/roll").read_bytes()
        self.files = {n: d for n, d in contents(self.path).items() if n.split("/")[0] in (*_CHECKED, "vault.json")}
        self.labels = {head.id: head.label for head in vault.snapshots()}

    def try_out(self, damage: Damage, figures: soak.Figures, *, restores: bool) -> None:
        for name, data in damage.changes.items():
            path = self.path / name
            path.unlink() if data is None else path.write_bytes(data)
        try:
            self._look(damage, figures, restores)
        except BaseException as error:
            raise AssertionError(damage.what) from error
        finally:
            for name in damage.changes:
                (self.path / name).parent.mkdir(exist_ok=True)
                (self.path / name).write_bytes(self.files[name])
            self._forget()
        figures.cases += 1

    def _forget(self) -> None:
        """Remove what is derived, but for the roll that a verify left before the damage."""
        shutil.rmtree(self.path / "cache", ignore_errors=True)
        (self.path / "cache").mkdir()
        (self.path / "cache/roll").write_bytes(self.roll)

    def _look(self, damage: Damage, figures: soak.Figures, restores: bool) -> None:
        try:
            vault = api.open(self.path, threads=1)
        except CasvaultError:
            figures.count("not opened")
            return
        found = vault.verify(read_data=True)
        figures.count("found" if not found.ok else "not found")
        matters = any(name.split("/")[0] in _CHECKED for name in damage.changes)
        assert not found.ok or not matters, "nobody would know"
        heads = {head.id: head for head in vault.snapshots()}
        for id, files in self.held.items():
            if id not in heads:
                assert id in found.affected
                continue
            whole = self._reads(vault, id, files)
            assert whole or id in found.affected, f"{id} cannot be read, and verify does not say so"
            if whole and found.ok:
                assert heads[id].label == self.labels[id]
            if restores:
                self._restores(vault, id, files, whole)

    def _reads(self, vault: api.Vault, id: str, files: Files) -> bool:
        """Read a snapshot: True where it came whole, False where an error said so; never a wrong byte."""
        try:
            manifest = vault.manifest(id)
            for file in manifest.files:
                plain = b"".join(bytes(vault.objects.read(chunk.digest, chunk.size)) for chunk in file.chunks)
                assert plain == files[file.path], "a wrong byte"
        except CasvaultError:
            return False
        return {file.path for file in manifest.files} == set(files)

    def _restores(self, vault: api.Vault, id: str, files: Files, whole: bool) -> None:
        back = self.path.parent / "back"
        try:
            vault.restore(id, RestoreOptions(to=back))
        except CasvaultError:
            assert not whole
            assert not back.exists() or not contents(back), "something was left of a restore that failed"
        else:
            assert contents(back) == files, "a wrong byte was restored"
        shutil.rmtree(back, ignore_errors=True)


def small(root: Path) -> Ward:
    """A vault of a few hundred bytes in each object: raw, zstd and numbers, and one that leans on another."""
    # Small regions make small objects, so that there are not too many bytes to try.
    api.init(root / ".casvault")
    config = root / ".casvault/vault.json"
    fields = json.loads(config.read_bytes())
    fields["chunking"]["min_region"] = 1024
    config.write_text(json.dumps(fields))
    vault, held = api.open(root / ".casvault", threads=1), {}
    folder = root / "runs"
    folder.mkdir()
    random = np.random.default_rng(1)
    weights = random.standard_normal(300).astype("f4") * np.float32(0.05)
    (folder / "text.txt").write_bytes(b"the same again and again, " * 20)
    (folder / "noise.bin").write_bytes(random.bytes(120))
    for number in range(3):
        np.save(folder / "weights.npy", weights * np.float32(1 + 1e-6 * number))
        (folder / "own.bin").write_bytes(bytes([number, 7, 9]) * 30)
        id = vault.snapshot(folder, name=f"s{number}", notes="n", patience=Patience(0.0)).id
        held[id] = contents(folder)
    return Ward(vault, held)


def larger(root: Path) -> Ward:
    vault, ids = make_drifting(root, 8)
    held = {}
    for id in ids:
        vault.restore(id, RestoreOptions(to=root / "held"))
        held[id] = contents(root / "held")
        shutil.rmtree(root / "held")
    return Ward(vault, held)


def damages(files: Files) -> Iterator[Damage]:
    """Every byte with each mask, every truncation, every file gone, and every two of a folder swapped."""
    for name, data in files.items():
        for at in range(len(data)):
            for mask in _MASKS:
                changed = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
                yield Damage(f"byte {at} of {name} ^ {mask:#x}", {name: changed})
            yield Damage(f"{name} cut after {at}", {name: data[:at]})
        yield Damage(f"{name} gone", {name: None})
        for other, instead in files.items():
            if other != name and other.split("/")[0] == name.split("/")[0]:
                yield Damage(f"{name} has what {other} has", {name: instead})
            if other > name and other.split("/")[0] == name.split("/")[0]:
                yield Damage(f"{name} and {other} swapped", {name: instead, other: data})


def one_of(files: Files, chance: random.Random) -> Damage:
    """Return any damage: bits, spans of zeros, cuts, bytes at the end, a file gone or another's."""
    name = chance.choice(sorted(files))
    data = bytearray(files[name])
    at = chance.randrange(len(data))
    ways: list[Callable[[], bytes | None]] = [
        lambda: bytes(data[:at]) + bytes([data[at] ^ 1 << chance.randrange(8)]) + bytes(data[at + 1 :]),
        lambda: bytes(data[:at]) + bytes([data[at] ^ 0xFF] * min(512, len(data) - at)) + bytes(data[at + 512 :]),
        lambda: bytes(data[:at]),
        lambda: bytes(data) + chance.randbytes(1 + at % 50),
        lambda: None,
    ]
    way = chance.randrange(len(ways))
    return Damage(f"way {way} at {at} of {name}", {name: ways[way]()})


def run(ward: Ward, chosen: Iterator[Damage], figures: soak.Figures, every: int) -> None:
    vault = api.open(ward.path, threads=1)
    assert vault.verify(read_data=True).ok, "a false alarm"
    for number, damage in enumerate(chosen):
        ward.try_out(damage, figures, restores=number % every == 0)
    found = api.open(ward.path, threads=1).verify(read_data=True)
    assert found.ok, ("a false alarm", found.damaged)


def test_some_bytes_of_a_small_vault(fast_path: Path) -> None:
    with soak.campaign("bit rot, small vault") as figures:
        ward = small(fast_path)
        everything = list(damages(ward.files))
        figures.more["bytes"] = sum(map(len, ward.files.values()))
        assert any("." in name for name in ward.files if name.startswith("objects/")), "nothing leans on anything"
        chance = random.Random(soak.seed(1))
        gone_or_swapped = [one for one in everything if "byte" not in one.what and "cut" not in one.what]
        run(ward, iter(chance.sample(everything, 250) + gone_or_swapped), figures, 20)


@pytest.mark.slow
def test_every_byte_of_a_small_vault(fast_path: Path) -> None:
    with soak.campaign("bit rot, small vault") as figures:
        ward = small(fast_path)
        figures.more["bytes"] = sum(map(len, ward.files.values()))
        run(ward, damages(ward.files), figures, 20)


@pytest.mark.slow
def test_bytes_of_a_larger_vault(fast_path: Path) -> None:
    with soak.campaign("bit rot, larger vault") as figures:
        ward, chance = larger(fast_path), random.Random(soak.seed())
        figures.more["bytes"] = sum(map(len, ward.files.values()))
        chosen = (one_of(ward.files, chance) for _ in range(soak.size("ROT", 400)))
        run(ward, chosen, figures, 4)


def test_without_checksums_it_fails(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign itself: where nothing is compared with its digest, wrong bytes come out, and are seen."""
    ward = small(fast_path)
    monkeypatch.setattr(store, "digest_of", lambda plain: Same())
    monkeypatch.setattr(frame, "raw_digest_of", lambda pieces: Same())
    chosen = [one for one in damages(ward.files) if one.what.startswith("byte") and "objects/" in one.what]
    with soak.campaign("bit rot, unchecked") as figures, pytest.raises(AssertionError) as caught:
        run(ward, iter(random.Random(1).sample(chosen, 50)), figures, 20)
    assert str(caught.value.__cause__).startswith(("nobody would know", "a wrong byte"))


class Same(bytes):
    """A digest that is equal to every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = bytes.__hash__
