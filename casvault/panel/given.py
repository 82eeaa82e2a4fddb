"""What a request brings: its JSON, or its query, as a value of a declared type.

Owns the promise that what is not exactly of that type is refused with a sentence before anything is done.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from casvault.errors import UsageError

__all__ = ["Given", "parse_body", "parse_query", "takes"]

T = TypeVar("T")


class Given(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all that a request may bring; members that are not declared are refused."""


def takes(kind: type[T]) -> Callable[[Callable[[Request, T], Response]], Callable[[Request], Awaitable[Response]]]:
    """Make an endpoint of a page that gets what its form holds, as ``kind``, and works in a thread.

    Forms know only texts: "5" is also a number, "true" and "on" are also a truth, one value is also a list, and no text
    is no number.
    """

    def decorate(handler: Callable[[Request, T], Response]) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(handler)
        async def endpoint(request: Request) -> Response:
            given = parse_body(await request.body(), kind, lax=True)
            return await run_in_threadpool(handler, request, given)

        return endpoint

    return decorate


def parse_body(data: bytes, kind: type[T], *, lax: bool = False) -> T:
    """Return a body as a value of ``kind``; raises UsageError."""
    try:
        if not lax:
            return msgspec.json.decode(data or b"{}", type=kind)
        values = msgspec.json.decode(data or b"{}", type=dict[str, Any])
        return msgspec.convert(_of_form(values, kind), kind, strict=False)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(f"the request does not make sense: {_sentence(error)}.") from None


def parse_query(values: dict[str, str], kind: type[T]) -> T:
    """Return a query as a value of ``kind``, in which numbers and truths are written as texts; raises UsageError."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise UsageError(f"the address does not make sense: {_sentence(error)}.") from None


def _of_form(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return the values of a form as declared: a list where one is wanted, a truth for a box that is ticked."""
    declared = {field.name: field.type for field in msgspec.structs.fields(kind)}
    made: dict[str, Any] = {}
    for name, value in values.items():
        wanted = str(declared.get(name, ""))
        if value == "" and name in declared and "str" not in wanted:
            # A field that was left empty says nothing.
            continue
        if value == "on" and "bool" in wanted:
            made[name] = True
        elif ("list" in wanted or "tuple" in wanted) and not isinstance(value, list):
            made[name] = [value]
        else:
            made[name] = value
    return made


def _sentence(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:300].rstrip(".")
