"""``casvault demo``."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import click

from casvault.cli.options import say
from casvault.errors import UsageError

__all__ = ["command"]


@click.command("demo")
@click.argument("folder", required=False)
def command(folder: str | None) -> None:
    """Make a small model, snapshot it three times, break it, bring it back; in FOLDER if one is named."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="casvault_demo_") as temporary:
            _play(Path(temporary).resolve())
        return
    place = Path(folder).absolute()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{place} is not an empty folder; the demo wants one of its own.")
    place.mkdir(parents=True, exist_ok=True)
    _play(place)
    say(f"\nLook around: {place}")


def _play(place: Path) -> None:
    from casvault.cli.main import main
    from casvault.demo.story import Story

    def run(arguments: list[str]) -> None:
        shown = [argument.replace(str(place), ".") for argument in arguments]
        say(f"\n$ casvault {shlex.join(shown)}")
        main.main(["--vault", str(place / ".casvault"), *arguments], prog_name="casvault", standalone_mode=False)

    Story(place, lambda text: say(f"\n# {text}"), run).play()
