"""DeepFaceLab's command line: ``main.py train ... --model-dir FOLDER --model CLASS [--force-model-name NAME] ...``.

Owns the rule by which a command line counts as the trainer of one model: it trains in that very folder, and names no
other class and no other model. One that does not say which model it opens may be any of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from casvault.models.model import Model

__all__ = ["TrainCommand", "may_train"]

_PROGRAM, _COMMAND = "main.py", "train"
_NAMELESS = "XSeg"
"""The class whose models have no name of their own: the trainer ignores a forced one."""


@dataclass(frozen=True)
class TrainCommand:
    """What a command line says of the model that it trains. ``folder`` may be relative to the process's own; ``type``
    is the class, ``name`` the one without it; None where it does not say.
    """

    folder: str
    type: str | None = None
    name: str | None = None

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> TrainCommand | None:
        """Read the arguments of a process, the program among them; None where they are no trainer's."""
        plain = [_unquoted(argument) for argument in arguments]
        for place in range(len(plain) - 1):
            if _is_program(plain[place]) and plain[place + 1] == _COMMAND:
                said = _options(plain[place + 2 :])
                folder = said.get("--model-dir")
                return cls(folder, said.get("--model"), said.get("--force-model-name")) if folder else None
        return None


def may_train(arguments: Sequence[str], cwd: Callable[[], str], model: Model) -> bool:
    """Tell whether a process with these arguments may be training ``model``; ``cwd`` gives the folder it runs in.

    Raises what ``cwd`` raises, which is asked only where the command line has a relative path.
    """
    said = TrainCommand.parse(arguments)
    if said is None or said.type not in (None, model.type):
        return False
    if said.name is not None and model.type != _NAMELESS and not _alike(f"{said.name}_{model.type}", model.name):
        return False
    folder = os.path.expanduser(said.folder)
    return _same_folder(folder if os.path.isabs(folder) else os.path.join(cwd(), folder), model.folder)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return option -> value; the last one counts, as it does for the trainer."""
    found = {}
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if not name.startswith("--"):
            continue
        if equals:
            found[name] = _unquoted(value)
        elif place + 1 < len(arguments) and not arguments[place + 1].startswith("--"):
            found[name] = arguments[place + 1]
    return found


def _is_program(argument: str) -> bool:
    return re.split(r"[/\\]", argument)[-1].lower() == _PROGRAM


def _unquoted(argument: str) -> str:
    return argument.strip().strip("\"'")


def _alike(one: str, other: str) -> bool:
    return os.path.normcase(one) == os.path.normcase(other)


def _same_folder(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        # One of them is gone, as a model's folder may be that is about to be restored.
        return _alike(os.path.realpath(one), os.path.realpath(other))
