"""Vaults from somebody who means harm: one sentence, an exit code, nothing written outside, no terminal steered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from casvault import api
from casvault.digest import digest_of
from tests.support.command import Outcome, call
from tests.support.trainer import NAME, make_model, tree


class Attack(NamedTuple):
    """A vault with one snapshot, and its manifest and label as documents to be changed."""

    root: Path
    id: str
    manifest: dict[str, Any]
    label: dict[str, Any]

    def place(self, *, manifest: dict[str, Any] | None = None, label: dict[str, Any] | None = None) -> None:
        """Put changed documents into the vault, with checksums that are right."""
        if manifest is not None:
            (self.root / f"home/.casvault/snapshots/{self.id}.json").write_bytes(document(manifest))
        if label is not None:
            (self.root / f"home/.casvault/labels/{self.id}.{self.id}.json").write_bytes(document(label))

    def run(self, *arguments: str) -> Outcome:
        """Run a command where the model is; check what holds of every command."""
        done = call(self.root / "home", *arguments)
        for text in (done.out, done.err):
            assert not any(bad in text for bad in ("\x1b", "\x9b", "\x07", "\x00", "Traceback", "bug in casvault")), (
                text
            )
            assert not any(bad in text for bad in "\u202e\u2066\u200f")
        return done


def document(fields: dict[str, Any]) -> bytes:
    """Write a document as docs/format.md says, by other means than casvault's."""
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")[:-1]
    return body + b',"checksum":"' + digest_of(body).encode() + b'"}\n'


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Attack]:
    home = tmp_path / "home"
    vault = api.init(home / ".casvault")
    model = make_model(home / "workspace" / "model", size=60_000)
    id = vault.snapshot(model.folder / NAME, name="good", notes="fine").head.id
    manifest = json.loads((home / f".casvault/snapshots/{id}.json").read_bytes())
    label = json.loads(next((home / ".casvault/labels").iterdir()).read_bytes())
    del manifest["checksum"], label["checksum"]
    for path in (home / ".casvault/labels").iterdir():
        path.unlink()
    (tmp_path / "treasure").write_bytes(b"precious")
    outside = {name: entry for name, entry in tree(tmp_path).items() if not name.startswith("home/.casvault")}
    yield Attack(tmp_path, id, manifest, label)
    now = {name: entry for name, entry in tree(tmp_path).items() if not name.startswith("home/.casvault")}
    assert now == outside, "something was changed outside the vault"


