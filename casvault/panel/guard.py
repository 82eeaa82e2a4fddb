"""The guard: what stands before every route, and lets nothing by that does not come from a page of this panel.

Owns the promises that a request for another host, from another page, without the key, or of a kind that a form could
send is refused before anything else looks at it, and that every answer forbids what the pages do not need.

The address that the panel prints holds a token. It opens the door once: whoever comes with it first gets a cookie, the
key, and is sent on to the address without it.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MAX_BODY", "Door", "Guard"]

MAX_BODY = 2 << 20
"""Bytes that a request may bring: notes of 100,000 characters, however they are written in JSON."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST", "PUT", "PATCH", "DELETE")
_ON = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>casvault</title>'


class Door:
    """Tokens, each good for one opening, and the keys that were given for them.

    ``renew`` is called with a new token when somebody comes with one that was used already, at most a few times.
    """

    def __init__(self, renew: Callable[[str], None] = lambda token: None) -> None:
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._used: list[str] = []
        self._keys: set[str] = set()
        self._renew = renew

    def token(self) -> str:
        """Return a new token."""
        with self._lock:
            made = secrets.token_urlsafe(32)
            self._tokens.add(made)
            return made

    def open(self, token: str) -> str | None:
        """Return a key for a token, which is used up by that; None for one that is not known or was used."""
        with self._lock:
            match = _known(token, self._tokens)
            if match is not None:
                self._tokens.discard(match)
                self._used = [*self._used[-63:], match]
                key = secrets.token_urlsafe(32)
                self._keys.add(key)
                return key
            stale = _known(token, self._used)
            if stale is not None:
                self._used.remove(stale)
        if stale is not None:
            self._renew(self.token())
        return None

    def admits(self, key: str) -> bool:
        """Tell whether ``key`` was given by this door."""
        with self._lock:
            return _known(key, self._keys) is not None


class Guard:
    """The outermost application: checks, then hands on to ``app``.

    ``names`` are the hosts that the panel answers to, ``port`` its port, ``any_address`` whether it answers to every
    numeric address too: names can be made to lead here by others, numbers cannot. ``cookie`` is what the key is called.
    """

    def __init__(self, app: ASGIApp, door: Door, names: Iterable[str], port: int, *, any_address: bool = False) -> None:
        self._app = app
        self._door = door
        self._names = {name.lower() for name in names}
        self._port = port
        self._any_address = any_address
        # Cookies know no ports: two panels on one machine must not take each other's key away.
        self.cookie = f"casvault_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and answer it or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            body = b"" if scope["method"] in _READING else await _body(receive)
            if body is not None:
                await self._app(scope, _Replayed(body, receive), sealed)
                return
            refusal = _too_much(scope)
        await refusal(scope, receive, sealed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not to be handed on."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            shown = " or ".join(_authority(name, self._port) for name in sorted(self._names))
            return _refuse(
                scope, 421, f"this panel answers to {shown} only; through a tunnel, use the same port at both ends."
            )
        method = scope["method"]
        if method not in _METHODS:
            return _refuse(scope, 405, f"the method {method[:20]} is not known here.")
        if "transfer-encoding" not in headers and len(headers.getlist("content-length")) > 1:
            return _refuse(scope, 400, "the request has two lengths.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or int(length[:20]) > MAX_BODY:
            return _too_much(scope)
        if method == "GET" and scope["path"] == "/":
            opened = self._opened(scope, headers)
            if opened is not None:
                return opened
        foreign = _foreign(method, headers, hosts[0])
        if foreign is not None:
            return _refuse(scope, 403, foreign)
        if not self._door.admits(self._key(headers)):
            return _refuse(
                scope,
                401,
                "open the panel by the address that `casvault panel` printed, token included; it opens once, "
                "and where it was used already the terminal shows a new one.",
            )
        if method not in _READING and _content_type(headers) != "application/json":
            return _refuse(scope, 415, "what changes something is sent as application/json.")
        return None

    def _opened(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to who comes with a token: the cookie, and the way on."""
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=8)) if _short(scope) else {}
        token = given.get("token")
        if token is None:
            return None
        key = self._door.open(token)
        if key is None:
            if self._door.admits(self._key(headers)):
                return RedirectResponse("/", 303)
            return None
        # From a link on another site the cookie would not be sent on a redirect, but it is from a page of our own.
        outside = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        answer: Response = HTMLResponse(_ON) if outside else RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, key, httponly=True, samesite="strict", path="/")
        return answer

    def _key(self, headers: Headers) -> str:
        return cookie_parser(headers.get("cookie", "")).get(self.cookie, "")

    def _is_own(self, host: str) -> bool:
        """Tell whether a Host header is exactly one of the panel's own."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if name is None or host.lower() != _authority(name, port):
            return False
        if (80 if port is None else port) != self._port:
            return False
        return name in self._names or (self._any_address and _is_address(name))


class _Replayed:
    """Gives a body that was read already, then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request, None where it is longer than is allowed, or was cut off."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        if sum(map(len, pieces)) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(pieces)


def _foreign(method: str, headers: Headers, host: str) -> str | None:
    """Say why a request comes from somewhere else; None where it does not."""
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "this came from a page that is not the panel's."
    if site in (None, "same-origin", "none"):
        return None
    if method == "GET" and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document":
        # Somebody followed a link to the panel; the answer is for them alone.
        return None
    return "this came from a page that is not the panel's."


def _refuse(scope: Scope, status: int, text: str) -> Response:
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": {"type": "Refused", "exit_code": 2, "message": text}}, status)
    return PlainTextResponse(f"casvault: {text}\n", status)


def _too_much(scope: Scope) -> Response:
    return _refuse(scope, 413, f"a request may bring {MAX_BODY:,} bytes at most.")


def _content_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _short(scope: Scope) -> bool:
    return len(scope["query_string"]) < 2000


def _known(given: str, among: Iterable[str]) -> str | None:
    """Return which one ``given`` is, in a time that tells nothing of how much of it was right."""
    data = given.encode("utf-8", "replace")
    found = [one for one in among if hmac.compare_digest(one.encode(), data)]
    return found[0] if found else None


def _authority(name: str, port: int | None) -> str:
    shown = f"[{name}]" if ":" in name else name
    return shown if port is None else f"{shown}:{port}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
