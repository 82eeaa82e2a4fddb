"""A panel and a client of it, for tests: the application as it is served, guard included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.routing import Route
from starlette.testclient import TestClient

from casvault.panel.app import make_app, make_panel
from casvault.panel.desk import Desk
from casvault.panel.guard import Guard
from casvault.panel.jobs import Job
from casvault.panel.panel import Panel

__all__ = ["ORIGIN", "PORT", "Opened", "guarded", "opened"]

PORT = 8577
ORIGIN = f"http://127.0.0.1:{PORT}"


@dataclass
class Opened:
    """A panel that is served, and a client that has its key, as a browser at its own page would send requests."""

    panel: Panel
    client: TestClient

    def send(self, path: str, body: object = None, method: str = "POST") -> Any:
        """Send JSON; return the response."""
        return self.client.request(method, path, json={} if body is None else body)

    def wait(self, id: str) -> Job:
        """Return a job when it has ended."""
        for thread in self.panel.jobs.threads():
            thread.join()
        return self.panel.jobs.get(id)

    def panel_routes(self) -> list[Route]:
        """Return the routes that are served."""
        return [route for route in make_app(self.panel).routes if isinstance(route, Route)]

    def model(self) -> str:
        """Return the key of the only model."""
        (key,) = self.panel.desk.models()
        return key


def guarded(panel: Panel) -> Guard:
    """Return the application of a panel, behind its guard."""
    return Guard(make_app(panel), panel.door, ["127.0.0.1", "localhost", "::1"], PORT)


@contextmanager
def opened(vault: Path, near: Path | None = None) -> Iterator[Opened]:
    """Give a panel of the vault at ``vault``, there or not, opened as by its address; models are looked for in
    ``near``, by default beside the vault.
    """
    panel = make_panel(Desk(vault, near or vault.parent))
    with TestClient(guarded(panel), base_url=ORIGIN, headers={"Origin": ORIGIN}) as client:
        assert client.get("/", params={"token": panel.door.token()}, follow_redirects=False).status_code == 303
        yield Opened(panel, client)
