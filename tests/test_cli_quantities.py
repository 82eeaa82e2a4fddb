"""Durations and sizes as people type them."""

from __future__ import annotations

import re
from datetime import timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.cli.quantities import DURATION, SIZE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        (" 3 d ", timedelta(days=3)),
        ("0d", timedelta()),
        ("999999w", timedelta(weeks=999_999)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert DURATION.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7y", "1.5d", "7dd", "7d 3h", "1000000d", "\u0667x", "7D"])
def test_no_durations(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration; say it as 90m, 12h, 7d or 2w"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", 500),
        ("500B", 500),
        ("1k", 1_000),
        ("1kB", 1_000),
        ("500MB", 500_000_000),
        ("20GB", 20_000_000_000),
        ("20gb", 20_000_000_000),
        ("20 G", 20_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("1KiB", 1_024),
        ("2GiB", 2 << 30),
        ("0", 0),
        ("0.1k", 100),
        ("123456789012345", 123_456_789_012_345),
        ("0.999B", 0),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert SIZE.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1,5GB", "20 bytes", "20PB", "1e9", "1.GB", "0x10", "1 i", "nan"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size; say it as 500MB, 20GB or"):
        SIZE.convert(text, None, None)


@given(st.integers(0, 999_999), st.sampled_from(["m", "h", "d", "w"]))
def test_every_duration_is_what_it_says(number: int, unit: str) -> None:
    length = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    assert DURATION.convert(f"{number}{unit}", None, None).total_seconds() == number * length


@given(st.text(max_size=8))
def test_any_text_is_a_quantity_or_one_sentence(text: str) -> None:
    for kind, form in ((DURATION, r"[0-9]+\s*[mhdw]"), (SIZE, r"[0-9.]+\s*([kKmMgGtT]i?)?[bB]?")):
        if re.fullmatch(form, text.strip(), re.IGNORECASE if kind is SIZE else 0) is None:
            with pytest.raises(click.BadParameter, match="say it as"):
                kind.convert(text, None, None)


def test_what_is_one_already_is_kept() -> None:
    assert DURATION.convert(timedelta(1), None, None) == timedelta(1)
    assert SIZE.convert(7, None, None) == 7
