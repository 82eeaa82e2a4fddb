"""Chunks are the file, tensors are cut at the same places wherever they lie, the rest by its content."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from casvault.chunking.chunks import Chunk, cut
from casvault.chunking.parameters import ChunkingParameters
from casvault.digest import digest_of
from casvault.files.source import MemorySource
from casvault.formats.region import ITEM_SIZES, Region

SMALL = ChunkingParameters(max_chunk=8192, min_region=2048, cdc_min=1024, cdc_average=2048, cdc_max=4096)


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


def region(offset: int, shape: tuple[int, ...], dtype: str = "float32", name: str = "t") -> Region:
    size = ITEM_SIZES[dtype]
    for number in shape:
        size *= number
    return Region(name, offset, size, dtype, shape)


def chunks(data: bytes, regions: Sequence[Region] = (), parameters: ChunkingParameters = SMALL) -> list[Chunk]:
    return list(cut(MemorySource(data), regions, parameters))


def check(data: bytes, regions: Sequence[Region], parameters: ChunkingParameters = SMALL) -> list[Chunk]:
    """Check what holds for every file, and return its chunks."""
    made = chunks(data, regions, parameters)
    position = 0
    for chunk in made:
        assert chunk.offset == position
        assert 0 < len(chunk.data) <= parameters.max_chunk
        position += len(chunk.data)
    assert b"".join(chunk.data for chunk in made) == data
    return made


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[Region]]:
    position, regions = 0, []
    for number in range(draw(st.integers(0, 5))):
        position += draw(st.integers(0, 9000))
        shape = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
        made = region(position, shape, draw(st.sampled_from(sorted(ITEM_SIZES))), f"t{number}")
        regions.append(made)
        position = made.end
    return noise(position + draw(st.integers(0, 9000)), position), regions


@given(file=files())
def test_chunks_add_up(file: tuple[bytes, list[Region]]) -> None:
    data, regions = file
    made = check(data, regions)
    starts = {chunk.offset for chunk in made}
    for one in regions:
        if one.size >= SMALL.min_region:
            assert one.offset in starts
            assert one.end in starts | {len(data)}


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 4096, 4097, 16384, 16385, 100_000])
def test_lengths_without_structure(length: int) -> None:
    made = check(noise(length), [])
    assert (made == []) == (length == 0)
    assert all(chunk.layout == (0, 0) for chunk in made)
    assert all(len(chunk.data) <= SMALL.cdc_max for chunk in made)
    assert all(len(chunk.data) >= SMALL.cdc_min for chunk in made[:-1])


def test_tensors_are_cut_into_whole_rows() -> None:
    tensor = region(100, (50, 7, 90))
    data = noise(100 + tensor.size + 10)
    inside = [chunk for chunk in check(data, [tensor]) if 100 <= chunk.offset < tensor.end]
    assert [len(chunk.data) for chunk in inside] == [7920] * 15 + [tensor.size - 15 * 7920]
    assert 7920 == 8192 // (90 * 4) * (90 * 4)
    assert {chunk.layout for chunk in inside} == {(4, 90)}


def test_rows_that_are_too_long_are_cut_between_numbers() -> None:
    tensor = region(3, (2, 3001), "float64")
    data = noise(tensor.end)
    inside = check(data, [tensor])[1:]
    assert {chunk.layout for chunk in inside} == {(8, 0)}
    assert all(len(chunk.data) % 8 == 0 for chunk in inside)
    assert len(inside[0].data) == 8192


@pytest.mark.parametrize(
    ("dtype", "layout"),
    [("float16", (2, 64)), ("bfloat16", (2, 64)), ("int32", (4, 64)), ("float64", (8, 64)), ("uint8", (0, 0))],
)
def test_layouts(dtype: str, layout: tuple[int, int]) -> None:
    tensor = region(0, (100, 64), dtype)
    assert {chunk.layout for chunk in check(noise(tensor.size), [tensor])} == {layout}
    flat = region(0, (6400,), dtype)
    assert {chunk.layout for chunk in check(noise(flat.size), [flat])} == {(layout[0], 0)}


def test_small_tensors_are_bundled_with_their_neighbours() -> None:
    small = [region(offset, (20,), name=f"s{offset}") for offset in range(0, 800, 80)]
    large = region(800, (600,))
    data = noise(large.end + 50)
    assert [(chunk.offset, len(chunk.data)) for chunk in check(data, [*small, large])] == [
        (0, 800),
        (800, 2400),
        (3200, 50),
    ]


def test_a_tensor_is_cut_alike_wherever_it_lies() -> None:
    tensor = region(500, (40, 333))
    head, body, tail = noise(500, 1), noise(tensor.size, 2), noise(900, 3)
    before = {digest_of(chunk.data) for chunk in check(head + body + tail, [tensor]) if chunk.offset >= 500}
    for inserted in (1, 3, 22, 5000):
        moved = region(500 + inserted, (40, 333))
        made = check(noise(inserted, 4) + head + body + tail, [moved])
        after = {digest_of(chunk.data) for chunk in made if chunk.offset >= moved.offset}
        assert after == before


@pytest.mark.parametrize("inserted", [1, 7, 1000])
def test_content_defined_chunks_survive_an_insertion(inserted: int) -> None:
    data = noise(400_000)
    before = {digest_of(chunk.data) for chunk in check(data, [])}
    for place in (0, 123_456, 399_000):
        after = {digest_of(chunk.data) for chunk in check(data[:place] + noise(inserted, 9) + data[place:], [])}
        assert len(before - after) <= 6, "all but the chunks around the place stay"
    assert len(before) > 100


@pytest.mark.parametrize("length", [16_383, 16_384, 16_385, 20_481, 65_536, 333_333])
def test_windows_do_not_move_cuts(length: int) -> None:
    for data in (noise(length), bytes(length), b"ab" * (length // 2)):
        whole = FastCDC(avg_size=SMALL.cdc_average, min_size=SMALL.cdc_min, max_size=SMALL.cdc_max)
        assert [len(chunk.data) for chunk in chunks(data)] == [piece.length for piece in whole.cut_buf(data)]


def test_cuts_are_those_of_every_other_version() -> None:
    # Other cuts find no duplicates in a vault that is there already.
    lengths = [len(chunk.data) for chunk in chunks(noise(40_000))]
    assert lengths == [
        3155,
        2237,
        1307,
        3310,
        2868,
        3095,
        3168,
        2480,
        1955,
        1133,
        2444,
        1393,
        2232,
        2481,
        2731,
        1066,
        2392,
        553,
    ]


def test_everything_is_read_in_order_and_no_more_than_a_window_ahead() -> None:
    class Watched(MemorySource):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            self.reads: list[tuple[int, int]] = []

        def read_at(self, offset: int, length: int) -> bytes:
            self.reads.append((offset, length))
            return super().read_at(offset, length)

    tensor = region(50_000, (100, 90))
    source = Watched(noise(tensor.end + 30_000))
    for chunk in cut(source, [tensor], SMALL):
        assert source.reads[-1][0] <= chunk.offset
    assert source.reads == sorted(source.reads)
    assert max(length for _, length in source.reads) <= 4 * SMALL.cdc_max


class Ending(MemorySource):
    """A file that somebody cut short after it was opened."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._claimed = size

    @property
    def size(self) -> int:
        return self._claimed


