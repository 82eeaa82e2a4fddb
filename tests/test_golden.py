"""The golden vaults: what was written once must be readable for ever, by casvault and by whoever reads docs/format.md.

The second reader is written from that page alone and takes nothing from casvault.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from casvault import api
from casvault.restore import RestoreOptions
from tests.support import golden
from tests.support.second_reader import read_chunk, read_object

DATA = Path(__file__).parent / "data"
GOLDEN = ("golden-1", "golden-2")
"""Before deltas, and with them."""

CODECS = {"golden-1": {1, 2, 3}, "golden-2": {1, 2, 4, 5, 6, 8}}
EXPECTED: dict[str, dict[str, dict[str, Any]]] = {
    name: json.loads((DATA / f"{name}.json").read_bytes()) for name in GOLDEN
}
STAMP = r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}"


def read_document(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    hashed, tail = data[:-80], data[-80:]
    assert tail == b',"checksum":"' + blake3(hashed).hexdigest().encode() + b'"}\n'
    document = json.loads(data)
    assert isinstance(document, dict)
    assert list(document)[-1] == "checksum"
    return document


def read_vault(vault: Path) -> dict[str, dict[str, Any]]:
    """Return what EXPECTED has of a vault."""
    config = json.loads((vault / "vault.json").read_bytes())
    assert (config["format"], config["required"]) == (1, [])
    found = {}
    for path in sorted((vault / "snapshots").iterdir()):
        assert re.fullmatch(STAMP + r"\.json", path.name)
        manifest = read_document(path)
        assert manifest["id"] == path.stem
        labels = sorted((vault / "labels").glob(f"{path.stem}.*.json"))
        label = read_document(labels[-1]) if labels else {"name": None}
        files = {}
        for file in manifest["files"]:
            content = b""
            for chunk in file["chunks"]:
                piece = read_chunk(vault, chunk["digest"])
                assert len(piece) == chunk["size"]
                content += piece
            assert blake3(content).hexdigest() == file["digest"]
            files[file["path"]] = {
                "size": len(content),
                "blake3": file["digest"],
                "mtime_ns": file["mtime_ns"],
                "mode": file["mode"],
            }
        found[path.stem] = {
            "name": label["name"],
            "kind": manifest["kind"],
            "iteration": manifest["iteration"],
            "incomplete": manifest["incomplete"],
            "files": files,
        }
    return found


@pytest.fixture(params=GOLDEN)
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    copy: Path = tmp_path / request.param
    shutil.copytree(DATA / request.param, copy)
    # Version control keeps no empty folders.
    (copy / "tmp").mkdir(exist_ok=True)
    return copy


def test_a_second_reader_reads_every_snapshot(vault: Path) -> None:
    assert read_vault(vault) == EXPECTED[vault.name]


def test_every_codec_that_is_written_is_in_it(vault: Path) -> None:
    objects = [path for path in (vault / "objects").rglob("*") if path.is_file()]
    assert {read_object(vault, path)[0] for path in objects} == CODECS[vault.name]
    assert all(path.parent.name == path.name[:3] for path in objects)
    size = sum(path.stat().st_size for path in (DATA / vault.name).rglob("*") if path.is_file())
    assert size < 350_000


def test_a_manifest_from_before_deltas_is_a_key(vault: Path) -> None:
    opened = api.open(vault)
    found = [opened.show(head.id).since_key for head in opened.snapshots()]
    assert found == ([0, 0, 0, 0] if vault.name == "golden-1" else [0, 1, 2, 0])


def test_casvault_reads_every_snapshot(vault: Path, tmp_path: Path) -> None:
    opened = api.open(vault)
    assert opened.verify(read_data=True).ok
    assert [head.id for head in opened.snapshots()] == sorted(EXPECTED[vault.name])
    for head in opened.snapshots():
        wanted = EXPECTED[vault.name][head.id]
        told = {"name": head.name, "kind": head.kind, "iteration": head.iteration, "incomplete": head.incomplete}
        assert told == {key: wanted[key] for key in told}
        back = tmp_path / head.id
        opened.restore(head.id, RestoreOptions(to=back, allow_incomplete=True))
        files = {path.relative_to(back).as_posix(): path for path in back.rglob("*") if path.is_file()}
        assert files.keys() == wanted["files"].keys()
        for name, path in files.items():
            content, status = path.read_bytes(), path.stat()
            assert (len(content), blake3(content).hexdigest()) == (
                wanted["files"][name]["size"],
                wanted["files"][name]["blake3"],
            )
            if sys.platform != "win32":
                assert str(status.st_mtime_ns) == wanted["files"][name]["mtime_ns"]
                assert status.st_mode & 0o777 == wanted["files"][name]["mode"]


def test_what_labels_and_manifests_say_is_kept(vault: Path) -> None:
    opened = api.open(vault)
    assert opened.find("first").label.notes == "batch 4\nÜnï 模型"
    second = opened.find("second")
    assert (second.label.notes, second.label.pinned, second.label.tags) == ("renamed", True, ("a", "b"))
    assert second.document["parent"] == opened.find("first").id
    generic = opened.find("lora@3")
    assert (generic.loss, generic.document["meta"]) == ({"loss": 0.5}, {"rank": "16"})
    backup = next(head for head in opened.snapshots() if head.kind == "auto-backup")
    assert backup.incomplete
    (region,) = [r for f in opened.show("first").files for r in f.regions if r.name == "conv/weight:0"]
    assert (region.dtype, region.shape, region.size) == ("float32", (65, 257), 65 * 257 * 4)


def test_what_is_written_today_is_read_by_the_second_reader(tmp_path: Path) -> None:
    """Whoever changes what is written sees it here before the golden vault is old."""
    golden.main(tmp_path)
    made = json.loads((tmp_path / "golden-2.json").read_bytes())
    assert read_vault(tmp_path / "golden-2") == made
    if np.__version__.startswith("1."):
        # Its pickles name its modules otherwise, so the files are others.
        return
    assert [one["files"] for one in made.values()] == [one["files"] for one in EXPECTED["golden-2"].values()]
    assert _codecs(tmp_path / "golden-2") == _codecs(DATA / "golden-2")


def _codecs(vault: Path) -> dict[str, int]:
    """Return the codec of each object; what zstd makes of the same bytes may be another with each version of it."""
    paths = [path for path in (vault / "objects").rglob("*") if path.is_file()]
    return {path.name: read_object(vault, path)[0] for path in paths}
