"""Durations, sizes and shares as people type them: 7d, 12h, 20GB, 5%."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import click

__all__ = ["DURATION", "SHARE", "SIZE"]

_DURATION = re.compile(r"([0-9]{1,6})\s*(m|h|d|w)")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*((?:[kMGT]i?)?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class _Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no duration; say it as 90m, 12h, 7d or 2w.", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class _Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; say it as 500MB, 20GB or 1.5TB.", param, ctx)
        unit = match[2].lower()
        return int(Decimal(match[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.rstrip("i")])


class _Share(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _SHARE.fullmatch(str(value).strip())
        if match is None or not 0 < float(match[1]) <= 100:
            self.fail(f"{value!r} is no part of a whole; say it as 5% or 0.5%.", param, ctx)
        return float(match[1]) / 100


DURATION = _Duration()
SHARE = _Share()
SIZE = _Size()
