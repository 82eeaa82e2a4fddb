"""``casvault panel``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from casvault.cli.options import common, say
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
        raise UsageError(f"the panel needs {', '.join(missing)}: `pip install 'casvault[panel]'` brings it.")
    import webbrowser

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
        print_url(url, as_json)
        if not no_browser:
            webbrowser.open(url)

    serve(desk, address, opened, renewed=lambda url: say(f"A new address: {url}", err=True))


def print_url(url: str, as_json: bool) -> None:
    """Print the address of the panel, and nothing else, on stdout."""
    from casvault.cli.options import print_json

    print_json({"url": url}) if as_json else say(url)
