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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from casvault import RestoreOptions, Rules, api
from casvault.capture import Patience
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.manifest.manifest import FileEntry
from casvault.sync import SyncOptions, pull, push, sync
from casvault.sync.channel import Link
from casvault.sync.far import FarRemote
from casvault.sync.frames import Wire
from casvault.sync.local import LocalRemote
from tests.support.backups import back_up
from tests.support.loading import Started, start
from tests.support.trainer import NAME, Entry, make_model, make_neighbours, tree

__all__ = ["COMMANDS", "MODEL", "Command", "Scene", "errors_told", "open_vault", "others", "own"]

MODEL = f"workspace/model/{NAME}"
SECOND = "second/.casvault"


@dataclass(frozen=True)
class Command:
    """A command, what is done before it, how it is done again, and how it shows that it was done.

    ``gives_up`` are the snapshots that it may remove; ``restores`` tells that it changes the model; ``partner`` speaks
    with it over its streams.
    """

    arguments: tuple[str, ...]
    again: Callable[[api.Vault, Path], object]
    done: Callable[[api.Vault, Path], bool]
    before: Callable[[api.Vault, Path], object] = lambda vault, place: None
    gives_up: tuple[str, ...] = ()
    restores: bool = False
    partner: Callable[[Path, Path, Path], object] | None = None


def _names(vault: api.Vault) -> set[str | None]:
    return {head.name for head in vault.snapshots()}


def _collectable(vault: api.Vault, place: Path) -> None:
    vault.delete("first")
    vault.thin("second")


def _delete(vault: api.Vault, *names: str) -> None:
    for name in names:
        if name in _names(vault):
            vault.delete(name)


def _second(place: Path) -> api.Vault:
    return api.open(place / SECOND, threads=1)


def _with_second(*names: str, own: bool = False) -> Callable[[api.Vault, Path], None]:
    """Return what makes a second vault that has these snapshots, and perhaps one of its own."""

    def make(vault: api.Vault, place: Path) -> None:
        second = api.init(place / SECOND)
        push(LocalRemote(vault), LocalRemote(second), SyncOptions(snapshots=names))
        if own:
            second.snapshot(place / MODEL, name="own", patience=Patience(0.0))

    return make


def _transfer(work: Callable[..., object]) -> Callable[[api.Vault, Path], object]:
    """Return what does a transfer between the two vaults of a place."""
    options = SyncOptions(delete=True)

    def transfer(vault: api.Vault, place: Path) -> None:
        with LocalRemote(vault) as here, LocalRemote(_second(place)) as there:
            work(here, there, options)

    return transfer


def _pull(here: LocalRemote, there: LocalRemote, options: SyncOptions) -> object:
    return pull(there, here, options)


def _alike(vault: api.Vault, place: Path) -> bool:
    labels = [{head.id: head.label for head in one.snapshots()} for one in (vault, _second(place))]
    return labels[0] == labels[1]