PATHS = [
    "../treasure", "../../treasure", "/etc/passwd", "a/../../../treasure", "C:/x", "C:x", "\\\\host\\x", "..\\x", "CON",
    "nul.txt", "com1", "x.", "x ", " x", "a//b", "./a", "", "a\x00b", "a\x1b[2Jb", ".casvault_restore_0/x",
    ".CasVault/x",    "x" * 300, "a/" * 600 + "a", "a:b", "a*b", "a\nb", "AUX ", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("member", ["path", "role"])
def test_a_path_or_role_that_may_not_be(attack: Attack, path: str, member: str) -> None:
    attack.manifest["files"][1][member] = path
    attack.place(manifest=attack.manifest)
    assert attack.run("list").code == 3
    for arguments in (["restore", attack.id, "--to", "back", "-y"], ["show", attack.id], ["restore", attack.id, "-y"]):
        done = attack.run(*arguments)
        assert done.code in (1, 20)
        assert len(done.err.splitlines()) == 1
    done = attack.run("verify")
    assert done.code == 20
    assert attack.id in done.out


@pytest.mark.parametrize(
    "name",
    [
        "../../../x_SAEHD",
        "/tmp/x_SAEHD",
        "a/../../b_SAEHD",
        "x\x00_SAEHD",
        "CON/x_SAEHD",
        ".casvault_SAEHD",
        "C:x_SAEHD",
    ],
)
def test_a_models_name_that_leads_elsewhere(attack: Attack, name: str) -> None:
    attack.manifest["model"]["name"] = name
    attack.place(manifest=attack.manifest)
    for more in ([], ["--to", "back"], ["--dry-run"]):
        done = attack.run("restore", attack.id, "-y", *more)
        assert done.code != 0
        assert len(done.err.splitlines()) == 1
    attack.run("list")
    attack.run("status")
    attack.run("undo", "workspace/model/new_SAEHD", "-y")


@pytest.mark.parametrize(
    "twins", [("a.npy", "A.npy"), ("e\u0301.npy", "\u00e9.npy"), ("a.npy", "a.npy/b"), ("s.npy", "s.npy")]
)
@pytest.mark.parametrize("member", ["path", "role"])
def test_paths_that_are_one_file_on_some_system(attack: Attack, twins: tuple[str, str], member: str) -> None:
    for file, path in zip(attack.manifest["files"], twins, strict=False):
        file[member] = path
    attack.place(manifest=attack.manifest)
    done = attack.run("restore", attack.id, "--to", "back", "-y")
    assert done.code == (1 if member == "path" else 20)
    assert len(done.err.splitlines()) == 1
    assert not (attack.root / "home/back").exists()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sizes that do not add up": lambda m: m["files"][0].update(size=m["files"][0]["size"] + 1),
    "a negative size": lambda m: m["files"][0].update(size=-1),
    "a size beyond 2^63": lambda m: m["files"][0].update(size=1 << 63),
    "a chunk of nothing": lambda m: m["files"][0]["chunks"].append({"digest": "0" * 64, "size": 0}),
    "a digest that is a path": lambda m: m["files"][0]["chunks"][0].update(digest="../../../treasure"),
    "a digest in capitals": lambda m: m["files"][0]["chunks"][0].update(digest="A" * 64),
    "files that are none": lambda m: m.update(files=[1, 2]),
    "files as an object": lambda m: m.update(files={}),
    "an id of another": lambda m: m.update(id="20261124T031500.123Z-1f3c9a"),
    "a parent that is a path": lambda m: m.update(parent="../../x"),
    "a kind of its own": lambda m: m.update(kind="evil"),
    "an iteration that is text": lambda m: m.update(iteration="5"),
    "a time that is none": lambda m: m.update(created="yesterday"),
    "a time without a zone": lambda m: m.update(created="2026-11-24T03:15:00"),
    "a nested option": lambda m: m.update(options={"a": {"b": 1}}),
    "a health that is text": lambda m: m.update(health="ok"),
    "no model": lambda m: m.update(model=None),
    "a name of nothing": lambda m: m["model"].update(name=""),
    "nanoseconds that are a number": lambda m: m["files"][0].update(mtime_ns=5),
    "nanoseconds beyond the range": lambda m: m["files"][0].update(mtime_ns="9" * 19),
    "a region past the end": lambda m: m["files"][0].update(
        regions=[{"name": "x", "offset": 1 << 40, "size": 8, "dtype": "float32", "shape": [2]}]
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_manifest_that_does_not_hold_together(attack: Attack, what: str) -> None:
    CHANGES[what](attack.manifest)
    attack.place(manifest=attack.manifest)
    assert attack.run("list").code == 3
    assert attack.run("verify").code == 20
    done = attack.run("restore", attack.id, "--to", "back", "-y")
    assert done.code in (1, 20)
    assert len(done.err.splitlines()) == 1
    assert not (attack.root / "home/back").exists()


def test_a_file_that_is_not_the_sum_of_its_chunks(attack: Attack) -> None:
    """Every chunk has its digest, but the whole has another."""
    attack.manifest["files"][0]["digest"] = "0" * 64
    attack.place(manifest=attack.manifest)
    for more in (["--to", "back"], []):
        done = attack.run("restore", attack.id, "-y", *more)
        assert done.code == 20
        assert "other bytes" in done.err
    assert not (attack.root / "home/back").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"format":1,"format":1',
        b'{"format":NaN',
        b'{"format":1e999',
        b"\xff\xfe",
        b'{"a":' * 100_000,
    ],
    ids=["empty", "no checksum", "deep", "twice", "NaN", "infinite", "no text", "deep objects"],
)
def test_bytes_that_are_no_manifest(attack: Attack, data: bytes) -> None:
    hashed = data + b',"checksum":"' + digest_of(data).encode() + b'"}\n'
    for text in (data, hashed):
        (attack.root / f"home/.casvault/snapshots/{attack.id}.json").write_bytes(text)
        assert attack.run("list").code == 3
        assert attack.run("verify").code == 20
        done = attack.run("show", attack.id)
        assert done.code != 0
        assert len(done.err.splitlines()) == 1


