"""A snapshot and a live model read alike, at any offset, and little of a snapshot is kept in memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from casvault import api, subject
from casvault.chunking.chunks import cut
from casvault.demo.model import SampleModel
from casvault.files.source import MemorySource
from casvault.formats import scan
from casvault.progress import Progress
from casvault.subject import Subject, open_subject
from tests.support.trainer import NAME, make_model


@pytest.fixture
def vault(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / ".casvault")


@pytest.fixture
def model(vault: api.Vault, tmp_path: Path) -> SampleModel:
    made = make_model(tmp_path / "workspace" / "model", size=3_000_000)
    vault.snapshot(made.folder, name="one")
    return made


def check_bytes(found: Subject, model: SampleModel) -> None:
    assert [file.path for file in found.files] == [path.name for path in model.paths()]
    choose = random.Random(3)
    for file, path in zip(found.files, model.paths(), strict=True):
        data = path.read_bytes()
        assert file.source is not None
        assert (file.size, file.source.size, sum(part.size for part in file.parts)) == (len(data),) * 3
        edges = [0, *file.starts, len(data)]
        for _ in range(40):
            offset = max(0, choose.choice(edges) + choose.randint(-9, 9))
            length = choose.choice([0, 1, 20, 5_000, len(data)])
            assert file.source.read_at(offset, length) == data[offset : offset + length]
        assert list(file.regions) == scan(MemorySource(data))


@pytest.mark.parametrize("hashed", [False, True])
def test_bytes_and_tensors_are_those_of_the_files(vault: api.Vault, model: SampleModel, hashed: bool) -> None:
    for what in ("one", model.folder):
        with open_subject(vault, what, Progress(), hashed=hashed) as found:
            check_bytes(found, model)
            assert (found.name, found.state.iteration, found.incomplete) == (NAME, 5, None)


def test_a_live_model_is_cut_and_hashed_as_a_snapshot_of_it_is(vault: api.Vault, model: SampleModel) -> None:
    with (
        open_subject(vault, "one", Progress()) as stored,
        open_subject(vault, model.folder, Progress(), hashed=True) as live,
    ):
        for one, other in zip(stored.files, live.files, strict=True):
            assert (one.parts, one.digest) == (other.parts, other.digest)
            chunks = cut(MemorySource((model.folder / one.path).read_bytes()), one.regions, vault.config.chunking)
            assert one.starts == [chunk.offset for chunk in chunks]
        assert live.parent is not None
        assert live.parent.id == vault.find("one").id
        assert stored.parent is None


def test_only_the_last_chunks_are_kept(vault: api.Vault, model: SampleModel) -> None:
    manifest = vault.show("one")
    found = list(subject.stored_sources(vault, manifest))
    kept = set()
    for entry, source in found:
        assert source is not None
        kept.add(source._chunks)
        for offset in range(0, entry.size, 10_000):
            source.read_at(offset, 10_000)
    (chunks,) = kept
    assert len({chunk.digest for chunk in manifest.chunks()}) > chunks._most
    assert len(chunks._kept) <= chunks._most
