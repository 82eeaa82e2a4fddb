"""Bytes from somebody who means harm, for every parser that casvault has; run as a program it is the child in which
they are read, with a bound on its memory.

``python -m tests.support.hostile SEED FIRST COUNT`` reads the cases from FIRST on and prints a JSON document: how many
of each target, how many were refused, the longest, and what went wrong.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from casvault.backends.memory import MemoryBackend
from casvault.codecs.choose import encode
from casvault.codecs.codec import Layout
from casvault.digest import digest_of, raw_digest_of
from casvault.errors import CasvaultError, FormatError
from casvault.files.source import MemorySource
from casvault.formats import load_plain, scan
from casvault.formats.picture import picture_of
from casvault.importing.notes import read_notes
from casvault.manifest.label import Label
from casvault.manifest.manifest import Manifest, read_held
from casvault.models.data_dat import read_state
from casvault.objects.frame import Frame
from casvault.restore.journal import Journal, Step
from casvault.vault.config import VaultConfig
from casvault.vault.heads import SNAPSHOTS
from casvault.vault.live import LiveRecord
from casvault.vault.pending import Pending
from casvault.vault.vault import Vault
from tests.support import hostile_wire
from tests.support.format_files import data_dat, safetensors
from tests.support.pictures import jpeg
from tests.support.vaults import ID, make_manifest, sealed

__all__ = ["MOST_BYTES", "MOST_SECONDS", "main"]

MOST_SECONDS = 2.0
MOST_BYTES = 256 << 20
Work = Callable[[bytes], object]

_DEEP: Any = []
for _ in range(900):
    _DEEP = [_DEEP]
_NASTY: list[Any] = [
    None, True, False, -1, 0, 1, 1 << 31, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 200, 1e308, -0.0, math.nan, math.inf,
    "", "x" * 300, "x" * 100_000, "../../treasure", "/etc/passwd", "C:x", "CON", "a\x00b", "a\x1b[2J", "\u202e",
    "\ud800", "0" * 64, "f" * 64, "A" * 64, ID, "20269999T999999.999Z-ffffff", [], {}, [[]], {"a": {}}, [None] * 1000,
    {"": ""}, _DEEP, "9" * 30, "-9223372036854775808", "2026-11-24T03:15:00.123Z", "9999-12-31T23:59:59.999Z",
]  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00" + bytes(40)
_INTEGERS = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]


def _bent(value: Any, chance: random.Random) -> Any:
    """Return a JSON value in which one place has become something else, or is gone, or is there twice."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        bent = dict(value)
        if chance.random() < 0.15:
            del bent[key]
        elif chance.random() < 0.1:
            bent[str(chance.choice(_NASTY))[:100]] = bent.pop(key)
        else:
            bent[key] = _bent(value[key], chance)
        return bent
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return chance.choice(
            [[*value[:at], _bent(value[at], chance), *value[at + 1 :]], [*value, value[at]], value[:at], value * 50]
        )
    return chance.choice(_NASTY)