STEERING = "a\x1b[2J\x1b]0;x\x07\x9b31m\u202eb\u2066\u200f"


def test_text_in_a_manifest_does_not_steer_the_terminal(attack: Attack) -> None:
    manifest = attack.manifest
    manifest["model"].update(type=STEERING, source=f"workspace/model{STEERING}")
    manifest.update(
        options={STEERING: STEERING},
        meta={STEERING: STEERING},
        loss={STEERING: 1.0},
        loss_last={STEERING: 1.0},
        health={"state": STEERING, "findings": [STEERING]},
    )
    manifest["files"][0]["regions"] = []
    manifest["files"][1]["faults"] = [{"name": STEERING, "nan": 1, "inf": 0, "flat": True}]
    attack.place(manifest=manifest, label={**attack.label, "name": STEERING, "notes": STEERING, "tags": [STEERING]})
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["show", attack.id],
        ["show", attack.id, "--json"],
        ["status"],
        ["health", attack.id],
        ["health", STEERING],
        ["diff", attack.id, "workspace/model"],
        ["diff", STEERING, STEERING],
        ["verify", "--read-data"],
        ["restore", attack.id, "--to", "workspace/model", "--dry-run", "--allow-incomplete"],
        ["restore", attack.id],
        ["restore", "latest"],
        ["show", STEERING],
        ["list", STEERING],
        ["snapshot", STEERING],
    ):
        attack.run(*arguments)
    assert "a?[2J" in attack.run("list").out
    told = attack.run("health", attack.id)
    assert (told.code, "the tensor a?[2J" in told.out) == (1, True)


REGIONS: dict[str, list[dict[str, Any]]] = {
    "one over the other": [
        {"name": "a", "offset": 0, "size": 400, "dtype": "float32", "shape": [100]},
        {"name": "b", "offset": 2, "size": 400, "dtype": "float32", "shape": [100]},
    ],
    "one name twice": [
        {"name": "a", "offset": 0, "size": 8, "dtype": "float64", "shape": [1]},
        {"name": "a", "offset": 8, "size": 8, "dtype": "float64", "shape": [1]},
    ],
    "a shape that is not the size": [{"name": "a", "offset": 1, "size": 7, "dtype": "float32", "shape": [1 << 62, 4]}],
    "nothing": [{"name": "a", "offset": 5, "size": 0, "dtype": "float32", "shape": [0]}],
    "steering": [{"name": STEERING, "offset": 1, "size": 8, "dtype": "bfloat16", "shape": [2, 2]}],
}


@pytest.mark.parametrize("what", REGIONS)
def test_tensors_that_are_lies_are_examined_and_compared_without_harm(attack: Attack, what: str) -> None:
    for file in attack.manifest["files"]:
        file["regions"] = REGIONS[what]
    attack.place(manifest=attack.manifest)
    for arguments in (
        ["health", attack.id],
        ["diff", attack.id, attack.id],
        ["diff", attack.id, "workspace/model", "--all"],
        ["diff", "workspace/model", attack.id, "--json"],
    ):
        assert attack.run(*arguments).code in (0, 1)


def test_a_name_in_a_manifest_does_not_steer_the_terminal(attack: Attack) -> None:
    attack.manifest["model"]["name"] = STEERING
    attack.place(manifest=attack.manifest)
    for arguments in (["list"], ["show", attack.id], ["status"], ["restore", attack.id], ["restore", attack.id, "-y"]):
        attack.run(*arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"thinned": "x"},
        {"deleted": "yes"},
        {"snapshot": "20261124T031500.123Z-1f3c9a"},
        {"format": 2},
    ],
)
def test_a_label_that_does_not_hold_together_hides_no_snapshot(attack: Attack, changes: dict[str, Any]) -> None:
    attack.place(label={**attack.label, **changes})
    done = attack.run("list")
    assert done.code == 3
    assert attack.id[-6:] in done.out
    assert attack.run("verify").code == 20


