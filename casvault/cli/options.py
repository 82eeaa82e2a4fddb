"""What commands share: options, opening the vault, asking, printing JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from casvault.cli.text import plain
from casvault.errors import Cancelled, NoVault, UsageError

if TYPE_CHECKING:
    from casvault.api import Vault
    from casvault.progress import Progress

__all__ = ["ask", "common", "make_progress", "open_vault", "print_json", "remote_named", "say", "vault_path"]

JSON_VERSION = 1
F = TypeVar("F", bound=Callable[..., Any])


def common(function: F) -> F:
    """Add the options that every command has."""
    function = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="Print only what was asked for, and errors.")(function)


def remote_named() -> str | None:
    """Return what was named with --remote before the command."""
    named: str | None = click.get_current_context().find_root().params.get("remote")
    return named


def vault_path(named: str | None, model: str | None = None, fallback: str | None = None) -> Path:
    """Return where the vault is: as named, by the model, from the working directory, above ``fallback``; raises
    NoVault.
    """
    from casvault.vault.locate import find_vault

    if named:
        return Path(named).absolute()
    try:
        return find_vault(Path(model) if model else None, Path.cwd())
    except NoVault:
        if fallback is None:
            raise
        return find_vault(Path(fallback), Path.cwd())


def open_vault(
    named: str | None, model: str | None = None, *, fallback: str | None = None, offer: bool = False
) -> Vault:
    """Open the vault and finish restores that were interrupted; with ``offer`` make one, if the terminal's user
    agrees.
    """
    from casvault import api

    try:
        vault = api.open(vault_path(named, model, fallback))
        for sentence in vault.finish_interrupted():
            say(f"Note: {plain(sentence)}", err=True)
        return vault
    except NoVault as error:
        if not offer or not _interactive() or type(error) is not NoVault:
            raise
        place = _new_place(named, model)
        if (place / "vault.json").exists() or not click.confirm(
            f"There is no vault yet. Make one at {place}?", default=True, err=True
        ):
            raise
        return api.init(place)


def _new_place(named: str | None, model: str | None) -> Path:
    from casvault.vault.locate import place_for_vault

    return Path(named).absolute() if named else place_for_vault(Path.cwd(), Path(model) if model else None)


def ask(question: str, yes: bool) -> None:
    """Ask and go on, or stop; without a terminal the question counts as refused."""
    if yes:
        return
    if not _interactive():
        raise UsageError(f"{question} There is no terminal to ask on; -y says yes.")
    if not click.confirm(question, err=True):
        raise Cancelled("nothing was changed.")


def make_progress(quiet: bool) -> Progress:
    """Return a progress that draws on stderr where that is a terminal, else a silent one.

    What asks for one is about to move many bytes: the process is told to keep its memory.
    """
    from casvault.cli.memory import keep_memory
    from casvault.progress import Progress

    keep_memory()
    if quiet or not sys.stderr.isatty():
        return Progress()
    from casvault.cli.bar import BarProgress

    return BarProgress()


def print_json(document: dict[str, Any]) -> None:
    """Print one document on stdout, in ASCII: it parses whatever the encoding, and steers no terminal."""
    click.echo(json.dumps({"version": JSON_VERSION, **document}, allow_nan=False))


def say(text: str, *, quiet: bool = False, err: bool = False) -> None:
    """Print text unless ``quiet``."""
    if not quiet:
        click.echo(text, err=err)


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
