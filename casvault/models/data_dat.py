"""DeepFaceLab's own records of a model, read without running anything: ``data.dat`` and ``summary.txt``.

``data.dat`` is a pickle of one dict: ``iter`` (int), ``options`` (dict), ``loss_history`` (a row of floats
per iteration), and previews, which are of no interest here. Nothing in it is trusted: it may come from anybody.
"""

from __future__ import annotations

import math
import re
from typing import Any

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats import FloatRows, float_rows, load_plain
from casvault.models.losses import LOSS_WINDOW, loss_names, told
from casvault.models.model import History, Scalar, State

__all__ = ["LOSS_WINDOW", "read_history", "read_state", "summary_iteration"]

_MAX_INT = 1 << 63
_MAX_OPTIONS = 200
_MAX_TEXT = 1000
_MAX_ITEMS = 20
_MAX_COLUMNS = 100
_SUMMARY_HEAD = 64 << 10
_ITERATION = re.compile(rb"^[ \t=]*Current iteration:[ \t]*([0-9]{1,18})(?=[\s=])", re.MULTILINE)


def read_state(source: ByteSource) -> State:
    """Return what a ``data.dat`` says; whatever cannot be read is None, with a problem told."""
    data, problem = _load(source)
    if data is None:
        return State(problems=(problem,))
    problems = []
    iteration = _iteration(data)
    if iteration is None:
        problems.append("data.dat does not tell the iteration.")
    rows, problem = _rows(data)
    problems += [problem] if problem else []
    loss, last, more = _losses(rows)
    best, doubts = told(rows, iteration) if loss is not None and rows is not None else (None, ())
    return State(iteration, loss, last, _options(data.get("options")), (*problems, *more), best, doubts)


def read_history(source: ByteSource) -> History:
    """Return the loss history of a ``data.dat``, or why there is none."""
    data, problem = _load(source)
    rows, unreadable = _rows(data) if data is not None else (None, problem)
    iteration = _iteration(data) if data is not None else None
    if rows is None or len(rows) == 0:
        return History(iteration, reason=unreadable or "The loss history in data.dat is empty.")
    if rows.columns > _MAX_COLUMNS:
        return History(iteration, reason=_too_wide(rows.columns))
    return History(iteration, rows)


def summary_iteration(source: ByteSource) -> int | None:
    """Return the "Current iteration" of a ``summary.txt``; None when it tells none."""
    found = _ITERATION.search(source.read_at(0, _SUMMARY_HEAD))
    return None if found is None else int(found[1])


def _load(source: ByteSource) -> tuple[dict[Any, Any] | None, str]:
    """Return the dict, or None and a sentence that says what is wrong with it."""
    try:
        data = load_plain(source)
    except (FormatError, OSError) as error:
        return None, f"data.dat cannot be read: {_sentence(error)}."
    return (data, "") if isinstance(data, dict) else (None, "data.dat cannot be read: it is not a dictionary.")


def _iteration(data: dict[Any, Any]) -> int | None:
    iteration = data.get("iter")
    return iteration if type(iteration) is int and 0 <= iteration < _MAX_INT else None


def _rows(data: dict[Any, Any]) -> tuple[FloatRows | None, str]:
    """Return the loss history, None where there is none, with a sentence where it cannot be read."""
    if data.get("loss_history") is None:
        return None, ""
    try:
        return float_rows(data["loss_history"]), ""
    except FormatError as error:
        return None, f"the loss history in data.dat cannot be read: {_sentence(error)}."


def _too_wide(columns: int) -> str:
    return f"the loss history in data.dat has {columns} columns, which no trainer writes."


def _losses(
    rows: FloatRows | None,
) -> tuple[dict[str, float | None] | None, dict[str, float | None] | None, list[str]]:
    """Return the mean losses, the last ones, and what is wrong with them."""
    if rows is None or len(rows) == 0 or rows.columns == 0:
        return None, None, []
    width = rows.columns
    if width > _MAX_COLUMNS:
        return None, None, [_too_wide(width)]
    window = min(LOSS_WINDOW, len(rows))
    mean: dict[str, float | None] = {}
    last: dict[str, float | None] = {}
    problems = []
    for column, name in enumerate(loss_names(width)):
        values = rows.values[(len(rows) - window) * width + column :: width]
        mean[name] = _finite(sum(values) / window)
        last[name] = _finite(values[-1])
        if mean[name] is None:
            problems.append(f"the loss {name!r} is not a finite number within the last {window} iterations.")
    return mean, last, problems


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _options(value: object) -> dict[str, Scalar] | None:
    """Return the options that are plain, and no more of them than a manifest should carry."""
    if not isinstance(value, dict):
        return None
    kept: dict[str, Scalar] = {}
    for key, item in value.items():
        plain = _scalar(item)
        if isinstance(key, str) and plain is not None and len(kept) < _MAX_OPTIONS:
            kept[_text(key)] = plain
    return kept


def _scalar(value: object) -> Scalar | None:
    """Return an option as JSON can hold it: lists of scalars as text, None for what has no plain form."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MAX_INT <= value < _MAX_INT else None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple) and len(value) <= _MAX_ITEMS:
        items = [None if isinstance(item, list | tuple) else _scalar(item) for item in value]
        return None if None in items else _text(", ".join(map(str, items)))
    return None


def _text(value: str) -> str:
    # a pickle can hold lone surrogates, which no UTF-8 document can
    return value[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def _sentence(error: BaseException) -> str:
    return _text(str(error)[:200]).rstrip(". ") or type(error).__name__
