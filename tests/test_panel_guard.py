"""The guard: what does not come from a page of the panel is refused before anything else sees it."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from casvault.panel.guard import MAX_BODY, Door, Guard
from tests.support.panel import ORIGIN, PORT

JSON = {"Content-Type": "application/json"}


class Behind:
    """What stands behind the guard: it notes each request that reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(f"{scope['method']} {scope['path']}")
        self.bodies.append((await receive()).get("body", b""))
        await PlainTextResponse("inside")(scope, receive, send)


class Gate:
    """A guard with something behind it, and a client that has no cookie jar of its own."""

    def __init__(self) -> None:
        self.behind = Behind()
        self.renewed: list[str] = []
        self.door = Door(self.renewed.append)
        guard = Guard(self.behind, self.door, ["127.0.0.1", "localhost", "::1"], PORT)
        self.client = TestClient(guard, base_url=ORIGIN)
        self.key = self.open(self.door.token())

    def open(self, token: str, **headers: str) -> str:
        answer = self.client.get("/", params={"token": token}, headers=headers, follow_redirects=False)
        cookie = SimpleCookie(answer.headers.get("set-cookie", ""))
        self.client.cookies.clear()
        return next((f"{name}={morsel.value}" for name, morsel in cookie.items()), "")

    def ask(self, method: str = "GET", path: str = "/x", *, key: str | None = None, **more: Any) -> int:
        headers = {"Cookie": self.key if key is None else key, **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **more).status_code


@pytest.fixture
def gate() -> Gate:
    made = Gate()
    made.behind.reached.clear()
    return made


