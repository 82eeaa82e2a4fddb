"""A vault to heal from that lies: nothing of it is believed that its digest does not vouch for."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from casvault.codecs import CODEC_IDS, Layout
from casvault.errors import CasvaultError, NoVault, UnsupportedVault
from casvault.objects import Frame
from tests.support.codecs import zstd_frame
from tests.support.damage import object_files, of_file, path_of
from tests.support.lines import Line, copy_of


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path)
    made.grow(2)
    return made


@pytest.fixture
def other(line: Line, tmp_path: Path) -> Path:
    made = copy_of(line.vault, tmp_path / "other").path
    assert made is not None
    return made


def frame(codec: str, size: int, payload: bytes, layout: Layout | None = None) -> bytes:
    return b"".join(Frame(CODEC_IDS[codec], layout or Layout(), size, None, payload).pieces())


LIES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": lambda real: frame("raw", 3000, bytes(3000)),
    "no bytes": lambda real: frame("raw", 0, b"x"),
    "a giant": lambda real: frame("zstd", 64 << 20, zstd_frame(64 << 20, 1 << 17, 600)),
    "more than it says": lambda real: frame("zstd", 3000, zstd_frame(1 << 40, 1 << 17, 10)),
    "more than may be": lambda real: frame("zstd", 1 << 60, zstd_frame(1 << 60, 1 << 17, 10)),
    "nonsense": lambda real: os.urandom(5000),
    "planes of nothing": lambda real: frame("turned-planes", 3000, b"\0" * 200, Layout(4, 0)),
    "a newer one": lambda real: real[:4] + b"\x09" + real[5:],
    "cut short": lambda real: real[:-1],
}


@pytest.mark.parametrize("lie", LIES)
def test_wrong_objects_heal_nothing(line: Line, other: Path, lie: str) -> None:
    first = next(iter(line.saves))
    path = path_of(line.vault, of_file(line.vault, first, "log.bin")[0])
    theirs = other / path.relative_to(line.root / ".casvault")
    theirs.write_bytes(LIES[lie](path.read_bytes()))
    path.unlink()
    before = {each.name: each.read_bytes() for each in object_files(line.vault)}
    tracemalloc.start()
    found = line.vault.repair(other)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.ok, found.healed) == (False, {})
    assert {each.name: each.read_bytes() for each in object_files(line.vault)} == before
    assert peak < 200 << 20


def test_a_base_that_lies_heals_nothing(line: Line, other: Path) -> None:
    """Their delta leans on a base with other bytes; ours is gone together with the base."""
    delta = next(path for path in object_files(line.vault) if "." in path.name)
    base = delta.name[65:]
    for place in (line.root / ".casvault", other):
        (path,) = (place / "objects" / base[:3]).glob(f"{base}*")
        path.unlink()
    (other / "objects" / base[:3] / base).write_bytes(frame("raw", 7200, bytes(7200)))
    delta.unlink()
    (line.folder / "layer0.npy").unlink()
    (line.folder / "layer1.npy").unlink()
    found = line.vault.repair(other)
    assert found.healed == {}
    assert {hit.digest for hit in found.lost} >= {base, delta.name[:64]}


def test_links_and_pipes_are_no_objects(line: Line, other: Path, tmp_path: Path) -> None:
    first = next(iter(line.saves))
    path = path_of(line.vault, of_file(line.vault, first, "log.bin")[0])
    theirs = other / path.relative_to(line.root / ".casvault")
    theirs.rename(tmp_path / "kept")
    path.unlink()
    theirs.symlink_to(tmp_path / "kept")
    assert line.vault.repair(other).healed == {}
    theirs.unlink()
    os.mkfifo(theirs)
    assert line.vault.repair(other).healed == {}


@pytest.mark.parametrize(
    ("text", "kind"), [(b"", NoVault), (b"{}", NoVault), (b'{"format": 2, "required": []}', UnsupportedVault)]
)
def test_what_is_no_vault_is_refused_before_anything(line: Line, other: Path, text: bytes, kind: type) -> None:
    (other / "vault.json").write_bytes(text)
    with pytest.raises(kind) as caught:
        line.vault.repair(other)
    assert isinstance(caught.value, CasvaultError)
    (other / "vault.json").unlink()
    os.mkfifo(other / "vault.json")
    with pytest.raises(NoVault):
        line.vault.repair(other)
