"""The sheet of faces, and what counts as a picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.errors import FormatError
from casvault.files.source import MemorySource
from casvault.formats import Region
from casvault.formats.picture import MAX_PICTURE, Picture, picture_of
from casvault.formats.sheet import FACES, face_sheet
from tests.support.pictures import JPEG, faces, pixels_of


def batch(shape: tuple[int, ...], offset: int = 0, dtype: str = "float32") -> Region:
    return Region(f"b{offset}", offset, math.prod(shape) * 4, dtype, shape)


def test_faces_come_out_as_they_were_in_red_green_blue() -> None:
    one, two = faces(4, 64, 1), faces(4, 64, 2)
    source = MemorySource(b"ahead" + one.tobytes() + two.tobytes())
    png = face_sheet(source, [batch(one.shape, 5), batch(two.shape, 5 + one.nbytes)])
    assert png is not None
    seen = pixels_of(png)
    assert seen.shape == (64 + 2 + 64, 4 * 64 + 3 * 2, 3)
    for row, group in enumerate((one, two)):
        for column in range(4):
            wanted = (group[column] * np.float32(255)).astype(np.uint8)[:, :, ::-1]
            assert (seen[66 * row : 66 * row + 64, 66 * column : 66 * column + 64] == wanted).all()
    assert (seen[64:66] == 0).all()
    assert (seen[:, 64:66] == 0).all()
    assert (seen[:16, :16] == (0, 0, 255)).all()
    assert b"tEXtTitle\0Training samples" in png


def test_both_orders_of_axes_give_the_same_sheet() -> None:
    last = faces(4, 32)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    sheets = [face_sheet(MemorySource(made.tobytes()), [batch(made.shape)]) for made in (last, first)]
    assert sheets[0] == sheets[1]
    assert sheets[0] is not None


def test_large_faces_are_shrunk_by_the_mean_of_blocks() -> None:
    made = faces(1, 300)
    png = face_sheet(MemorySource(made.tobytes()), [batch(made.shape)])
    assert png is not None
    seen = pixels_of(png)
    levels = (made[0] * np.float32(255)).astype(np.uint8)
    assert seen.shape == (100, 100, 3)
    assert seen[7, 9, 2] == int(levels[21:24, 27:30, 0].astype(int).sum()) // 9


def test_numbers_that_are_no_colours_are_clipped() -> None:
    made = np.array([np.nan, np.inf, -np.inf, 7, -7, 0.5] * 32, "<f4").reshape(1, 8, 8, 3)
    png = face_sheet(MemorySource(made.tobytes()), [batch(made.shape)])
    assert png is not None
    assert pixels_of(png)[0, :2].tolist() == [[0, 255, 0], [127, 0, 255]]


def test_there_are_never_many_faces() -> None:
    made = faces(40, 16)
    many = [batch(made.shape)] * 9
    for count, size in ((1, (16, 70)), (2, (34, 70)), (3, (52, 34)), (9, (70, 34))):
        png = face_sheet(MemorySource(made.tobytes()), many[:count])
        assert png is not None
        assert pixels_of(png).shape[:2] == size
    assert FACES == 8


@pytest.mark.parametrize(
    "wrong",
    [
        batch((4, 64, 64, 1)),
        batch((64, 64, 3)),
        batch((1, 2000, 8, 3)),
        batch((1, 3, 8, 2000)),
        batch((1, 8, 8, 3), dtype="float64"),
        batch((3, 4, 5, 6)),
    ],
)
def test_what_holds_no_faces_gives_no_sheet(wrong: Region) -> None:
    assert face_sheet(MemorySource(bytes(1 << 20)), [wrong]) is None
    assert face_sheet(MemorySource(b""), []) is None


def test_a_source_that_ends_early() -> None:
    with pytest.raises(EOFError):
        face_sheet(MemorySource(bytes(100)), [batch((1, 8, 8, 3))])


@given(st.integers(1, 1024), st.integers(1, 1024), st.integers(1, 3))
def test_any_shape_that_is_allowed_can_be_drawn(height: int, width: int, count: int) -> None:
    shape = (count, height, width, 3)
    png = face_sheet(MemorySource(bytes(math.prod(shape) * 4)), [batch(shape)])
    assert png is not None
    seen = pixels_of(png)
    assert max(seen.shape[0], (seen.shape[1] + 2) // count - 2) <= 128


def test_pictures_are_known_by_their_first_bytes() -> None:
    assert picture_of(JPEG) == Picture(JPEG, "image/jpeg")
    png = face_sheet(MemorySource(bytes(192 * 4)), [batch((1, 8, 8, 3))])
    assert png is not None
    assert picture_of(png) == Picture(png, "image/png")
    for wrong in (b"", b"GIF89a", b"<svg/>", b"\x89PNG", JPEG[1:], b"\xff\xd8"):
        with pytest.raises(FormatError):
            picture_of(wrong)


def test_half_a_picture_and_a_huge_one() -> None:
    for cut in (1, 2, 500):
        assert picture_of(JPEG[:-cut]) == Picture(JPEG[:-cut], "image/jpeg", whole=False)
    with pytest.raises(FormatError, match="16 MiB"):
        picture_of(JPEG + bytes(MAX_PICTURE))
