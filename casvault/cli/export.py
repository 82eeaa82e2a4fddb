"""``casvault export``."""

from __future__ import annotations

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.text import plain, size

__all__ = ["command"]


@click.command("export")
@click.argument("snapshot")
@click.argument("file", metavar="FILE.zip")
@click.option("--weights-only", is_flag=True, help="Without optimizers: half the size or less.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.zip where it is there already.")
@common
@click.pass_obj
def command(
    named: str | None, snapshot: str, file: str, weights_only: bool, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Write SNAPSHOT to a zip file that opens without casvault, to share it or to put it away."""
    result = open_vault(named).export(
        snapshot, file, weights_only=weights_only, overwrite=overwrite, progress=make_progress(quiet or as_json)
    )
    if as_json:
        print_json(result.to_json())
        return
    say(f"Wrote {len(result.files)} files, {size(result.size)}, to {plain(str(result.path))}.", quiet=quiet)
    if result.left_out:
        say(f"Left out: {plain(', '.join(result.left_out))}; the trainer starts an optimizer afresh.", quiet=quiet)
    if result.head.incomplete:
        say("Warning: this snapshot is not one whole save; the trainer would start what is missing anew.", err=True)
    if result.faces:
        say(
            f"Warning: {plain(', '.join(result.faces))} holds pictures of the faces that are trained; "
            "whoever gets the file can look at them.",
            err=True,
        )
