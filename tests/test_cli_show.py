"""``casvault show``: that there is a picture, and getting it out of the vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import call
from tests.support.pictures import JPEG, jpeg, put
from tests.support.trainer import NAME, make_model


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_model(tmp_path / "workspace" / "model")
    assert call(tmp_path, "init").code == 0
    return tmp_path


def test_the_trainers_picture_is_told_and_written(home: Path) -> None:
    put(home / f"workspace/model/{NAME}_preview_SAEHD.jpg")
    assert call(home, "snapshot", "workspace/model", "--name", "a").code == 0
    shown = call(home, "show", "a")
    assert "Picture    made by the trainer, JPEG, 1 kB\n" in shown.out
    told = call(home, "show", "a", "--json").json()["preview"]
    assert (told["kind"], told["media_type"], told["size"]) == ("trainer", "image/jpeg", len(JPEG))
    done = call(home, "show", "a", "--preview", "out.jpg")
    assert (done.code, done.out) == (0, "Wrote the picture of 'a' (made by the trainer, JPEG, 1 kB) to out.jpg.\n")
    assert (home / "out.jpg").read_bytes() == JPEG


def test_nothing_is_replaced_without_asking(home: Path) -> None:
    named = put(home / "mine.jpg", jpeg(4))
    call(home, "snapshot", "workspace/model", "--name", "a", "--preview", named)
    out = put(home / "out.jpg", b"something else")
    refused = call(home, "show", "a", "--preview", out)
    assert refused.code == 2
    assert "is there already" in refused.err
    assert out.read_bytes() == b"something else"
    done = call(home, "show", "a", "--preview", out, "-y", "--json").json()
    assert done["written"] == str(out)
    assert done["preview"]["kind"] == "file"
    assert out.read_bytes() == jpeg(4)


def test_where_there_is_no_picture(home: Path) -> None:
    call(home, "snapshot", "workspace/model", "--name", "a")
    assert "Picture" not in call(home, "show", "a").out
    failed = call(home, "show", "a", "--preview", "out.jpg")
    assert (failed.code, failed.out) == (1, "")
    assert "has no picture" in failed.err
    assert not (home / "out.jpg").exists()


def test_a_place_that_cannot_be_written(home: Path) -> None:
    put(home / f"workspace/model/{NAME}_preview_SAEHD.jpg")
    call(home, "snapshot", "workspace/model", "--name", "a")
    assert call(home, "show", "a", "--preview", "workspace").code == 2
    assert call(home, "show", "a", "--preview", "nowhere/out.jpg").code == 1


def test_a_named_picture_that_is_none_is_a_warning(home: Path) -> None:
    done = call(home, "snapshot", "workspace/model", "--preview", "nothing.jpg")
    assert done.code == 0
    assert "Warning: the picture nothing.jpg is left out: No such file or directory." in done.err
