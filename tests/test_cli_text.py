"""Text for terminals."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from casvault.cli.text import age, iteration, losses, plain, size, table

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_200_000, "12.2 MB"),
        (99_949_999, "99.9 MB"),
        (99_950_000, "100 MB"),
        (312_400_000, "312 MB"),
        (5_000_000_000, "5.0 GB"),
        (1_500_000_000_000, "1.5 TB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-100, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400, "1 day ago"),
        (40 * 86_400, "1 month ago"),
        (800 * 86_400, "2 years ago"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_iterations_and_losses() -> None:
    assert iteration(None) == "-"
    assert iteration(1_234_567) == "Iter 1,234,567"
    assert losses({"src": 0.21339, "dst": None}) == "src 0.2134 dst ?"
    assert losses({}) == losses(None) == "-"
    assert losses({"a\x1b[31m": 1.0}) == "a?[31m 1.0000"


@pytest.mark.parametrize(
    "bad", ["\x1b", "\x00", "\x07", "\x7f", "\x9b", "\r", "\u202e", "\u2066", "\u200f", "\u200e", "\ud800"]
)
def test_what_could_steer_a_terminal_is_shown_as_a_question_mark(bad: str) -> None:
    assert plain(f"a{bad}b") == "a?b"


def test_plain_text_stays() -> None:
    text = "<script> Ünï 模型 \n\t✓"
    assert plain(text) == text


def test_tables_align_wide_and_combining_characters() -> None:
    rows = [("模型", "1", "x"), ("e\u0301", "22", "y"), ("abc", "3", "")]
    assert table(rows, right=(1,), indent=" ").split("\n") == [
        " 模型   1  x",
        " e\u0301     22  y",
        " abc    3",
    ]
    assert table([]) == ""