def test_a_single_generic_model_without_files(attack: Attack) -> None:
    attack.manifest["model"].update(kind="generic", single=True)
    attack.manifest["files"] = []
    attack.place(manifest=attack.manifest)
    for arguments in (
        ["list"],
        ["show", attack.id],
        ["status"],
        ["snapshot", "new_SAEHD", "--json"],
        ["restore", attack.id, "--dry-run"],
        ["restore", attack.id, "-y"],
        ["restore", attack.id, "--to", "back", "-y"],
    ):
        assert "Traceback" not in attack.run(*arguments).err


def test_a_kind_of_model_that_nobody_knows(attack: Attack) -> None:
    attack.manifest["model"]["kind"] = "martian"
    attack.place(manifest=attack.manifest)
    assert attack.run("list").code == 0
    done = attack.run("restore", attack.id, "-y")
    assert done.code == 2
    assert "martian" in done.err


def test_names_in_the_vault_that_mean_nothing(attack: Attack) -> None:
    vault = attack.root / "home/.casvault"
    for name in (
        "snapshots/x.json",
        "snapshots/20269999T999999.999Z-ffffff.json",
        "labels/y.json",
        "objects/zzz",
        "tmp/z",
    ):
        (vault / name).write_bytes(b"junk")
    (vault / "objects/abc").mkdir(exist_ok=True)
    (vault / "objects/abc/junk").write_bytes(b"x" * 200)
    (vault / "cache/heads.json").write_bytes(b"\xff" * 100)
    assert attack.run("list").out.count(attack.id[-6:]) == 1
    attack.run("verify", "--read-data")
    assert attack.run("restore", attack.id, "--dry-run").code == 0


def test_a_cache_from_somebody_else_is_not_believed_where_it_is_wrong(attack: Attack) -> None:
    attack.run("list")
    vault = attack.root / "home/.casvault"
    for path in (vault / "cache").iterdir():
        path.write_bytes(document({"format": 1, "heads": {attack.id: [1, 2, {}, {}, "x", None, 5]}}))
    assert attack.run("list").code == 0
    assert attack.run("status").code == 0
    assert attack.id in attack.run("show", "latest").out


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", "1"),
        ("chunking", {}),
        ("chunking", {"max_chunk": 1 << 60, "min_region": 1, "cdc_min": 1, "cdc_average": 1, "cdc_max": 1}),
        ("max_depth", -1),
        ("uuid", "../.."),
        ("required", "x\x1b[2J"),
    ],
)
def test_a_configuration_that_may_not_be(attack: Attack, member: str, value: object) -> None:
    path = attack.root / "home/.casvault/vault.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), member: value}))
    done = attack.run("list")
    assert done.code == 10
    assert len(done.err.splitlines()) == 1


def test_an_object_that_claims_a_terabyte(attack: Attack) -> None:
    import struct

    digest = attack.manifest["files"][0]["chunks"][0]["digest"]
    path = attack.root / f"home/.casvault/objects/{digest[:3]}/{digest}"
    payload = bytes.fromhex("28b52ffd") + b"\xe0" + struct.pack("<Q", 1 << 40) + b"\x01\x00\x00"
    for plain in (1 << 40, 1 << 20):
        fields = struct.pack("<4sBBHIIQQ32s", b"CVOB", 1, 2, 0, 0, 0, plain, len(payload), bytes(32))
        path.write_bytes(fields + bytes.fromhex(digest_of(fields + payload)) + payload)
        assert attack.run("verify", "--read-data").code == 20
        assert attack.run("restore", attack.id, "--to", "back", "-y").code == 20
    assert not (attack.root / "home/back").exists()
