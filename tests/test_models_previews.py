"""Where a trainer's pictures are, which is taken, and what is never read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from casvault.errors import FormatError
from casvault.files import shared_open
from casvault.formats import Region
from casvault.formats.picture import MAX_PICTURE
from casvault.models import DeepFaceLab, Generic
from casvault.models.previews import face_batches, load_picture, trainer_pictures
from tests.support.pictures import JPEG, jpeg, put

NAME = "new_SAEHD"
NOW = 1_764_000_000
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def at(path: Path, moment: int) -> Path:
    put(path)
    os.utime(path, (moment, moment))
    return path


def found(folder: Path, copied: bool = False) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in trainer_pictures(folder, NAME, copied)]


def test_the_shortest_view_of_the_newest_moment(tmp_path: Path) -> None:
    at(tmp_path / f"{NAME}_preview_SAEHD masked.jpg", NOW + 1)
    at(tmp_path / f"{NAME}_preview_SAEHD.jpg", NOW)
    at(tmp_path / f"{NAME}_preview_old view.jpg", NOW - 3600)
    at(tmp_path / f"{NAME}_preview_older view.jpg", NOW - 7200)
    assert found(tmp_path) == [
        f"{NAME}_preview_SAEHD.jpg",
        f"{NAME}_preview_SAEHD masked.jpg",
        f"{NAME}_preview_old view.jpg",
        f"{NAME}_preview_older view.jpg",
    ]


def test_the_last_picture_of_the_history(tmp_path: Path) -> None:
    at(tmp_path / f"{NAME}_history/SAEHD masked/_last.jpg", NOW)
    at(tmp_path / f"{NAME}_history/SAEHD/_last.jpg", NOW)
    at(tmp_path / f"{NAME}_history/SAEHD/0001000.jpg", NOW + 9)
    assert found(tmp_path) == [f"{NAME}_history/SAEHD/_last.jpg", f"{NAME}_history/SAEHD masked/_last.jpg"]
    at(tmp_path / f"{NAME}_preview_SAEHD.jpg", NOW + 30)
    assert found(tmp_path)[0] == f"{NAME}_preview_SAEHD.jpg"
    at(tmp_path / f"{NAME}_history/SAEHD/_last.jpg", NOW + 3600)
    assert found(tmp_path)[0] == f"{NAME}_history/SAEHD/_last.jpg"


def test_pictures_of_others_are_not_taken(tmp_path: Path) -> None:
    for name in (
        "new_big_SAEHD_preview_SAEHD.jpg",
        "other_SAEHD_preview_SAEHD.jpg",
        f"{NAME}_preview_notes.txt",
        f".{NAME}_preview_SAEHD.jpg",
        f"{NAME}.jpg",
        "preview_SAEHD.jpg",
    ):
        put(tmp_path / name)
    put(tmp_path / "other_SAEHD_history/SAEHD/_last.jpg")
    assert found(tmp_path) == []
    assert found(tmp_path, copied=True) == ["preview_SAEHD.jpg"]
    assert found(tmp_path / "nothing") == []
    assert Generic().pictures(tmp_path, NAME) == []
    assert [path.name for path in DeepFaceLab().pictures(tmp_path, "other_SAEHD")] == [
        "other_SAEHD_preview_SAEHD.jpg",
        "_last.jpg",
    ]


def region(name: str, shape: tuple[int, ...], offset: int = 0) -> Region:
    return Region(name, offset, 4, "float32", shape)


def test_the_face_to_be_learned_of_each_generator() -> None:
    one, two = (4, 64, 64, 3), (4, 3, 64, 64)
    regions = [
        region("sample_for_preview/0/0", one, 0),
        region("sample_for_preview/0/1", one, 1),
        region("sample_for_preview/0/2", (4, 64, 64, 1), 2),
        region("sample_for_preview/10/0", two, 5),
        region("sample_for_preview/2/0", two, 3),
        region("sample_for_preview/2/1", (4, 1, 64, 64), 4),
        region("sample_for_preview/3/0", (3,), 6),
        region("other/0/0", one, 7),
    ]
    assert [one.name for one in face_batches(regions)] == [
        "sample_for_preview/0/1",
        "sample_for_preview/2/0",
        "sample_for_preview/10/0",
    ]
    assert DeepFaceLab().faces("data.dat", regions) == face_batches(regions)
    assert DeepFaceLab().faces("encoder.npy", regions) == []
    assert Generic().faces("data.dat", regions) == []


def test_no_more_of_a_file_is_read_than_a_picture_may_have(tmp_path: Path) -> None:
    assert load_picture(put(tmp_path / "a.jpg", jpeg(3))).data == jpeg(3)
    huge = tmp_path / "huge.jpg"
    with open(huge, "wb") as file:
        file.write(JPEG)
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match="16 MiB"):
        load_picture(huge)
    assert load_picture(put(tmp_path / "most.jpg", JPEG + bytes(MAX_PICTURE - len(JPEG)))).media_type == "image/jpeg"


@posix
def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    put(tmp_path / "real.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real.jpg")
    for name in ("fifo.jpg", "link.jpg", "none.jpg"):
        with pytest.raises(OSError, match=r".+"):
            load_picture(tmp_path / name)


def test_a_picture_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.jpg")
    opened = shared_open.open_shared

    def grown(path: Path) -> int:
        descriptor = opened(path)
        read = os.fstat

        def longer(one: int) -> os.stat_result:
            status = read(one)
            with open(path, "ab") as file:
                file.write(b"more")
            return status

        monkeypatch.setattr("casvault.models.previews.os.fstat", longer)
        return descriptor

    monkeypatch.setattr("casvault.models.previews.open_shared", grown)
    with pytest.raises(FormatError, match="being written"):
        load_picture(path)
