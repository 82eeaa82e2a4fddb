"""Places in which each command has something to do, and the invariants I1 to I6 that hold in them after any fault.

I1 snapshots that were acknowledged come back bit for bit; I2 others are absent or complete; I3 only orphans and
temporary files are left over, and gc clears them; I4 a model is wholly old or wholly new, or is finished by the next
command; I5 that needs no unlocking; I6 doing it again works.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from casvault import RestoreOptions, Rules, api
from casvault.capture import Patience
from casvault.sync import SyncOptions, pull, push
from casvault.sync.local import LocalRemote
from casvault.sync.remote import Remote
from tests.support.backups import back_up
from tests.support.loading import Started, start
from tests.support.trainer import NAME, Entry, make_model, make_neighbours, tree

__all__ = ["COMMANDS", "Command", "Scene", "errors_told", "open_vault", "others", "own"]

MODEL = f"workspace/model/{NAME}"


@dataclass(frozen=True)
class Command:
    """A command, what is done before it, how it is done again, and how it shows that it was done.

    ``gives_up`` are the snapshots that it may remove; ``restores`` tells that it changes the model.
    """

    arguments: tuple[str, ...]
    again: Callable[[api.Vault, Path], object]
    done: Callable[[api.Vault, Path], bool]
    before: Callable[[api.Vault, Path], object] = lambda vault, place: None
    gives_up: tuple[str, ...] = ()
    restores: bool = False


def _names(vault: api.Vault) -> set[str | None]:
    return {head.name for head in vault.snapshots()}


def _collectable(vault: api.Vault, place: Path) -> None:
    vault.delete("first")
    vault.thin("second")


def _delete(vault: api.Vault, *names: str) -> None:
    for name in names:
        if name in _names(vault):
            vault.delete(name)


def _elsewhere(place: Path) -> api.Vault:
    return api.open(place / "elsewhere" / ".casvault", threads=1)


def _ahead_elsewhere(vault: api.Vault, place: Path) -> None:
    shutil.copytree(place / ".casvault", place / "elsewhere" / ".casvault")
    _elsewhere(place).snapshot(place / MODEL, name="fourth", patience=Patience(0.0))


def _travel(vault: api.Vault, place: Path, way: Callable[[Remote, Remote, SyncOptions], object]) -> None:
    there = _elsewhere(place)
    assert there.verify(read_data=True).ok
    with LocalRemote(vault) as here, LocalRemote(there) as other:
        way(here, other, SyncOptions())


COMMANDS: dict[str, Command] = {
    "init": Command(("init",), lambda v, p: api.init(p / ".casvault"), lambda v, p: True),
    "snapshot": Command(
        ("snapshot", MODEL, "--name", "fourth", "--notes", "n"),
        lambda v, p: v.snapshot(p / MODEL, name="fourth", patience=Patience(0.0)),
        lambda v, p: "fourth" in _names(v),
    ),
    "restore": Command(
        ("restore", "first", "-y"),
        lambda v, p: v.restore("first"),
        lambda v, p: v.plan_restore("first").nothing_to_do,
        restores=True,
    ),
    "undo": Command(
        ("undo", MODEL, "-y"),
        lambda v, p: None if v.plan_restore("live").nothing_to_do else v.undo(p / MODEL),
        lambda v, p: v.plan_restore("live").nothing_to_do,
        lambda v, p: (v.snapshot(p / MODEL, name="live", patience=Patience(0.0)), v.restore("first")),
        restores=True,
    ),
    "delete": Command(
        ("delete", "second", "-y"),
        lambda v, p: _delete(v, "second"),
        lambda v, p: "second" not in _names(v),
        gives_up=("second",),
    ),
    "gc": Command(
        ("gc",),
        lambda v, p: v.gc(),
        lambda v, p: v.usage().vault.reclaimable_bytes == 0,
        _collectable,
        gives_up=("first", "second"),
    ),
    "prune": Command(
        ("prune", "--keep-last", "1", "--include-manual", "--gc", "-y"),
        lambda v, p: v.prune(Rules(last=1), include_manual=True, gc=True),
        lambda v, p: _names(v) == {"third"} and v.usage().vault.reclaimable_bytes == 0,
        gives_up=("first", "second"),
    ),
    "thin": Command(
        ("thin", "first", "-y"),
        lambda v, p: None if v.find("first").label.thinned else v.thin("first"),
        lambda v, p: bool(v.find("first").label.thinned),
        gives_up=("first",),
    ),
    "edit": Command(
        ("edit", "first", "--notes", "changed", "--tag", "t", "--pin"),
        lambda v, p: v.edit("first", notes="changed", pinned=True, tag=["t"]),
        lambda v, p: v.find("first").label.notes == "changed" and v.find("first").label.pinned,
    ),
    "pull": Command(
        ("pull", "elsewhere/.casvault"),
        lambda v, p: _travel(v, p, pull),
        lambda v, p: "fourth" in _names(v),
        _ahead_elsewhere,
    ),
    "push": Command(
        ("push", "elsewhere/.casvault"),
        lambda v, p: _travel(v, p, push),
        lambda v, p: _names(_elsewhere(p)) == _names(v) and _elsewhere(p).verify(read_data=True).ok,
        lambda v, p: api.init(p / "elsewhere" / ".casvault"),
    ),
    "import": Command(
        ("import", "workspace/model"),
        lambda v, p: v.import_copies(p / "workspace/model"),
        lambda v, p: sum(head.kind == "imported" for head in v.snapshots()) == 2,
    ),
}


def open_vault(place: Path) -> api.Vault:
    """Open the vault of a place, without threads."""
    return api.open(place / ".casvault", threads=1)


@dataclass
class Scene:
    """A place with three snapshots, a model that was trained on since, and neighbours; for one command.

    ``fresh`` gives a copy of it for each trial; ``longest`` is the most that the next command needed, in seconds.
    """

    root: Path
    name: str
    size: int = 20_000
    states: dict[str, dict[str, Entry]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    starts: list[Started] = field(default_factory=list)
    longest: float = 0.0

    def __post_init__(self) -> None:
        self.command = COMMANDS[self.name]
        self.origin = self.root / "origin"
        self._lock, self._count = threading.Lock(), 0
        model = make_model(self.origin / "workspace" / "model", size=self.size)
        make_neighbours(model.folder)
        shutil.rmtree(model.folder / f"{NAME}_autobackups")
        self.starts.append(start(model.folder, NAME))
        if self.name != "init":
            vault = api.init(self.origin / ".casvault")
            for name in ("first", "second", "third"):
                taken = vault.snapshot(self.origin / MODEL, name=name, patience=Patience(0.0))
                self.ids[name], self.states[name] = taken.id, own(self.origin)
                model.train(5)
                if self.name == "import" and name != "first":
                    back_up(model)
                model.save()
        self.live = own(self.origin)
        self.starts.append(start(model.folder, NAME))
        assert [one.kind for one in self.starts] == ["goes on"] * 2
        if self.name != "init":
            self.command.before(open_vault(self.origin), self.origin)
        self.before = own(self.origin)
        self.neighbours = others(self.origin)

    def fresh(self) -> Path:
        """Return a copy of it in a new folder."""
        with self._lock:
            self._count += 1
            place = self.root / f"trial {self._count}"
        shutil.copytree(self.origin, place, symlinks=True)
        return place

    def check(self, place: Path, *, acknowledged: bool) -> None:
        """Check every invariant in a place in which the command ended, or was ended; ``acknowledged``: with success."""
        self._check_start(place)
        begun = time.monotonic()
        vault = self._reopen(place)
        vault.finish_interrupted()
        vault.snapshots()
        self.longest = max(self.longest, time.monotonic() - begun)
        self._check_model(place)
        if acknowledged:
            assert self.command.done(vault, place), "what was acknowledged is not there"
        self._check_snapshots(vault, place)
        self.command.again(vault, place)
        assert self.command.done(vault, place), "doing it again did not do it"
        self._check_model(place)
        vault.gc()
        assert vault.usage().vault.reclaimable_bytes == 0
        assert not self._left_over(place)
        assert not list(place.rglob(".casvault_*"))
        assert not list((place / ".casvault/tmp").glob("restore-*"))
        self._check_snapshots(vault, place)
        assert others(place) == self.neighbours

    def _reopen(self, place: Path) -> api.Vault:
        return api.init(place / ".casvault") if self.name == "init" else open_vault(place)

    def _left_over(self, place: Path) -> list[Path]:
        """Return temporary files that gc should have cleared; derived ones, which harm nothing, have an hour."""
        vault = place / ".casvault"
        folders = (vault / "objects", vault / "snapshots", vault / "labels", vault / "pending")
        return [path for folder in folders for path in folder.rglob("*.tmp")]

    def _check_start(self, place: Path) -> None:
        """The trainer's own eyes: it goes on from a model that is wholly old or wholly new, or calls it a first run."""
        found = start(place / "workspace" / "model", NAME)
        assert found.kind == "first run" or found in self.starts, "a model that looks startable and is not whole"
        assert self.command.restores or found.kind == "goes on"

    def _check_model(self, place: Path) -> None:
        now = own(place)
        if self.command.restores:
            assert now in (self.before, self.live, self.states["first"]), "neither old nor new"
        else:
            assert now == self.before, "the model was changed"

    def _check_snapshots(self, vault: api.Vault, place: Path) -> None:
        found = vault.verify(read_data=True)
        assert found.ok, found.damaged
        there = {head.id for head in vault.snapshots()}
        for name, id in self.ids.items():
            if name in self.command.gives_up:
                continue
            assert id in there, f"snapshot {name} is lost"
            back = place / f"back {name}"
            vault.restore(id, RestoreOptions(to=back))
            assert tree(back) == self.states[name], f"snapshot {name} came back wrong"
            shutil.rmtree(back)
        if self.command.restores:
            # What was there before is kept by its contents, whatever became of the restore.
            kept = [head for head in vault.snapshots() if head.kind == "auto-backup" or head.name == "live"]
            assert kept or own(place) == self.before


def own(place: Path) -> dict[str, Entry]:
    """Return the files of the model, leftovers included."""
    return {name: entry for name, entry in tree(place / "workspace/model").items() if _is_own(name)}


def others(place: Path) -> dict[str, Entry]:
    """Return everything else that lies around it."""
    found = tree(place / "workspace")
    return {
        name: entry
        for name, entry in found.items()
        if not _is_own(name.removeprefix("model/")) and ".casvault_restore_" not in name
    }


def _is_own(name: str) -> bool:
    own_name = name.startswith(f"{NAME}_") and "/" not in name
    return own_name and name.endswith((".npy", "data.dat", "summary.txt", ".npy.tmp", "data.dat.tmp"))


def errors_told(code: int, err: str) -> None:
    """Check what a command said whose fault was an error: a documented exit code and one sentence."""
    assert code in (0, 1, 3, 10, 11, 20), (code, err)
    assert "Traceback" not in err, err
    assert "bug in casvault" not in err, err
    lines = [line for line in err.splitlines() if line.startswith("casvault: ")]
    assert len(lines) == (code != 0), (code, err)
    if code:
        assert err.splitlines()[-1] == lines[0], err
        assert lines[0].endswith("."), err