def _scarred(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few scars: bits, numbers that lie, parts that are gone, moved or there twice."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        span = chance.randrange(1, 40)
        number = struct.pack("<Q", chance.choice(_INTEGERS))[: chance.choice((1, 2, 4, 8))]
        data = chance.choice(
            [
                data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
                data[:at] + number + data[at + len(number) :],
                data[:at],
                data[:at] + data[at + span :],
                data[:at] + data[at : at + span] * 3 + data[at + span :],
                data[:at] + chance.randbytes(span) + data[at:],
            ]
        )
    return data


def _document(fields: dict[str, Any]) -> Callable[[random.Random], bytes]:
    """Return a maker of documents that were tampered with, most of them with checksums that are right."""

    def make(chance: random.Random) -> bytes:
        bent = fields
        for _ in range(chance.randint(1, 2)):
            bent = _bent(bent, chance)
        text = json.dumps(bent, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        if chance.random() < 0.2:
            text = _scarred(text, chance)
        return sealed(text) if text.endswith(b"}") and chance.random() < 0.95 else text

    return make


def _plain(fields: dict[str, Any]) -> Callable[[random.Random], bytes]:
    def make(chance: random.Random) -> bytes:
        text = json.dumps(_bent(fields, chance)).encode("utf-8", "surrogatepass")
        return _scarred(text, chance) if chance.random() < 0.3 else text

    return make


def _bytes(*examples: bytes) -> Callable[[random.Random], bytes]:
    return lambda chance: _scarred(chance.choice(examples), chance)


def _fields_of(document: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(document)
    fields.pop("checksum", None)
    return fields


def _objects() -> Callable[[random.Random], bytes]:
    """Return a maker of objects whose header or payload lies, under a checksum that is right."""
    random_ = np.random.default_rng(1)
    rows = random_.standard_normal((20, 64)).astype("f4")
    examples = []
    for plain, layout in (
        (b"some text " * 30, Layout()),
        (rows.tobytes(), Layout(4, 64)),
        ((rows[:, :1] * rows[:1] * np.float32(1e-3)).tobytes(), Layout(4, 64)),
        (random_.bytes(20), Layout()),
        (rows.astype("f8").tobytes() + b"tail", Layout(8, 0)),
    ):
        codec, payload = encode(plain, layout)
        examples.append(b"".join(Frame(codec, layout, len(plain), None, payload).pieces()))

    def make(chance: random.Random) -> bytes:
        data = bytearray(_scarred(chance.choice(examples), chance))
        if chance.random() < 0.5 and len(data) > 96:
            data[5] = chance.randrange(10)
            struct.pack_into("<Q", data, 16, chance.choice([*_INTEGERS, 64 << 20, 5120, 300]))
        if len(data) > 96 and chance.random() < 0.9:
            struct.pack_into("<Q", data, 24, len(data) - 96)
            data[:5] = b"CVOB\x01"
            data[64:96] = raw_digest_of([bytes(data[:64]), bytes(data[96:])])
        return bytes(data)

    return make


def _read_object(data: bytes) -> None:
    """Decode an object as a reader does: at first unchecked, then with every check."""
    backend = MemoryBackend()
    digest = digest_of(b"what it is not")
    backend.write(f"objects/{digest[:3]}/{digest}", data)
    store = Vault(backend, VaultConfig(), threads=1).objects
    store.read(digest, 300)


def _read_live(data: bytes) -> None:
    backend = MemoryBackend()
    backend.write(LiveRecord.blob("workspace/model\nnew_SAEHD"), data)
    LiveRecord.read(backend, "workspace/model\nnew_SAEHD")


def _read_pending(data: bytes) -> None:
    backend = MemoryBackend()
    backend.write(f"pending/{ID}.json", data)
    Pending.every(backend)


def _read_vault(data: bytes) -> None:
    """Have a vault with this manifest listed, verified and accounted."""
    backend = MemoryBackend()
    backend.write(f"{SNAPSHOTS}/{ID}.json", data)
    vault = Vault(backend, VaultConfig(), threads=1)
    vault.index.read()
    vault.manifest(ID)


def _read_cache(data: bytes) -> None:
    backend = MemoryBackend()
    backend.write(f"{SNAPSHOTS}/{ID}.json", make_manifest().to_bytes())
    backend.write("cache/heads", digest_of(data).encode() + b"\n" + data)
    assert [head.id for head in Vault(backend, VaultConfig(), threads=1).heads()] == [ID]


def _read_notes(folder: Path) -> Work:
    def work(data: bytes) -> None:
        (folder / "metadata.json").write_bytes(data)
        read_notes(folder)

    return work


def _both(data: bytes) -> None:
    regions = scan(MemorySource(data))
    assert all(0 <= region.offset < region.end <= len(data) for region in regions)
    read_state(MemorySource(data))
    load_plain(MemorySource(data))


def _targets(folder: Path) -> dict[str, tuple[Callable[[random.Random], bytes], Work]]:
    manifest = make_manifest()
    label = Label(ID, "a name", "notes", pinned=True, tags=("a", "b"), thinned=("x",))
    journal = Journal("k", ID, None, "d", (Step("a", "files/0", (1, 2), (3, 4)), Step("d", "aside/0", (1, 1), (1, 1))))
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, np.ones((30, 10), "f4"))
    np.savez(npz, a=np.ones((30, 10), "f4"), b=np.arange(5))
    tensors = safetensors({"a": ("F32", [2, 3], bytes(24)), "b": ("BF16", [4], bytes(8))})
    pickles = [data_dat([[1.0, 2.0]] * 20, protocol) for protocol in (2, 4)]
    pickles += [pickle.dumps({"w:0": np.ones((4, 4), "f4"), "n": np.int64(3)}, protocol) for protocol in (2, 3, 4, 5)]
    # The previews in data.dat are large and nothing but numbers: what matters is around them.
    pickles = [data[:3000] + data[-600:] if len(data) > 5000 else data for data in pickles] + pickles[2:]
    cache = {"format": 2, "heads": {ID: [1, None, {}, {}, 5, 2, "0" * 64]}}
    live = {"format": 1, "key": "workspace/model\nnew_SAEHD", "snapshot": ID, "restored": True, "backup": ID}
    return {
        "manifest": (
            _document(_fields_of(manifest.to_bytes())),
            lambda data: (read_held(data, ID), Manifest.parse(data, ID)),
        ),
        "manifest in a vault": (_document(_fields_of(manifest.to_bytes())), _read_vault),
        "label": (_document(_fields_of(label.to_bytes())), lambda data: Label.parse(data, ID)),
        "journal": (_document(_fields_of(journal.to_bytes())), lambda data: Journal.parse(data, "journal")),
        "pending": (
            _document({"format": 1, "id": ID, "renewed": "2026-11-24T03:15:00.123Z", "digests": ["0" * 64]}),
            _read_pending,
        ),
        "vault.json": (_plain(_fields_of(VaultConfig().to_bytes())), lambda data: VaultConfig.parse(data, "here")),
        "live record": (_plain({**live, "files": {"a": [1, 2, 3, 4, 5]}, "place": 5}), _read_live),
        "cache": (_plain(cache), _read_cache),
        "notes": (_plain({"name": "n", "notes": "x", "iteration": 5, "created": "2026-11-24"}), _read_notes(folder)),
        "object": (_objects(), _read_object),
        "pickle": (_bytes(*pickles), _both),
        "arrays": (_bytes(npy.getvalue(), npz.getvalue(), tensors), lambda data: scan(MemorySource(data))),
        "requests": (hostile_wire.requests(_bent, _scarred), hostile_wire.read_requests),
        "answers": (hostile_wire.answers(_bent, _scarred), hostile_wire.read_answers),
        "picture": (_bytes(jpeg(1), _PNG), picture_of),
    }


def _peak() -> int:
    """Return the most memory that this process ever had, in bytes."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def _forget_peak() -> int:
    """Let the peak begin anew at what there is now, and return that; some containers keep the old one."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def main(seed: str, first: int, count: int) -> dict[str, Any]:
    """Read the cases; return what came of them."""
    done, refused, wrong, longest = Counter[str](), 0, list[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        targets = _targets(Path(folder))
        names = sorted(targets)
        before = _forget_peak()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, size + MOST_BYTES))
        for number in range(first, first + count):
            chance = random.Random(f"{seed}/{number}")
            name = names[number % len(names)]
            make, work = targets[name]
            data = make(chance)
            begun = time.thread_time()
            try:
                work(data)
            except (CasvaultError, FormatError):
                refused += 1
            except BaseException as error:  # noqa: BLE001
                wrong.append(f"case {number}, {name}: {type(error).__name__}: {str(error)[:200]}")
            longest = max(longest, time.thread_time() - begun)
            done[name] += 1
            if time.thread_time() - begun > MOST_SECONDS:
                wrong.append(f"case {number}, {name}: took {time.thread_time() - begun:.1f} s")
    grown = _peak() - before
    return {"done": done, "refused": refused, "wrong": wrong, "longest": round(longest, 3), "grown_bytes": grown}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
