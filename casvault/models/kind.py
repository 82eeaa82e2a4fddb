"""The interface to a trainer: how its models lie on disk, and what they say of themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from casvault.errors import UsageError
from casvault.files.names import model_path_problem
from casvault.files.source import ByteSource
from casvault.formats import Region
from casvault.models.folder import absolute, check_entry, is_folder, listing
from casvault.models.model import History, Model, ModelFile, State

__all__ = ["Kind", "Parts", "check_name"]


class Parts(NamedTuple):
    """The files of one model among the names in a folder: its type, its files, and its temporary files."""

    type: str | None
    files: list[ModelFile]
    leftovers: list[str]


class Kind(ABC):
    """A trainer.

    To add one, write a class like this and put an instance into ``KINDS`` in resolve.py. Only `name` and
    `split` are needed; what else you override makes casvault notice more: half-written saves, iterations,
    losses.

    ::

        class Kohya(Kind):
            name = "kohya"  # stands in manifests: never change it

            def split(self, names):
                # x.safetensors is a model named x; its role is what stays when x is called y
                found = [n for n in names if n.endswith(".safetensors")]
                return {
                    n.removesuffix(".safetensors"): Parts(None, [ModelFile(n, "model.safetensors")], [])
                    for n in found
                }

            def path_of(self, role, name):
                return f"{name}.safetensors"

    Implementations read and never write, hold no state, and must not import the trainer, or unpickle
    anything.
    """

    name: ClassVar[str]

    last_role: ClassVar[str | None] = None
    """The role that a restore installs last, because the trainer takes a model without it for a new one."""

    save_now: ClassVar[str | None] = None
    """What people do to make the trainer save at once, as in "press s in its window"; None where that is unknown."""

    knows_trainers: ClassVar[bool] = False
    """Whether `may_train` can tell; where not, a trainer that runs is not found."""

    @abstractmethod
    def split(self, names: Collection[str]) -> dict[str, Parts]:
        """Sort the names of a folder's files, whatever they are, into models: full name -> parts."""

    def find(self, folder: Path, name: str | None = None) -> list[Model]:
        """Return the models whose files lie directly in ``folder``, sorted; or only that named ``name``.

        Raises UsageError when a file of one of them is a link, a special file, or has a name that could not
        be restored; StorageError when the folder cannot be read.
        """
        home = absolute(folder)
        with listing(home) as entries:
            by_name = {entry.name: entry for entry in entries if not is_folder(entry)}
            models = []
            for full, parts in sorted(self.split(by_name.keys()).items()):
                if name not in (None, full):
                    continue
                files = sorted((f for f in parts.files if check_entry(by_name[f.path], f.path)), key=lambda f: f.path)
                leftovers = sorted(path for path in parts.leftovers if check_entry(by_name[path], path))
                if files or leftovers:
                    models.append(Model(self.name, full, parts.type, home, tuple(files), tuple(leftovers)))
        return models

    def path_of(self, role: str, name: str) -> str:
        """Return the path of ``role`` in the folder of a model with the full name ``name``."""
        return role

    def rename(self, name: str, new: str) -> str:
        """Return the full name that the model ``name`` has when people call it ``new``.

        Raises UsageError when ``new`` cannot be a name, or such a model has none of its own.
        """
        check_name(new)
        return new

    def state(self, read: Callable[[str], ByteSource | None], type: str | None) -> State:
        """Return what the model tells of its training; ``read`` gives a role's bytes, or None.

        Never raises for what the bytes are: what cannot be read is None in the state, with a problem told.
        """
        return State()

    def history(self, read: Callable[[str], ByteSource | None], type: str | None) -> History:
        """Return the losses that the model's own records have; ``read`` gives a role's bytes, or None. Never raises for
        what the bytes are.
        """
        return History(reason="The trainer of this model is not known, so where it keeps its losses is not either.")

    def missing(self, roles: Collection[str], type: str | None, state: State) -> list[str]:
        """Return the roles that are not in ``roles`` and without which training would start anew in part."""
        return []

    def torn(self, read: Callable[[str], ByteSource | None], state: State) -> str | None:
        """Say why the files are not of one save, judged by their content; None when they may be."""
        return None

    def damage(self, read: Callable[[str], ByteSource | None], roles: Collection[str]) -> list[str]:
        """Return a sentence for each file that cannot be what the trainer wrote, whichever save it is of.

        ``roles`` are those that are there; ``read`` gives the bytes of one, of which only a few should be read.
        """
        return []

    def unreadable(self, role: str, source: ByteSource) -> str | None:
        """Say what is wrong with a file in which no tensor was found, None where it needs to have none."""
        return None

    def is_record(self, role: str) -> bool:
        """Tell whether the file holds what the trainer notes down, so that its numbers are not the model's."""
        return False

    def is_optimizer(self, role: str) -> bool:
        """Tell whether the file holds only the optimizer's moments, which training can do without."""
        return False

    def forgot(self, role: str, tensor: str, iterations: int) -> bool:
        """Tell whether nothing is left in a tensor of what was in it so many iterations before."""
        return False

    def holds_pictures(self, role: str) -> bool:
        """Tell whether the file holds pictures of people, which whoever shares it should know."""
        return False

    def pictures(self, folder: Path, name: str, *, copied: bool = False) -> list[Path]:
        """Return the pictures that the trainer made of the model ``name`` in ``folder``, the one to take first.

        ``copied`` says that the folder holds a copy of that model and nothing of others.
        """
        return []

    def faces(self, role: str, regions: Sequence[Region]) -> list[Region]:
        """Return the batches of faces among the tensors of the file ``role``, as `formats.sheet.face_sheet` draws
        them.
        """
        return []

    def may_train(self, arguments: Sequence[str], cwd: Callable[[], str], model: Model) -> bool:
        """Tell whether a process with these arguments may be a trainer of ``model``; ``cwd`` gives its folder."""
        return False


def check_name(new: str) -> None:
    """Raise UsageError unless ``new`` can be part of a file name on every system."""
    problem = model_path_problem(new)
    if "/" in new:
        problem = "has a separator"
    elif new.startswith("."):
        problem = "begins with a dot"
    if problem is not None:
        raise UsageError(f"a model cannot be named {new[:80]!r}: that {problem}.")