def _push_over(place: Path, to: Path, back: Path) -> None:
    """Push to the server at the other end of two pipes; that it dies, or refuses, is what the trial is about."""
    with open(to, "wb") as writer, open(back, "rb") as reader, suppress(CasvaultError, OSError):
        link = Link(Wire(reader, writer), writer.close, writer.close, lambda: "")
        with FarRemote(lambda: link, "the second vault") as far:
            push(LocalRemote(open_vault(place)), far, SyncOptions(delete=True, retries=0))


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
    "import": Command(
        ("import", "workspace/model"),
        lambda v, p: v.import_copies(p / "workspace/model"),
        lambda v, p: sum(head.kind == "imported" for head in v.snapshots()) == 2,
    ),
    "push": Command(("push", SECOND, "--delete"), _transfer(push), _alike, _with_second("second")),
    "pull": Command(
        ("--vault", SECOND, "pull", ".casvault", "--delete"), _transfer(_pull), _alike, _with_second("second")
    ),
    "sync": Command(("sync", SECOND), _transfer(sync), _alike, _with_second("first", own=True)),
    "serve": Command(
        ("--vault", SECOND, "serve", "--stdio"), _transfer(push), _alike, _with_second("second"), partner=_push_over
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
    files: dict[str, tuple[FileEntry, ...]] = field(default_factory=dict)
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
                self.files[taken.id] = vault.manifest(taken.id).files
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
        if not acknowledged and outline(place) == outline(self.origin):
            return
        self._check_start(place)
        begun = time.monotonic()
        vault = self._reopen(place)
        vault.finish_interrupted()
        vault.snapshots()
        self.longest = max(self.longest, time.monotonic() - begun)
        self._check_model(place)
        if acknowledged:
            assert self.command.done(vault, place), "what was acknowledged is not there"
        self._check_snapshots(vault)
        self._check_one(vault, place)
        self._check_backup(vault, place)
        if (place / SECOND).exists():
            self._check_snapshots(_second(place), mine=False)
        self.command.again(vault, place)
        assert self.command.done(vault, place), "doing it again did not do it"
        self._check_model(place)
        self._check_collected(vault, place)
        if (place / SECOND).exists():
            self._check_collected(_second(place), place, mine=False)
        assert not list(place.rglob(".casvault_*"))
        assert others(place) == self.neighbours

    def _check_collected(self, vault: api.Vault, place: Path, *, mine: bool = True) -> None:
        vault.gc()
        assert vault.usage().vault.reclaimable_bytes == 0
        assert not self._left_over(vault)
        self._check_snapshots(vault, mine=mine)

    def _reopen(self, place: Path) -> api.Vault:
        return api.init(place / ".casvault") if self.name == "init" else open_vault(place)

    def _left_over(self, vault: api.Vault) -> list[Path]:
        """Return temporary files that gc should have cleared; derived ones, which harm nothing, have an hour."""
        assert vault.path is not None
        folders = [vault.path / name for name in ("objects", "snapshots", "labels", "pending")]
        left = [path for folder in folders for path in folder.rglob("*.tmp")]
        return [*left, *(vault.path / "tmp").glob("restore-*")]

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

    def _check_snapshots(self, vault: api.Vault, *, mine: bool = True) -> None:
        """All that is there is whole, and what was promised is there, with the bytes that its files had."""
        found = vault.verify(read_data=True)
        assert found.ok, found.damaged
        there = {head.id for head in vault.snapshots()}
        for name, id in self.ids.items():
            if id in there:
                assert vault.manifest(id).files == self.files[id], f"snapshot {name} is another"
            elif mine:
                assert name in self.command.gives_up, f"snapshot {name} is lost"

    def _check_one(self, vault: api.Vault, place: Path) -> None:
        """Bring one of the snapshots back for real; the others were compared by what they are made of."""
        kept = sorted(self.ids.keys() - set(self.command.gives_up))
        if kept:
            name, back = kept[self._count % len(kept)], place / "back"
            vault.restore(self.ids[name], RestoreOptions(to=back))
            assert tree(back) == self.states[name], f"snapshot {name} came back wrong"
            shutil.rmtree(back)

    def _check_backup(self, vault: api.Vault, place: Path) -> None:
        """What was there before is kept, whatever became of the restore."""
        if self.command.restores and own(place) != self.before:
            wanted = {path: digest_of(entry.data) for path, entry in self.before.items()}
            kept = [{file.path: file.digest for file in vault.manifest(head.id).files} for head in vault.snapshots()]
            assert wanted in kept, "what was there before is lost"


def own(place: Path) -> dict[str, Entry]:
    """Return the files of the model, leftovers included."""
    return {name: entry for name, entry in tree(place / "workspace/model").items() if _is_own(name)}


def outline(place: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, time of change and permission bits of everything in a place, its folders included."""
    found = {}
    for path in place.rglob("*"):
        status = path.lstat()
        found[path.relative_to(place).as_posix()] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found


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
    assert code in (0, 1, 3, 10, 11, 20, 21), (code, err)
    assert "Traceback" not in err, err
    assert "bug in casvault" not in err, err
    lines = [line for line in err.splitlines() if line.startswith("casvault: ")]
    assert len(lines) == (code != 0), (code, err)
    if code:
        assert err.splitlines()[-1] == lines[0], err
        assert lines[0].endswith("."), err