def test_who_has_the_key_is_let_in(gate: Gate) -> None:
    assert gate.ask() == 200
    assert gate.ask("POST", headers={**JSON, "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}, content=b"{}") == 200
    # A program that is no browser sends no origin.
    assert gate.ask("POST", headers=JSON, content=b'{"a": 1}') == 200
    for host in ("localhost", "[::1]", "LOCALHOST"):
        own = f"{host}:{PORT}"
        assert gate.ask("POST", headers={**JSON, "Host": own, "Origin": f"http://{own}"}, content=b"{}") == 200
    assert gate.behind.bodies[2] == b'{"a": 1}'
    assert len(gate.behind.reached) == 6


HOSTS = [
    "evil.example",
    f"evil.example:{PORT}",
    f"127.0.0.1.evil.example:{PORT}",
    f"localhost.:{PORT}",
    "127.0.0.1",
    "127.0.0.1:80",
    f"127.0.0.1:{PORT}0",
    f"127.0.0.1:0{PORT}",
    f"127.1:{PORT}",
    f"2130706433:{PORT}",
    f"0.0.0.0:{PORT}",
    f"[::]:{PORT}",
    f"[::ffff:127.0.0.1]:{PORT}",
    f"user@127.0.0.1:{PORT}",
    f"127.0.0.1:{PORT}/x",
    f"127.0.0.1:{PORT}?",
    f" 127.0.0.1:{PORT} x",
    f"127.0.0.1:{PORT}, evil.example",
    "[::1",
    ":",
    "",
]


def test_another_host_is_refused(gate: Gate) -> None:
    token = gate.door.token()
    for host in HOSTS:
        assert gate.ask(headers={"Host": host}) == 421, host
        assert gate.ask(path=f"/?token={token}", headers={"Host": host}) == 421, host
        assert gate.ask("POST", headers={**JSON, "Host": host, "Origin": f"http://{host}"}, content=b"{}") == 421, host
    assert gate.behind.reached == []
    assert gate.open(token), "a refused request must not use a token up"


def test_two_hosts_or_none_are_refused(gate: Gate) -> None:
    sent: list[int] = []

    def scope(*hosts: bytes) -> Scope:
        headers = [(b"host", host) for host in hosts] + [(b"cookie", gate.key.encode())]
        return {"type": "http", "method": "GET", "path": "/x", "headers": headers, "query_string": b""}

    async def answered(*hosts: bytes) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message.get("status", 0))

        await Guard(gate.behind, gate.door, ["127.0.0.1"], PORT)(scope(*hosts), receive, send)

    import anyio

    own = f"127.0.0.1:{PORT}".encode()
    for hosts in ((), (own, own), (own, b"evil.example")):
        anyio.run(answered, *hosts)
    assert [status for status in sent if status] == [421] * 3
    assert gate.behind.reached == []


ORIGINS = [
    "http://evil.example",
    f"http://evil.example:{PORT}",
    "null",
    "",
    "http://127.0.0.1",
    f"http://127.0.0.1:{PORT}1",
    f"https://127.0.0.1:{PORT}",
    f"http://localhost:{PORT}",
    f"http://127.0.0.1:{PORT}.evil.example",
    f"http://127.0.0.1:{PORT}/",
]


def test_another_origin_is_refused(gate: Gate) -> None:
    for origin in ORIGINS:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            assert gate.ask(method, headers={**JSON, "Origin": origin}) == 403, (method, origin)
    for site in ("cross-site", "same-site", "nonsense"):
        assert gate.ask("POST", headers={**JSON, "Sec-Fetch-Site": site}, content=b"{}") == 403
        assert gate.ask(headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}) == 403
        framed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        assert gate.ask(headers=framed) == 403
    assert gate.behind.reached == []
    assert (
        gate.ask(headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        == 200
    )


def test_without_the_key_nothing_is_reached(gate: Gate) -> None:
    name = gate.key.partition("=")[0]
    for key in ("", name, f"{name}=", f"{name}=x", f"{name}={'a' * 43}", f'{name}=""', gate.key[:-1], f"x{gate.key}"):
        for path in ("/", "/x", "/events", "/static/panel.css", "/api/v1/snapshots", "/?token=x", "/?token="):
            assert gate.ask(path=path, key=key) == 401, (key, path)
        assert gate.ask("POST", headers={**JSON, "Origin": ORIGIN}, content=b"{}", key=key) == 401
    assert gate.behind.reached == []


def test_a_form_cannot_change_anything(gate: Gate) -> None:
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "")
    for kind in (*kinds, "text/plain; application/json", "application/jsonp", "application/json, text/plain"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert gate.ask(method, headers={"Content-Type": kind, "Origin": ORIGIN}, content=b"{}") == 415, kind
    assert gate.behind.reached == []
    assert gate.ask("POST", headers={"Content-Type": "Application/JSON; charset=utf-8"}, content=b"{}") == 200


def test_a_token_opens_once(gate: Gate) -> None:
    token = gate.door.token()
    answer = gate.client.get("/", params={"token": token}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    gate.client.cookies.clear()
    assert gate.open(token) == ""
    assert gate.ask(path=f"/?token={token}", key="") == 401
    # The owner sees a new one in the terminal, once for each that was used twice.
    assert len(gate.renewed) == 1
    assert gate.open(gate.renewed[0])
    assert gate.behind.reached == []


def test_a_token_that_was_used_does_not_shut_out_who_has_the_key(gate: Gate) -> None:
    token = gate.door.token()
    key = gate.open(token)
    assert gate.ask(path=f"/?token={token}", key=key) == 303
    assert gate.ask(path="/", key=key) == 200


def test_a_token_is_for_opening_only(gate: Gate) -> None:
    token = gate.door.token()
    assert gate.ask("POST", f"/?token={token}", key="", headers=JSON, content=b"{}") == 401
    assert gate.ask("HEAD", f"/?token={token}", key="") == 401
    assert gate.ask(path=f"/x?token={token}", key="") == 401
    assert gate.ask(path=f"/?x=1&token={token}", key="") == 303


def test_a_link_from_elsewhere_is_sent_on_by_a_page_of_our_own(gate: Gate) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = gate.client.get("/", params={"token": gate.door.token()}, headers=headers, follow_redirects=False)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/"' in answer.text
    assert "set-cookie" in answer.headers


def test_bodies_are_bounded(gate: Gate) -> None:
    assert gate.ask("POST", headers=JSON, content=bytes(MAX_BODY + 1)) == 413

    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 65536 + 2):
            yield bytes(65536)

    assert gate.ask("POST", headers=JSON, content=endless()) == 413
    for length in ("-1", "1e3", "\uff19", "x", "9" * 500):
        assert gate.ask("POST", headers={**JSON, "Content-Length": length.encode()}) == 413
    assert gate.behind.reached == []
    assert gate.ask("POST", headers=JSON, content=bytes(MAX_BODY)) == 200
    assert len(gate.behind.bodies[-1]) == MAX_BODY


def test_other_methods_are_refused(gate: Gate) -> None:
    for method in ("OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        assert gate.ask(method) == 405, method
    assert gate.behind.reached == []


def test_every_answer_forbids_what_pages_do_not_need(gate: Gate) -> None:
    for key in (gate.key, ""):
        answer = gate.client.get("/x", headers={"Cookie": key})
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


def test_a_panel_for_a_network_answers_to_numbers_but_not_to_names(gate: Gate) -> None:
    guard = Guard(gate.behind, gate.door, ["box"], PORT, any_address=True)
    client = TestClient(guard, headers={"Cookie": gate.key})
    for host, status in (
        (f"10.0.0.7:{PORT}", 200),
        (f"[fe80::1]:{PORT}", 200),
        (f"box:{PORT}", 200),
        (f"evil:{PORT}", 421),
    ):
        assert client.get("/x", headers={"Host": host}).status_code == status


def test_a_websocket_is_refused(gate: Gate) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), gate.client.websocket_connect("/events", headers={"Cookie": gate.key}):
        pass
    assert gate.behind.reached == []
