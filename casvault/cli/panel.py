"""``casvault panel``."""

from __future__ import annotations

import os
import sys
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import click

from casvault.cli.options import common, print_json, say
from casvault.cli.text import plain
from casvault.errors import UsageError

__all__ = ["command"]


@click.command("panel")
@click.option("--model", metavar="MODEL", help="The model to show first, and whose vault to open.")
@click.option("--host", default="127.0.0.1", metavar="HOST", help="Where to listen: 127.0.0.1, this machine alone.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="The port, 0 for any; else 8577, or any.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@common
@click.pass_obj
def command(
    named: str | None, model: str | None, host: str, port: int | None, no_browser: bool, as_json: bool, quiet: bool
) -> None:
    """Show the vault and its models in a browser, until it is stopped.

    It prints an address that opens once. Only this machine can reach it; from elsewhere use a tunnel of SSH.
    """
    missing = [name for name in ("jinja2", "msgspec", "starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise UsageError(f"the panel needs {', '.join(missing)}: install 'casvault[panel]' in place of casvault.")
    from casvault.panel.desk import desk_for
    from casvault.panel.serve import bind, serve

    desk = desk_for(named, Path.cwd(), model)
    for sentence in desk.finish_interrupted():
        say(f"Note: {plain(sentence)}", err=True)
    address = bind(host, port)
    if not address.lonely:
        say(
            f"Warning: the panel listens at {host}, unencrypted: whoever can read that network can read the address "
            "and do all that you can do here. A tunnel of SSH is safer.",
            err=True,
        )

    def opened(url: str) -> None:
        print_json({"url": url}) if as_json else say(url)
        if not no_browser and _has_screen():
            # In a thread: some browsers are waited for, and the panel has to answer them.
            Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    serve(desk, address, opened, renewed=lambda url: say(f"A new address: {url}", err=True))


def _has_screen() -> bool:
    """Tell whether a browser could show itself; one in the terminal would write over the address."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
