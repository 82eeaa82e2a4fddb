"""Every number of a tensor counts once, however the file is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.formats import Region
from casvault.health.survey import Survey
from casvault.numbers.facts import facts_of

DTYPES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "int64": 8, "uint8": 1}


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[Region], list[int]]:
    """Draw the bytes of a file, tensors in it with gaps between them, and where it is cut."""
    regions: list[Region] = []
    position = 0
    for number in range(draw(st.integers(0, 5))):
        position += draw(st.integers(0, 9))
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        count = draw(st.integers(1, 9))
        regions.append(Region(f"t{number}", position, count * DTYPES[dtype], dtype, (count,)))
        position += count * DTYPES[dtype]
    size = position + draw(st.integers(0, 9))
    raw = draw(st.lists(st.sampled_from([0, 0x7F, 0x80, 0xFF, 0x3C]), min_size=size, max_size=size))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, size - 1)), max_size=30)))
    return bytes(raw), regions, [cut for cut in cuts if cut < size]


@given(files())
def test_however_a_file_is_cut(file: tuple[bytes, list[Region], list[int]]) -> None:
    data, regions, cuts = file
    survey = Survey(regions)
    edges = [0, *cuts, len(data)]
    seen = [survey.look(start, data[start:stop]) for start, stop in pairwise(edges)]
    for parts in seen:
        survey.add(parts)
    wanted = [
        (region, facts_of(data[region.offset : region.end], region.dtype))
        for region in regions
        if "float" in region.dtype
    ]
    found = survey.found()
    assert [region for region, _ in found] == [region for region, _ in wanted]
    for (_, facts), (_, whole) in zip(found, wanted, strict=True):
        assert facts._replace(first=0) == whole._replace(first=0)


def test_squares_are_gathered_where_they_are_asked_for() -> None:
    values = np.arange(100, dtype="<f4")
    region = Region("t", 3, 400, "float32", (100,))
    data = b"abc" + values.tobytes()
    for squares, wanted in ((True, float((values.astype(float) ** 2).sum())), (False, 0.0)):
        survey = Survey([region], squares=squares)
        for start in range(0, len(data), 37):
            survey.add(survey.look(start, data[start : start + 37]))
        ((_, facts),) = survey.found()
        assert facts.squares == pytest.approx(wanted)
