"""``casvault``: the group of commands, and the one place where an error becomes a sentence and an exit code.

Commands are imported when they are called: `casvault --help` and `casvault list` must not pay for numpy.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from casvault import __version__
from casvault.errors import CasvaultError, UsageError

__all__ = ["main", "run"]

COMMANDS = {
    "init": ("initialize", "Make a vault."),
    "snapshot": ("snapshot", "Take a snapshot of a model, also while it trains."),
    "list": ("listing", "List snapshots."),
    "show": ("show", "Show one snapshot: state, options, files, what it takes."),
    "status": ("status", "Show how a live model stands to its snapshots."),
    "health": ("health", "Tell whether a model, or a snapshot of one, is in good health."),
    "diff": ("diff", "Compare two snapshots, or a snapshot with a live model."),
    "restore": ("restore", "Bring a snapshot back, exactly, with a backup of what is there."),
    "undo": ("undo", "Go back to what was there before the last restore."),
    "watch": ("watch", "Take a snapshot after each save, and keep those by rule."),
    "delete": ("delete", "Delete snapshots; until gc they can be brought back."),
    "undelete": ("undelete", "Bring a deleted snapshot back."),
    "gc": ("gc", "Free the space of what was deleted or thinned."),
    "usage": ("usage", "Show what snapshots cost, and what deleting them would free."),
    "prune": ("prune", "Delete by rule: keep the last, the best, one a day ..."),
    "thin": ("thin", "Let old snapshots give up their optimizer."),
    "edit": ("edit", "Change a snapshot's name, notes, tags, or pin it."),
    "export": ("export", "Write a snapshot to a zip file."),
    "import": ("importing", "Make snapshots of the trainer's own backups, and of other copies of a model."),
    "remote": ("remote", "Give other vaults names: on a disk, a NAS, by SSH, in a bucket."),
    "push": ("push", "Send snapshots to another vault."),
    "pull": ("pull", "Bring snapshots from another vault."),
    "sync": ("sync", "Send what another vault lacks, and bring what it has."),
    "serve": ("serve", "Answer another casvault; `ssh` starts it."),
    "verify": ("verify", "Check that every snapshot can be restored."),
    "repair": ("repair", "Put aside what is damaged, and heal what can be healed."),
    "panel": ("panel", "Show it all in a browser."),
    "demo": ("demo", "Show it all on a small model that is made for it."),
}
"""Command -> its module in casvault.cli, which has it as ``command``, and its line in the help."""

_WITH_REMOTE = ("list", "show", "usage", "restore", "gc")


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"casvault.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_Lazy, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--vault", metavar="PATH", help="The vault; else $CASVAULT_VAULT, else the nearest .casvault above.")
@click.option(
    "--remote", metavar="NAME", help="Another vault, for list, show, usage, restore, gc of a bucket: nothing is pulled."
)
@click.version_option(__version__, "-V", "--version", prog_name="casvault")
@click.pass_context
def main(context: click.Context, vault: str | None, remote: str | None) -> None:
    """Model versioning for people who train: snapshot, list, restore, undo."""
    context.obj = vault or os.environ.get("CASVAULT_VAULT") or None
    if remote is not None and context.invoked_subcommand not in (*_WITH_REMOTE, None):
        raise UsageError(
            f"--remote goes with {', '.join(_WITH_REMOTE)}; `casvault pull` brings snapshots here for all else."
        )
    if context.invoked_subcommand is None:
        click.echo(f"{context.get_help()}\n\nStart with: casvault init")


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; errors become one sentence on stderr and an exit code."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _interrupt)
    if sys.stdout is None or sys.stderr is None:
        sys.exit(1)
    # numpy brings a library for linear algebra, whose threads would burn a core for a while to wait for work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # One command makes many small objects (the chunks of a manifest) and next to no garbage.
    gc.set_threshold(100_000)
    for stream in (sys.stdout, sys.stderr):
        # A name with a character that the terminal's encoding lacks must not end in a traceback.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = _run(arguments)
    # The interpreter would search all objects for garbage before it lets them go.
    gc.freeze()
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = main.main(arguments, prog_name="casvault", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except CasvaultError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        hint = f" (`{error.ctx.command_path} --help` tells more)" if error.ctx is not None else ""
        return _fail(error.format_message() + hint, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted; nothing is half-done.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("there is not enough memory for this.", 1)
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}.", 1)
    except Exception as error:
        # The last wall: a user never sees a traceback.
        if os.environ.get("CASVAULT_DEBUG"):
            raise
        return _fail(
            f"this is a bug in casvault ({type(error).__name__}: {error}); CASVAULT_DEBUG=1 shows where. "
            "Nothing was lost.",
            1,
        )


def _fail(text: str, code: int) -> int:
    from casvault.cli.text import plain

    print(f"casvault: {plain(text)}", file=sys.stderr)
    return code


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
