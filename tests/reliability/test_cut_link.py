"""The link between two vaults, cut: a snapshot is there as a whole or not at all, and little goes twice.

A transfer over a real OpenSSH server is cut after so many bytes on the wire: reset, ended, silent, held up, or the far
casvault is killed. What is there then has to be whole. The same command goes on by itself. At the end every snapshot is
there byte for byte. Less than a twentieth of all bytes went twice, or than 3 MiB, unless a process was killed.

CASVAULT_SOAK_CHECKPOINTS names a folder of real saves, each a folder: the long form takes them in place of small ones.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from casvault import api
from casvault.capture import Patience
from casvault.progress import Progress
from casvault.sync import RemoteEntry, SyncOptions, SyncResult, connect, pull, push
from casvault.sync.local import LocalRemote
from tests.support.cutting import CuttingProxy, cutting
from tests.support.lines import objects_on_disk
from tests.support.soak import campaign, size
from tests.support.sshd import Sshd, sshd

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the OpenSSH server")

_MOST_TWICE = 5.0
_ON_THE_WAY = 3 << 20
"""What `sshd` and the systems held when the link broke is lost, and no casvault ever saw it."""

_HOWS = ("reset", "end", "delay", "reset", "end", "kill", "reset", "end", "delay", "stall")
Check = Callable[[api.Vault], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


class Course:
    """One way from a full vault to an empty one, over a link that breaks once."""

    def __init__(self, server: Sshd, proxy: CuttingProxy, full: Path, place: Path, way: str) -> None:
        self._server = server
        self._proxy = proxy
        self._full = full
        self._way = way
        self.place = place

    def run(self, at: int, how: str, watch: Progress | None = None) -> tuple[api.Vault, SyncResult, list[int]]:
        """Start anew, and return the vault that was filled, what is told of it, and the bytes of each connection."""
        shutil.rmtree(self.place, ignore_errors=True)
        api.init(self.place / ".casvault")
        near, far = (self._full, self.place / ".casvault") if self._way == "push" else (self.place, self._full)
        entry = RemoteEntry("far", self._server.url(far, self._proxy.port), str(self._server.noting))
        self._proxy.arm(at, how)
        near = near if near.name == ".casvault" else near / ".casvault"
        with LocalRemote(api.open(near)) as here, connect(entry) as there:
            result = (push if self._way == "push" else pull)(here, there, SyncOptions(), watch)
        return api.open(self.place / ".casvault"), result, self._proxy.passed


class Looking(Progress):
    """Looks at what is there whenever the link broke."""

    def __init__(self, place: Path, check: Check) -> None:
        super().__init__()
        self._place = place
        self._check = check
        self.broke = 0

    def message(self, text: str) -> None:
        self.broke += 1
        self._check(api.open(self._place))


@pytest.fixture(autouse=True)
def impatient(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASVAULT_SSH", server.ssh)
    monkeypatch.setattr("casvault.sync.channel.SILENCE", 15.0)


def cut(server: Sshd, tmp_path: Path, full: api.Vault, way: str, points: list[tuple[str, float]], check: Check) -> None:
    """Cut one way at these parts of the whole, each time in another manner."""
    assert full.path is not None
    ids = {head.id for head in full.snapshots()}
    with campaign(f"links cut, {way}") as figures, cutting(server.port, server.pid) as proxy:
        course = Course(server, proxy, full.path, tmp_path / way, way)
        _, result, (total,) = course.run(1 << 62, "end")
        assert len(result.snapshots) == len(ids)
        for how, part in points:
            looking = Looking(course.place / ".casvault", check)
            vault, result, passed = course.run(int(total * part), how, looking)
            assert bool(looking.broke) == (how != "delay"), (how, part)
            assert {head.id for head in vault.snapshots()} == ids
            assert sorted(result.snapshots) == sorted(ids)
            check(vault)
            there = objects_on_disk(vault)
            # A process that was killed leaves what it was writing; gc clears that.
            assert how == "kill" or not any(name.endswith(".tmp") for name in there)
            assert {name: size for name, size in there.items() if not name.endswith(".tmp")} == objects_on_disk(full)
            figures.cases += 1
            figures.count("broke", looking.broke)
            # What a process had in its memory when it was killed is lost, and what was on the way to it.
            if how != "kill":
                twice = round(100 * (sum(passed) - total) / total, 2)
                figures.more["most bytes twice, %"] = max(float(figures.more.get("most bytes twice, %", 0)), twice)
                assert twice < _MOST_TWICE or sum(passed) - total < _ON_THE_WAY, (how, part, total, passed)


def saved(root: Path, saves: list[Path]) -> tuple[api.Vault, Check]:
    """Return a vault with these saves of a model, and what compares another one with them."""
    vault, known = api.init(root / ".casvault"), dict[str, Path]()
    (root / "model").mkdir()
    for save in saves:
        for path in save.iterdir():
            (root / "model" / path.name).unlink(missing_ok=True)
            (root / "model" / path.name).write_bytes(path.read_bytes())
        known[vault.snapshot(root / "model", patience=Patience(0.0)).id] = save

    def check(other: api.Vault) -> None:
        for head in other.snapshots():
            for file in other.manifest(head.id).files:
                plain = b"".join(bytes(other.objects.read(chunk.digest, chunk.size)) for chunk in file.chunks)
                assert plain == (known[head.id] / file.path).read_bytes()

    return vault, check


def drifting(folder: Path, count: int, items: int) -> list[Path]:
    """Write saves of a model of two large tensors."""
    numbers, saves = np.random.default_rng(1), []
    tensors = [numbers.standard_normal((8, items // 8)).astype(np.float32) for _ in range(2)]
    for save in range(count):
        saves.append(folder / str(save))
        saves[-1].mkdir(parents=True)
        for name, tensor in enumerate(tensors):
            np.add(tensor, numbers.standard_normal(tensor.shape).astype(np.float32) * np.float32(1e-4), out=tensor)
            np.save(saves[-1] / f"{name}.npy", tensor)
    return saves


def test_a_cut_anywhere(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casvault.sync.backoff._FIRST", 0.5)
    vault, check = saved(tmp_path / "full", drifting(tmp_path / "saves", 2, 1 << 20))
    cut(server, tmp_path, vault, "push", [("end", 0.6)], check)
    cut(server, tmp_path, vault, "pull", [("kill", 0.4)], check)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_cut_at_every_part(server: Sshd, tmp_path: Path, way: str) -> None:
    step = size("CUTS", 100)
    points = [(_HOWS[number % len(_HOWS)], number / step) for number in range(1, step)]
    checkpoints = os.environ.get("CASVAULT_SOAK_CHECKPOINTS")
    saves = sorted(path for path in Path(checkpoints).iterdir() if path.is_dir()) if checkpoints else []
    vault, check = saved(tmp_path / "full", saves or drifting(tmp_path / "saves", 3, 1 << 20))
    cut(server, tmp_path, vault, way, points, check)
