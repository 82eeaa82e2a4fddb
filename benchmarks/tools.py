"""The rivals: ways to keep snapshots of a model, behind the same few operations, each a process as users run it."""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import casvault
from benchmarks.process import Usage, discard, measure

__all__ = ["TOOLS", "Borg", "Casvault", "Copy", "Restic", "Tool", "bytes_below", "tools_here"]


class Tool(ABC):
    """One way to keep snapshots: its repository is the folder ``store`` below ``place``.

    ``model`` is the folder of the one live model, which every snapshot is taken of and every restore goes to.
    """

    name: str
    """What it is called in tables and on the command line."""

    package = ""
    """The package to install where it is not there."""

    settings = ""
    """How it is used here, in words."""

    def __init__(self, place: Path, model: Path) -> None:
        self.place = place
        self.store = place / self.name
        self.model = model

    @classmethod
    def there(cls) -> bool:
        """Tell whether it can be run on this machine."""
        return not cls.package or shutil.which(cls.name) is not None

    @classmethod
    def version(cls) -> str:
        """Return the version that is measured."""
        told = subprocess.run([cls.name, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"[0-9]+(\.[0-9]+)+", told)
        return found[0] if found else ""

    @abstractmethod
    def init(self) -> None:
        """Make an empty repository."""

    @abstractmethod
    def snapshot(self, name: str) -> Usage:
        """Keep the model under ``name``, which is new."""

    @abstractmethod
    def restore(self, name: str) -> Usage:
        """Bring back what was kept under ``name``, over the model, without keeping what is there."""

    def restore_after_backup(self, name: str, backup: str) -> Usage:
        """Keep what is there under ``backup``, then bring back ``name``."""
        return self.snapshot(backup) + self.restore(name)

    def stored(self) -> int:
        """Return the bytes of all files of the repository."""
        return bytes_below(self.store)

    def allocated(self) -> int:
        """Return the bytes that the file system has set aside for them."""
        return sum(path.stat().st_blocks * 512 for path in self.store.rglob("*") if path.is_file())

    def remove(self) -> None:
        """Put the repository out of the way."""
        discard(self.store, self.place)

    def reads(self, *, back: bool = False) -> list[Path]:
        """Return the folders that a snapshot reads, or, ``back``, a restore.

        Not the repository where a snapshot leaves it alone: borg takes care that it is in nobody's cache.
        """
        return [self.model, self.store] if back else [self.model]


class Copy(Tool):
    """The yardstick: a copy of the folder for every snapshot."""

    name = "cp"
    settings = "`cp -r`, one folder per snapshot"

    @classmethod
    def version(cls) -> str:
        """Return nothing: every system has its own."""
        return ""

    def init(self) -> None:
        """Make the folder of copies."""
        self.store.mkdir()

    def snapshot(self, name: str) -> Usage:
        """Copy the model."""
        return measure(["cp", "-r", str(self.model), str(self.store / name)], reads=self.reads())

    def restore(self, name: str) -> Usage:
        """Copy it back."""
        return measure(["cp", "-r", f"{self.store / name}/.", str(self.model)], reads=self.reads(back=True))


class Casvault(Tool):
    """casvault as it comes, each command a process of this interpreter."""

    name = "casvault"
    settings = "defaults"

    @classmethod
    def version(cls) -> str:
        """Return the version of the source tree."""
        return casvault.__version__

    def command(self, *arguments: str) -> list[str]:
        """Return a command line on this vault."""
        return [sys.executable, "-m", "casvault", "--vault", str(self.store), *arguments]

    def init(self) -> None:
        """Make the vault; the source tree is compiled before, as a package is when it is installed."""
        compileall.compile_dir(Path(casvault.__file__).parent, quiet=1)
        measure(self.command("init", "-q"))

    def snapshot(self, name: str) -> Usage:
        """Take a snapshot."""
        return self._run("snapshot", str(self.model), "--name", name, "-q")

    def restore(self, name: str) -> Usage:
        """Restore without an automatic backup."""
        return self._run("restore", name, "-y", "-q", "--no-backup")

    def restore_after_backup(self, name: str, backup: str) -> Usage:
        """Restore with the automatic backup, which has a name of its own."""
        return self._run("restore", name, "-y", "-q")

    def reads(self, *, back: bool = False) -> list[Path]:
        """Return the folders that are read: for a snapshot too the vault, where what deltas lean on is."""
        return [self.model, self.store]

    def _run(self, *arguments: str) -> Usage:
        return measure(self.command(*arguments), reads=self.reads())

    def kept(self) -> int:
        """Return the bytes of what belongs to snapshots: objects, manifests and labels."""
        return sum(bytes_below(self.store / name) for name in ("objects", "snapshots", "labels"))


class Restic(Tool):
    """restic with repository format 2, which compresses."""

    name = "restic"
    package = "restic"
    settings = "repository version 2, compression auto"

    @classmethod
    def version(cls) -> str:
        """Return the version that is measured."""
        told = subprocess.run([cls.name, "version"], capture_output=True, text=True, check=True).stdout
        return told.split()[1]

    def init(self) -> None:
        """Make the repository."""
        self._run("init", "--repository-version", "2")

    def snapshot(self, name: str) -> Usage:
        """Back up under a tag."""
        return self._run("backup", "--tag", name, self.model.name)

    def restore(self, name: str) -> Usage:
        """Restore in place."""
        return self._run("restore", "latest", "--tag", name, "--target", ".")

    def remove(self) -> None:
        """Put the repository and its cache out of the way."""
        super().remove()
        discard(self._cache, self.place)

    def reads(self, *, back: bool = False) -> list[Path]:
        """Return the folders that are read, its cache among them."""
        return [*super().reads(back=back), self._cache]

    @property
    def _cache(self) -> Path:
        return self.store.with_name("restic_cache")

    def _run(self, *arguments: str) -> Usage:
        environment = {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(self._cache)}
        # From the folder above and by a relative path: so that no folder further up is a part of the snapshot.
        command = ["restic", "-q", "-r", str(self.store), *arguments]
        return measure(command, environment, self.model.parent, reads=self.reads(back=arguments[0] == "restore"))


class Borg(Tool):
    """borg without encryption, which would cost it time."""

    name = "borg"
    package = "borgbackup"
    settings = "compression zstd,3, encryption none"

    def init(self) -> None:
        """Make the repository."""
        self._run("init", "-e", "none", str(self.store))

    def snapshot(self, name: str) -> Usage:
        """Make an archive."""
        return self._run("create", "--compression", "zstd,3", f"{self.store}::{name}", self.model.name)

    def restore(self, name: str) -> Usage:
        """Extract in place."""
        return self._run("extract", f"{self.store}::{name}")

    def remove(self) -> None:
        """Put the repository and its cache out of the way."""
        super().remove()
        discard(self._home, self.place)

    def reads(self, *, back: bool = False) -> list[Path]:
        """Return the folders that are read, its cache among them."""
        return [*super().reads(back=back), self._home]

    @property
    def _home(self) -> Path:
        return self.store.with_name("borg_home")

    def _run(self, *arguments: str) -> Usage:
        environment = {
            "BORG_BASE_DIR": str(self._home),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        reads = self.reads(back=arguments[0] == "extract")
        return measure(["borg", *arguments], environment, self.model.parent, reads=reads)


TOOLS: tuple[type[Tool], ...] = (Copy, Casvault, Restic, Borg)
"""All of them, in the order of tables."""


def tools_here(tell: Callable[[str], None] = lambda text: None) -> list[type[Tool]]:
    """Return those that can be run on this machine; ``tell`` is called with a sentence about each other one."""
    for tool in TOOLS:
        if not tool.there():
            tell(f"{tool.name} is not on PATH and is left out; to measure it too, install the package {tool.package}.")
    return [tool for tool in TOOLS if tool.there()]


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