@pytest.mark.parametrize("left", [0, 1, 499, 500, 501, 9000, 31_999, 39_999])
def test_a_file_that_ends_early(left: int) -> None:
    tensor = region(500, (100, 79))
    source = Ending(noise(left), 40_000)
    with pytest.raises(EOFError, match=f"at byte {left} instead of 40000"):
        list(cut(source, [tensor], SMALL))


GOOD = {"max_chunk": 8192, "min_region": 2048, "cdc_min": 1024, "cdc_average": 2048, "cdc_max": 4096}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"min_region": 1024},
        {"cdc_max": 8192},
        {"max_chunk": 16 << 20},
        {"max_chunk": 8191},
        {"cdc_min": 2048},
        {"cdc_average": 4096},
        {"cdc_min": 4096, "cdc_average": 4096},
        dict.fromkeys(GOOD, 1 << 20),
        {"max_chunk": 16 << 20, "cdc_max": 16 << 20, "cdc_average": 4 << 20},
    ],
)
def test_parameters_that_pass_can_be_used(change: dict[str, int]) -> None:
    parameters = ChunkingParameters.checked({**GOOD, **change})
    check(noise(70_000), [], parameters)


@pytest.mark.parametrize(
    "change",
    [
        {"max_chunk": 0},
        {"max_chunk": -1},
        {"max_chunk": (16 << 20) + 1},
        {"cdc_min": 1023},
        {"cdc_min": 3000},
        {"cdc_average": 5000},
        {"cdc_max": 8193},
        {"min_region": 8193},
        {"min_region": 0},
        {"cdc_min": True},
        {"max_chunk": 8192.0},
        {"max_chunk": "8192"},
        {"max_chunk": None},
        {"max_chunk": float("nan")},
        dict.fromkeys(GOOD, 2 << 20),
        {"max_chunk": 16 << 20, "cdc_max": 16 << 20, "cdc_average": 5 << 20},
    ],
)
def test_parameters_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ChunkingParameters.checked({**GOOD, **change})


@pytest.mark.parametrize("values", [None, [], "text", 5, {}, {"max_chunk": 8192}])
def test_parameters_of_another_kind(values: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        ChunkingParameters.checked(values)


def test_the_defaults_pass() -> None:
    defaults = ChunkingParameters()
    assert ChunkingParameters.checked(vars(defaults)) == defaults
