"""A browser at a panel: the real server in a thread of its own, and pages in headless Chromium.

Chromium is Debian's, or another that is there; without one the tests that need it are skipped. `Browsing` keeps one
browser for all tests of a module, and gives each a panel and a page of its own.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from casvault.panel.app import make_app, make_panel
from casvault.panel.desk import Desk
from casvault.panel.guard import Door, Guard
from casvault.panel.panel import Panel
from casvault.panel.serve import bind

__all__ = ["Browsing", "Visit", "chromium", "served"]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_PATIENCE = 20_000
"""Milliseconds that a page has to show what is waited for; much, since tests run beside many others."""


def chromium() -> str:
    """Return the program; skips the test where there is none, or nothing that drives it."""
    pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
    found = os.environ.get("CASVAULT_CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return found


@contextmanager
def served(vault: Path, near: Path | None = None) -> Iterator[tuple[Panel, str]]:
    """Serve a panel of the vault at ``vault``, there or not, at a port of its own; give it and its address."""
    address = bind("127.0.0.1", 0)
    # Who comes before the server is up waits for it.
    address.listener.listen(16)
    door = Door()
    panel = make_panel(Desk(vault, near or vault.parent), door)
    guard = Guard(make_app(panel), door, ["127.0.0.1"], address.port)
    server = uvicorn.Server(uvicorn.Config(guard, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [address.listener]}, name="panel")
    thread.start()
    try:
        yield panel, address.url(door.token())
    finally:
        panel.hub.close()
        server.should_exit = True
        thread.join()


class Visit:
    """A page at a panel. ``complaints`` are errors that the page or the browser had, such as a refused script."""

    def __init__(self, panel: Panel, page: Any) -> None:
        self.panel = panel
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        # That a request was answered with an error is told by the page itself.
        answered = ("Failed to load resource", "Response Status Error Code")
        if message.type == "error" and not any(text in message.text for text in answered):
            self.complaints.append(message.text)

    def card(self, title: str) -> Any:
        """Return the card of the snapshot with this title."""
        return self.page.locator(f".card[data-title={_quoted(title)}]")

    def dialog(self) -> Any:
        """Return the open dialog."""
        return self.page.locator("#dialog[open]")

    def note(self, text: str) -> Any:
        """Return the note in the corner that says this."""
        return self.page.locator("#notes .toast", has_text=text)


class Browsing:
    """One browser for many tests."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def visit(
        self,
        vault: Path,
        near: Path | None = None,
        *,
        size: tuple[int, int] = (1280, 900),
        dark: bool = False,
        phone: bool = False,
        scale: int = 1,
    ) -> Iterator[Visit]:
        """Open a panel of the vault at ``vault`` in a window of its own; at the end nothing must have gone wrong."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            is_mobile=phone,
            has_touch=phone,
            device_scale_factor=scale,
            reduced_motion="reduce",
        )
        context.set_default_timeout(_PATIENCE)
        try:
            with served(vault, near) as (panel, url):
                page = context.new_page()
                visit = Visit(panel, page)
                page.goto(url)
                yield visit
                assert visit.complaints == [], visit.complaints
                page.close()
        finally:
            context.close()

    @classmethod
    @contextmanager
    def begun(cls) -> Iterator[Browsing]:
        """Begin a browser, and end it."""
        program = chromium()
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-dev-shm-usage"] if os.name != "nt" else []
            browser = playwright.chromium.launch(executable_path=program, args=arguments)
            try:
                yield cls(browser)
            finally:
                browser.close()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\a ")
    return f'"{escaped}"'
