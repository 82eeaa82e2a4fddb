"""Manifests: what was written is read, and one that was read is safe to act upon."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.digest import digest_of
from casvault.errors import BadManifest, UnsupportedVault
from casvault.files.names import case_twins, model_path_problem
from casvault.formats.picture import MAX_PICTURE, MEDIA_TYPES
from casvault.formats.region import ITEM_SIZES, Region
from casvault.manifest.document import write_document
from casvault.manifest.manifest import (
    KINDS,
    PREVIEW_KINDS,
    ChunkRef,
    Fault,
    FileEntry,
    Manifest,
    Preview,
    contents_of,
    read_held,
)
from tests.support.vaults import ID, make_entry, make_manifest, sealed, stamp

Change = Callable[[dict[str, Any]], Any]
PREVIEW = Preview("ab" * 32, 44, "image/png", "samples")


def document(change: Change | None = None) -> bytes:
    """Return a good manifest with one change, and a checksum that is right."""
    manifest = make_manifest(files={"new_SAEHD_data.dat": b"data" * 10})
    values = {**manifest.head(), "files": [file.to_json() for file in manifest.files]}
    if change is not None:
        change(values)
    return sealed(json.dumps(values).encode())


digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.none() | st.dictionaries(
    texts,
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
)
losses = st.none() | st.dictionaries(texts, st.none() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300))
healths = st.none() | st.builds(lambda state, found: {"state": state, "findings": found}, texts, st.lists(texts))
stamps = st.integers(0, 20 * 86_400).map(stamp)
faults = st.builds(Fault, texts, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.booleans())


@st.composite
def entries(draw: st.DrawFn) -> FileEntry:
    chunks = draw(st.lists(st.builds(ChunkRef, digests, st.integers(1, 1 << 40)), max_size=4))
    size = sum(chunk.size for chunk in chunks)
    regions = []
    for name in draw(st.lists(texts, max_size=3)):
        dtype = draw(st.sampled_from(sorted(ITEM_SIZES)))
        offset = draw(st.integers(0, size))
        regions.append(Region(name, offset, draw(st.integers(0, size - offset)), dtype, (3, 4)))
    return FileEntry(
        path=draw(
            st.from_regex(r"[a-z]{1,8}(/[a-z_0-9]{1,8})?", fullmatch=True).filter(lambda p: not model_path_problem(p))
        ),
        role=draw(st.sampled_from(["data.dat", "encoder.npy"])),
        size=size,
        mtime_ns=draw(st.integers(-(2**63) + 1, 2**63 - 1)),
        mode=draw(st.integers(0, 0o777)),
        digest=draw(digests),
        chunks=tuple(chunks),
        regions=tuple(regions),
        faults=tuple(draw(st.lists(faults, max_size=3))),
    )


previews = st.builds(
    Preview,
    digest=digests,
    size=st.integers(1, MAX_PICTURE),
    media_type=st.sampled_from(MEDIA_TYPES),
    kind=st.sampled_from(PREVIEW_KINDS),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    files = draw(st.lists(entries(), max_size=4).filter(lambda found: case_twins(f.path for f in found) is None))
    made = make_manifest(
        draw(stamps),
        kind=draw(st.sampled_from(KINDS)),
        model_name=draw(st.sampled_from(["new_SAEHD", "XSeg", "лицо 1_AMP", "x" * 255])),
        model_type=draw(st.none() | texts),
        source=draw(texts),
        single=len(files) == 1 and draw(st.booleans()),
        saved_at=draw(st.none() | st.just("2026-11-24T03:12:00.000Z")),
        iteration=draw(st.none() | st.integers(0, 2**63 - 1)),
        run=draw(st.integers(0, 2**63 - 1)),
        loss=draw(losses),
        loss_last=draw(losses),
        options=draw(scalars),
        meta=draw(scalars),
        parent=draw(st.none() | stamps),
        since_key=draw(st.integers(0, 2**63 - 1)),
        restored_from=draw(st.none() | stamps),
        incomplete=draw(st.booleans()),
        health=draw(healths),
        preview=draw(st.none() | previews),
    )
    return replace(made, files=tuple(files))


@given(manifest=manifests())
def test_round_trip(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    assert Manifest.parse(data, manifest.id) == manifest
    assert Manifest.parse(data, manifest.id).to_bytes() == data
    assert data.count(b"\n") == 1


def test_byte_for_byte() -> None:
    entry = make_entry("a_b", b"12345678", (Region("t", 4, 4, "float32", (1,)),), chunk=5)
    data = replace(make_manifest(), files=(entry,)).to_bytes()
    one, two = digest_of(b"12345"), digest_of(b"678")
    text = (
        '{"format":1,"id":"20261124T031500.123Z-1f3c9a","created":"2026-11-24T03:15:00.123Z",'
        '"saved_at":"2026-11-24T03:12:00.000Z","kind":"manual","model":{"kind":"deepfacelab","name":"new_SAEHD",'
        '"type":"SAEHD","source":"workspace/model","single":false},"iteration":48200,"run":1,'
        '"loss":{"src":0.21,"dst":0.19},"loss_last":{"src":0.2,"dst":0.18},'
        '"options":{"batch_size":8,"archi":"liae-ud"},"meta":null,"parent":null,"since_key":0,'
        '"restored_from":null,"incomplete":false,"health":null,"preview":null,"files":[{"path":"a_b","role":"b","size":8,'
        f'"mtime_ns":"1764000000123456789","mode":420,"digest":"{digest_of(b"12345678")}",'
        f'"chunks":[{{"digest":"{one}","size":5}},{{"digest":"{two}","size":3}}],'
        '"regions":[{"name":"t","offset":4,"size":4,"dtype":"float32","shape":[1]}]}]}'
    )
    assert data == sealed(text.encode())


def test_faults_are_written_only_where_there_are_some() -> None:
    entry = make_entry("a_b", b"12345678", (Region("t", 4, 4, "float32", (1,)),))
    ill = replace(entry, faults=(Fault("t", 1, 2), Fault("u", flat=True)))
    plain, told = (replace(make_manifest(), files=(one,)).to_bytes()[:-80] for one in (entry, ill))
    added = b',"faults":[{"name":"t","nan":1,"inf":2},{"name":"u","flat":true}]'
    assert plain.endswith(b"}]}]")
    assert told == plain[:-2] + added + plain[-2:]


def test_since_key_is_counted_and_was_not_written_before_deltas() -> None:
    manifest = replace(make_manifest(), since_key=7)
    assert Manifest.parse(manifest.to_bytes(), ID).since_key == 7
    assert Manifest.parse(document(put("since_key", value=3)), ID).since_key == 3
    assert Manifest.parse(document(drop("since_key")), ID).since_key == 0


def test_sums() -> None:
    manifest = make_manifest(files={"b": b"1234567", "a": b"123"})
    assert manifest.logical_size == 10
    assert [chunk.size for chunk in manifest.chunks()] == [7, 3]
    assert "files" not in manifest.head()


def test_chunks_are_all_that_a_snapshot_needs() -> None:
    manifest = make_manifest(files={"b": b"1234567", "a": b"123", "c": b"12"}, preview=PREVIEW)
    assert [chunk.size for chunk in manifest.chunks()] == [7, 3, 2, 44]
    assert [chunk.size for chunk in manifest.chunks(("a", "b", "gone"))] == [2, 44]
    assert manifest.logical_size == 12
    assert manifest.contents == make_manifest(files={"b": b"1234567", "a": b"123", "c": b"12"}).contents


def test_a_preview_lies_as_the_page_says() -> None:
    data = make_manifest(preview=PREVIEW).to_bytes()
    written = f'"preview":{{"digest":"{PREVIEW.digest}","size":44,"media_type":"image/png","kind":"samples"}}'
    assert written.encode() in data
    assert Manifest.parse(data, ID).preview == PREVIEW
    assert Manifest.parse(document(drop("preview")), ID).preview is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "x",
        False,
        {**PREVIEW.to_json(), "digest": "../../etc/passwd"},
        {**PREVIEW.to_json(), "size": 0},
        {**PREVIEW.to_json(), "size": -1},
        {**PREVIEW.to_json(), "size": (16 << 20) + 1},
        {**PREVIEW.to_json(), "size": True},
        {**PREVIEW.to_json(), "size": 1.5},
        {**PREVIEW.to_json(), "media_type": "text/html"},
        {**PREVIEW.to_json(), "media_type": None},
        {**PREVIEW.to_json(), "kind": "portrait"},
    ],
)
def test_hostile_previews(value: Any) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(document(put("preview", value=value)), ID)


def test_contents_tell_paths_and_bytes_only() -> None:
    one = make_manifest(files={"a": b"1", "b": b"2"})
    assert make_manifest(stamp(9), files={"b": b"2", "a": b"1"}, iteration=None).contents == one.contents
    for files in ({"a": b"2", "b": b"1"}, {"a": b"1"}, {"a": b"1", "c": b"2"}, {}):
        assert make_manifest(files=files).contents != one.contents
    assert contents_of({"a": "x"}) == digest_of(b"x a\n")


def test_unknown_members_are_passed_over() -> None:
    def change(values: dict[str, Any]) -> None:
        values["later"] = {"a": [1]}
        values["model"]["later"] = 1
        values["files"][0]["later"] = 1
        values["files"][0]["chunks"][0]["later"] = 1

    assert Manifest.parse(document(change), ID) == Manifest.parse(document(), ID)


def test_every_changed_byte_is_seen() -> None:
    data = make_manifest().to_bytes()
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            with pytest.raises(BadManifest):
                Manifest.parse(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :], ID)


def test_every_truncation_is_seen() -> None:
    data = make_manifest().to_bytes()
    for end in range(len(data)):
        with pytest.raises(BadManifest):
            Manifest.parse(data[:end], ID)
    for more in (b"\n", b" ", data):
        with pytest.raises(BadManifest):
            Manifest.parse(data + more, ID)


def put(*path: str | int, value: Any) -> Change:
    def change(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        values[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    def change(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        del values[path[-1]]

    return change


def anything(*values: Any) -> tuple[Any, ...]:
    return values


def twin(path: str) -> Change:
    return lambda values: values["files"].append({**values["files"][0], "path": path})


BAD_PATHS = [
    "",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "C:",
    "C:/x",
    "C:x",
    "\\\\host\\x",
    "a\\b",
    "a\0b",
    "CON",
    "nul.dat",
]
BAD_PATHS += ["a.", "a ", " a", "a//b", "./a", "a\nb", ".casvault/x", "x" * 300, "a/" * 600 + "a", "\x9b2J", "COM1"]

FILE = ("files", 0)
CHUNK = (*FILE, "chunks", 0)
REGION = {"name": "t", "offset": 0, "size": 4, "dtype": "float32", "shape": [1]}
FAULT = {"name": "t", "nan": 1, "inf": 0, "flat": False}
WRONG_NUMBERS: list[Any] = [-1, 1 << 63, 1 << 200, 1.0, 40.5, "40", None, True, [], {}]

HOSTILE: dict[str, Change] = {
    **{f"path {path[:20]!r}": put(*FILE, "path", value=path) for path in BAD_PATHS},
    **{f"role {path[:20]!r}": put(*FILE, "role", value=path) for path in BAD_PATHS},
    **{f"path {value!r}": put(*FILE, "path", value=value) for value in anything(None, 5, [], {})},
    **{f"size {value!r}": put(*FILE, "size", value=value) for value in [*WRONG_NUMBERS, 39, 41, 0]},
    **{f"chunk size {value!r}": put(*CHUNK, "size", value=value) for value in [*WRONG_NUMBERS, 39, 41, 0]},
    **{f"mode {value!r}": put(*FILE, "mode", value=value) for value in WRONG_NUMBERS},
    **{f"run {value!r}": put("run", value=value) for value in WRONG_NUMBERS},
    **{f"since_key {value!r}": put("since_key", value=value) for value in WRONG_NUMBERS},
    **{f"iteration {value!r}": put("iteration", value=value) for value in WRONG_NUMBERS if value is not None},
    **{
        f"mtime {value!r}": put(*FILE, "mtime_ns", value=value)
        for value in anything(
            5,
            None,
            "",
            "-",
            "--5",
            "+5",
            " 5",
            "5 ",
            "1_0",
            "5.0",
            "1e3",
            "\u0661",
            str(1 << 63),
            "9" * 20,
            "9" * 5000,
        )
    },
    **{
        f"{len(place)} digest {str(value)[:5]!r} {len(str(value))}": put(*place, "digest", value=value)
        for place in (FILE, CHUNK)
        for value in anything(None, "", "../" + "a" * 61, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", 5)
    },
    **{f"twin {path!r}": twin(path) for path in ("new_SAEHD_data.dat", "NEW_saehd_data.dat", "new_SAEHD_data.dat/x")},
    "sizes that wrap": put(*FILE, "chunks", value=[{"digest": "a" * 64, "size": (1 << 63) - 1}] * 2),
    "an empty chunk more": lambda values: values["files"][0]["chunks"].append({"digest": "a" * 64, "size": 0}),
    **{f"chunks {value!r}": put(*FILE, "chunks", value=value) for value in anything(None, {}, "x", [5], [None], [[]])},
    **{f"files {value!r}": put("files", value=value) for value in anything(None, {}, "x", [5], [None], [[]])},
    **{f"model {value!r}": put("model", value=value) for value in anything(None, [], "x", {}, 5)},
    **{
        f"model name {str(value)[:5]!r}": put("model", "name", value=value)
        for value in anything(None, "", "x" * 256, 5)
    },
    **{
        f"id {value!r}": put("id", value=value)
        for value in anything(None, "", "../x", stamp(5), ID.upper(), ID + "x", 5)
    },
    **{f"kind {value!r}": put("kind", value=value) for value in anything(None, "", "other", 5, ["manual"])},
    **{
        f"{key} {value!r}": put(key, value=value)
        for key in ("created", "saved_at")
        for value in anything(
            "",
            "yesterday",
            "2026-11-24",
            "2026-11-24T03:15:00",
            "2026-13-24T03:15:00Z",
            5,
            [],
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
        )
    },
    "created null": put("created", value=None),
    **{
        f"{key} {value!r}": put(key, value=value)
        for key in ("parent", "restored_from")
        for value in anything("", "../../x", "20261399T031500.123Z-1f3c9a", 5, [], "\u0662" + ID[1:])
    },
    **{
        f"{key} {value!r}": put(key, value=value)
        for key in ("loss", "loss_last", "options", "meta")
        for value in anything([], "x", 5, {"a": []}, {"a": {}})
    },
    **{
        f"{key} of {value!r}": put(key, "src", value=value)
        for key in ("loss", "loss_last")
        for value in anything("0.2", True, 2e300, -(10**400), [])
    },
    **{
        f"health {value!r}": put("health", value=value)
        for value in anything([], "x", 5, True, {}, {"state": 5}, {"state": "ok", "findings": [5]})
    },
    **{f"incomplete {value!r}": put("incomplete", value=value) for value in anything(None, 0, 1, "false", [])},
    **{
        f"region {key} {value!r}": put(*FILE, "regions", value=[{**REGION, key: value}])
        for key, values in {
            "name": [None, 5],
            "offset": [*WRONG_NUMBERS, 37],
            "size": [*WRONG_NUMBERS, 41],
            "dtype": [None, "", "object", "float128", 5],
            "shape": [None, {}, [-1], ["1"], [1.0], [True], [1] * 33, "1"],
        }.items()
        for value in values
    },
    **{
        f"fault {key} {value!r}": put(*FILE, "faults", value=[{**FAULT, key: value}])
        for key, values in {"name": [None, 5], "nan": WRONG_NUMBERS, "inf": WRONG_NUMBERS, "flat": [1, "x", []]}.items()
        for value in values
        if value is not None or key == "name"
    },
    **{f"faults {value!r}": put(*FILE, "faults", value=value) for value in anything({}, "x", 5, [5], [[]])},
    **{f"no {key}": drop(key) for key in ("id", "created", "kind", "model", "run")},
    **{f"no file {key}": drop(*FILE, key) for key in ("path", "role", "size", "mtime_ns", "mode", "digest", "chunks")},
}


def test_the_document_without_a_change_is_good() -> None:
    assert Manifest.parse(document(), ID).files[0].path == "new_SAEHD_data.dat"
    assert Manifest.parse(document(put(*FILE, "regions", value=[REGION])), ID).files[0].regions[0].size == 4


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_members(what: str) -> None:
    with pytest.raises(BadManifest) as caught:
        Manifest.parse(document(HOSTILE[what]), ID)
    message = str(caught.value)
    assert ID in message
    assert len(message) < 400
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in message)


@pytest.mark.parametrize("value", [None, 0, 2, 99, "1", [], 1.5])
def test_another_format(value: Any) -> None:
    with pytest.raises(UnsupportedVault, match="newer casvault"):
        Manifest.parse(document(put("format", value=value)), ID)


def test_a_manifest_under_another_name() -> None:
    with pytest.raises(BadManifest, match="not the name it is stored under"):
        Manifest.parse(document(), stamp(77))


@pytest.mark.parametrize("name", ["", "../x_SAEHD", "a/b", "a\\b", "\x1b[31mred", "x\u202ey", "x" * 256])
def test_names_of_models_that_are_none(name: str) -> None:
    data = replace(make_manifest(), model_name=name).to_bytes()
    with pytest.raises(BadManifest, match="name is missing or not of its form"):
        Manifest.parse(data, make_manifest().id)


def test_what_is_held_is_what_the_whole_manifest_says() -> None:
    manifest = make_manifest(files={"new_SAEHD_data.dat": b"data" * 300_000, "new_SAEHD_encoder.npy": b"weights"})
    wanted = {file.path: (file.size, file.chunks) for file in manifest.files}
    assert read_held(manifest.to_bytes(), manifest.id) == (wanted, None)
    pictured = replace(manifest, preview=Preview(digest_of(b"a picture"), 9, MEDIA_TYPES[0], PREVIEW_KINDS[0]))
    assert read_held(pictured.to_bytes(), manifest.id) == (wanted, ChunkRef(digest_of(b"a picture"), 9))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": stamp(9)},
        {"files": ["x"]},
        {"files": 7},
        {"files": [{"path": "x"}]},
        {"files": [{"path": ["x"], "size": 1, "chunks": []}]},
        {"files": [{"path": "x", "size": "1", "chunks": []}]},
        {"files": [{"path": "x", "size": 1, "chunks": [{"digest": "../x", "size": 1}]}]},
        {"files": [{"path": "x", "size": 1, "chunks": [{"digest": "0" * 64, "size": None}]}]},
        {"files": [{"path": "x", "size": 1, "chunks": 7}]},
        {"preview": {"digest": "../x", "size": 1, "media_type": "image/png", "kind": "file"}},
    ],
)
def test_what_is_held_is_not_told_of_what_is_no_manifest(change: dict[str, Any]) -> None:
    data = write_document({**make_manifest().head(), "files": [], **change})
    with pytest.raises((BadManifest, UnsupportedVault)):
        read_held(data, ID)
    with pytest.raises(BadManifest, match="checksum"):
        read_held(make_manifest().to_bytes()[:-1], ID)


def test_a_file_without_a_list_of_chunks_holds_none() -> None:
    files = make_manifest(files={"new_SAEHD_data.dat": b""}).files[0].to_json()
    del files["chunks"]
    data = write_document({**make_manifest().head(), "files": [files]})
    assert read_held(data, ID).files == {"new_SAEHD_data.dat": (0, ())}
    assert Manifest.parse(data, ID).files[0].chunks == ()
