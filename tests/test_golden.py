"""The golden vault: what was written once must be readable for ever, by casvault and by whoever reads docs/format.md.

The second reader below is written from that page alone and takes nothing from casvault.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from blake3 import blake3

from casvault import api
from casvault.restore import RestoreOptions
from tests.support import golden

DATA = Path(__file__).parent / "data"
EXPECTED: dict[str, dict[str, Any]] = json.loads((DATA / "golden-1.json").read_bytes())
STAMP = r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}"


# The second reader


def read_document(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    hashed, tail = data[:-80], data[-80:]
    assert tail == b',"checksum":"' + blake3(hashed).hexdigest().encode() + b'"}\n'
    document = json.loads(data)
    assert isinstance(document, dict)
    assert list(document)[-1] == "checksum"
    return document


def unzstd(data: bytes, size: int) -> bytes:
    assert zstandard.frame_content_size(data) == size
    return zstandard.ZstdDecompressor().decompress(data)


def unplanes(payload: bytes, item: int, plain: int) -> bytes:
    count, tail = divmod(plain, item)
    heads = [struct.unpack_from("<BI", payload, 5 * plane) for plane in range(item)]
    at = 5 * item
    words = np.zeros((count, item), np.uint8)
    for plane, (method, length) in enumerate(heads):
        body = payload[at : at + length]
        at += length
        words[:, plane] = np.frombuffer(body if method == 0 else unzstd(body, count), np.uint8)
    numbers = words.reshape(-1).view(f"<u{item}")
    one = np.array(1, numbers.dtype)
    back = (numbers >> one) | (numbers << np.array(8 * item - 1, numbers.dtype))
    assert len(payload) == at + tail
    return bytes(back.tobytes()) + payload[at:]


def read_object(path: Path) -> tuple[int, bytes]:
    data = path.read_bytes()
    assert len(data) > 96
    magic, version, codec, flags, item, _, plain, stored, base = struct.unpack_from("<4sBBHIIQQ32s", data)
    assert (magic, version, flags, base) == (b"CVOB", 1, 0, bytes(32))
    payload = data[96:]
    assert blake3(data[:64] + payload).digest() == data[64:96]
    assert stored == len(payload)
    found = {1: lambda: payload, 2: lambda: unzstd(payload, plain), 3: lambda: unplanes(payload, item, plain)}[codec]()
    assert len(found) == plain
    assert blake3(found).hexdigest() == path.name
    return codec, found


def read_vault(vault: Path) -> dict[str, dict[str, Any]]:
    """Return what EXPECTED has, and count the codecs that were met."""
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
                piece = read_object(vault / "objects" / chunk["digest"][:3] / chunk["digest"])[1]
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


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "golden-1", tmp_path / "golden-1")
    # Version control keeps no empty folders.
    (tmp_path / "golden-1" / "tmp").mkdir(exist_ok=True)
    return tmp_path / "golden-1"


def test_a_second_reader_reads_every_snapshot(vault: Path) -> None:
    assert read_vault(vault) == EXPECTED


def test_every_codec_that_is_written_is_in_it(vault: Path) -> None:
    objects = [path for path in (vault / "objects").rglob("*") if path.is_file()]
    codecs = Counter(read_object(path)[0] for path in objects)
    assert set(codecs) == {1, 2, 3}
    assert all(path.parent.name == path.name[:3] for path in objects)
    size = sum(path.stat().st_size for path in (DATA / "golden-1").rglob("*") if path.is_file())
    assert size < 300_000


def test_casvault_reads_every_snapshot(vault: Path, tmp_path: Path) -> None:
    opened = api.open(vault)
    assert opened.verify(read_data=True).ok
    assert [head.id for head in opened.snapshots()] == sorted(EXPECTED)
    for head in opened.snapshots():
        wanted = EXPECTED[head.id]
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
    made = json.loads((tmp_path / "golden-1.json").read_bytes())
    assert read_vault(tmp_path / "golden-1") == made
    assert [one["files"] for one in made.values()] == [one["files"] for one in EXPECTED.values()]
