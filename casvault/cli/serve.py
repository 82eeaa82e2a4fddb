"""``casvault serve``."""

from __future__ import annotations

import sys

import click

from casvault.cli.options import open_vault
from casvault.errors import UsageError

__all__ = ["command"]


@click.command("serve")
@click.option("--stdio", is_flag=True, help="Answer on standard input and output.")
@click.pass_obj
def command(named: str | None, stdio: bool) -> None:
    """Answer the casvault at the other end of an SSH connection; nobody types this."""
    from casvault.cli.memory import keep_memory
    from casvault.sync import serve

    if not stdio or sys.stdin.isatty():
        raise UsageError("`casvault serve --stdio` is what `ssh` starts for push and pull; it answers no person.")
    keep_memory()
    serve(open_vault(named), sys.stdin.buffer, sys.stdout.buffer)
