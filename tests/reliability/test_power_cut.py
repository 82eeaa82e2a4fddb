"""Power cuts: what was acknowledged survives one at any moment, whatever the drive's cache lost.

Among the work are two processes: one stores a model's chunks and is stopped before it syncs their folders, the other
finds them there and is done first. Without fsync, without the fsync of folders, and where a volume is not synced though
that was asked for, the same campaign must fail.
CASVAULT_SOAK_CUTS is how many states the long form looks at, CASVAULT_SOAK_CONTROLS those that must fail.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from casvault import api
from casvault.capture import Patience
from casvault.digest import digest_of
from casvault.errors import CasvaultError
from casvault.files import volume
from tests.support import soak
from tests.support.loading import Started, start
from tests.support.recording_disk import Disk, Event, recording, why_no_recording
from tests.support.strace import Tracer, why_not
from tests.support.trainer import NAME, contents, make_model

pytestmark = pytest.mark.skipif(bool(why_no_recording() or why_not()), reason=why_no_recording() or why_not())

_SIZE = 28 << 20
_USED = 4
"""After every so many cuts the vault is also used: a snapshot, and gc."""
_LIES = {
    "honest": "",
    "off": """
import os
from casvault.files.volume import Volume
os.fsync = lambda descriptor: None
Volume.sync = lambda volume, own=0: True
""",
    "volume": "from casvault.files.volume import Volume; Volume.sync = lambda volume, own=0: True",
    "folders": """
import os, stat
from casvault.files.volume import Volume
Volume.trusted = lambda folder: None
fsync = os.fsync
def lying(descriptor):
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        fsync(descriptor)
os.fsync = lying
""",
}
"""What a process does before its work: nothing, or turn off every sync, that of the volume, or that of folders."""

_MODEL = f"workspace/model/{NAME}"
_TWIN = f"workspace/twin/{NAME}"
_SECOND = "second/.casvault"
Files = dict[str, str]


journals = pytest.mark.parametrize("journal", [True, False], ids=["journal", "no journal"])
_WHOLE = volume._release() >= volume._OLDEST
"""Whether volumes are synced here at all."""
# With a journal the next fsync of anything would put names on the disk, and what a volume's sync is for is not seen.
lies = pytest.mark.parametrize(
    ("mode", "journal"), [("off", True), ("folders", True), *([("volume", False)] if _WHOLE else [])]
)


@dataclass
class Promise:
    """What was acknowledged by a step: snapshots (id -> path -> digest), those of a second vault, and a label."""

    snapshots: dict[str, Files] = field(default_factory=dict)
    sent: dict[str, Files] = field(default_factory=dict)
    notes: str | None = None
    vault: bool = False


@dataclass
class Workload:
    """Work on a recording disk; ``promises[n]`` holds from mark ``n`` on, ``states`` are what the model ever was."""

    disk: Disk
    mode: str
    place: Path
    tracer: Tracer
    promises: list[Promise] = field(default_factory=lambda: [Promise()])
    states: list[Files] = field(default_factory=list)
    starts: list[Started] = field(default_factory=list)

    def run(self, *arguments: str) -> str:
        """Run a command and return the id of the snapshot that it took, if any."""
        done = self.tracer.run(self.place, *arguments, "--json", first=_LIES[self.mode])
        assert done.code == 0, (arguments, done.err)
        return str(json.loads(done.out).get("id"))

    def acknowledge(
        self, snapshot: str = "", files: Files | None = None, gone: str = "", notes: str = "", *, sent: bool = False
    ) -> None:
        """Promise what holds from now on."""
        last = self.promises[-1]
        kept = {id: one for id, one in last.snapshots.items() if id != gone}
        if files is not None:
            kept[snapshot] = files
        self.promises.append(Promise(kept, dict(kept) if sent else last.sent, notes or last.notes, True))
        self.disk.mark(len(self.promises) - 1)

    def take(self, name: str, model: str = _MODEL) -> str:
        id = self.run("snapshot", model, "--name", name)
        self.acknowledge(id, digests(self.place / model))
        return id

    def change(self, model: str = _MODEL, seed: int = 1, iterations: int = 5) -> None:
        """Let the model be another, durably: that the trainer does not sync is its own business."""
        made = make_model((self.place / model).parent, size=20_000, seed=seed, iterations=iterations)
        os.sync()
        if model == _MODEL:
            self.states.append(digests(self.place / model))
            self.starts.append(start(made.folder, NAME))


def digests(model: Path) -> Files:
    return {name: digest_of(data) for name, data in contents(model.parent, NAME).items()}


def stop_half_way(work: Workload) -> None:
    """One process is stopped after its renames and before its names are synced; the other relies on its objects."""
    for model in (_MODEL, _TWIN):
        work.change(model, seed=9, iterations=40)
    measured = work.place.parent / "measured"
    shutil.copytree(work.place, measured)
    calls = work.tracer.calls_of(measured, "snapshot", _MODEL)
    shutil.rmtree(measured)
    if _WHOLE:
        before, after = (call for call in calls if call.name == "syncfs")
        between = calls[calls.index(before) : calls.index(after)]
        assert any("rename" in call.name and "/objects" in call.told for call in between)
    else:
        after = next(c for c in calls if c.name == "fsync" and ".tmp" not in c.told and "/objects" in c.told)
    with work.tracer.stopped_at(after, work.place, "snapshot", _MODEL, "--name", "stopped") as writer:
        assert writer.pid is not None
        work.take("twin", _TWIN)


def work_on(disk: Disk, mode: str, tracer: Tracer) -> Workload:
    """Prepare the disk and do all the work on it."""
    with disk.prepare() as folder:
        (folder / "place").mkdir()
        work = Workload(disk, mode, folder / "place", tracer)
        work.change()
    with recording(disk):
        work.run("init")
        work.run("init", _SECOND)
        work.acknowledge()
        first = work.take("first")
        work.change(seed=2, iterations=10)
        second = work.take("second")
        if mode == "honest":
            stop_half_way(work)
        work.run("push", _SECOND)
        work.acknowledge(sent=True)
        work.change(seed=3, iterations=12)
        work.run("restore", first, "-y")
        work.acknowledge()
        work.run("edit", first, "--notes", "kept")
        work.acknowledge(notes="kept")
        work.run("undo", _MODEL, "-y")
        work.acknowledge()
        # From the moment it is asked for it may be gone.
        work.promises[-1].snapshots.pop(second)
        work.run("delete", second, "-y", "--gc")
        work.acknowledge(gone=second)
    return work


def check(work: Workload, place: Path, promise: Promise, figures: soak.Figures) -> str:
    """Return what is wrong after a power cut, empty where nothing is."""
    # Without a journal what the trainer itself writes may be torn.
    if work.disk.journal:
        began = start(place / "workspace/model", NAME)
        if began.kind != "first run" and began not in work.starts:
            return "a model that looks startable and is not whole"
    if not promise.vault and not (place / ".casvault/vault.json").exists():
        api.init(place / ".casvault")
    try:
        vault = api.open(place / ".casvault", threads=1)
        finished = vault.finish_interrupted()
        figures.count("restores finished", bool(finished))
        wrong = whole(vault, promise.snapshots, work.disk.journal)
        if promise.notes and promise.notes not in {head.label.notes for head in vault.snapshots()}:
            return "notes are lost"
        if not wrong and (place / _SECOND / "vault.json").exists():
            wrong = whole(api.open(place / _SECOND, threads=1), promise.sent, work.disk.journal)
            wrong = wrong and f"the second vault: {wrong}"
        if wrong or (promise.sent and not (place / _SECOND).exists()):
            return wrong or "the second vault is lost"
        if work.disk.journal and digests(place / _MODEL) not in work.states:
            return "the model is neither old nor new"
        if figures.cases % _USED == 0:
            if work.disk.journal:
                vault.snapshot(place / _MODEL, patience=Patience(0.0))
            vault.gc()
            if vault.usage().vault.reclaimable_bytes or not vault.verify(read_data=True).ok:
                return "gc does not clear what was left"
    except CasvaultError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def whole(vault: api.Vault, promised: dict[str, Files], journal: bool) -> str:
    """Return what is wrong with a vault that promised these snapshots, empty where nothing is.

    Without a journal a file that gc was removing may be back, with the bytes of another one that was given its place on
    the disk: nobody needs it, and gc removes it the next time.
    """
    there = {head.id for head in vault.snapshots()}
    for id, files in promised.items():
        if id not in there:
            return f"snapshot {id} is lost; there are {sorted(there)}, promised were {sorted(promised)}"
        if {file.path: file.digest for file in vault.manifest(id).files} != files:
            return f"snapshot {id} is another"
    found = vault.verify(read_data=True)
    return f"damaged: {found.damaged[:3]}" if found.affected or (journal and not found.ok) else ""


def cut(work: Workload, events: list[Event], length: int, chance: random.Random, figures: soak.Figures) -> str:
    # A mark comes after the calls that it acknowledges have returned; the last one was for the end of the recording.
    marks = [event.offset for event in events[:length] if event.kind == "m" and event.offset < len(work.promises)]
    with work.disk.after_cut(events, length, chance) as root:
        return check(work, root / "place", work.promises[marks[-1] if marks else 0], figures)


def campaign(
    tracer: Tracer, root: Path, mode: str, states: int, seed: int, *, first: bool = False, journal: bool = True
) -> tuple[soak.Figures, list[str]]:
    """Look at that many states, or only until the ``first`` that is wrong."""
    with soak.campaign(f"power cuts, fsync {mode}{'' if journal else ', no journal'}") as figures:
        chance = random.Random(seed)
        work = work_on(Disk(root, _SIZE, journal=journal), mode, tracer)
        events = work.disk.events()
        flushes = sum(event.kind == "f" for event in events)
        figures.more |= {"writes": sum(event.kind == "w" for event in events), "flushes": flushes}
        wrong = list[str]()
        # Half of the moments are right after an acknowledgement, where most is promised and least is flushed.
        marks = [number + 1 for number, event in enumerate(events) if event.kind == "m"]
        for number in range(states):
            length = chance.choice(marks) if number % 2 else chance.randrange(len(events) + 1)
            found = cut(work, events, length, chance, figures)
            figures.cases += 1
            if wrong and first:
                break
            if found:
                wrong.append(f"after {length} of {len(events)} events: {found}")
        figures.more["violations"] = len(wrong)
        return figures, wrong


@journals
def test_some_cuts(tracer: Tracer, fast_path: Path, journal: bool) -> None:
    _, wrong = campaign(tracer, fast_path, "honest", 500 if journal else 100, soak.seed(1), journal=journal)
    assert wrong == []


@pytest.mark.slow
@journals
def test_many_cuts(tracer: Tracer, fast_path: Path, journal: bool) -> None:
    _, wrong = campaign(tracer, fast_path, "honest", soak.size("CUTS", 10_000), soak.seed(), journal=journal)
    assert wrong == []


@lies
def test_without_fsync_it_fails(tracer: Tracer, fast_path: Path, mode: str, journal: bool) -> None:
    """The campaign itself: it sees what is lost where nothing is flushed, or no folder, or no volume is."""
    _, wrong = campaign(tracer, fast_path, mode, 300, soak.seed(1), first=True, journal=journal)
    assert wrong


@pytest.mark.slow
@lies
def test_how_often_it_fails_without_fsync(tracer: Tracer, fast_path: Path, mode: str, journal: bool) -> None:
    _, wrong = campaign(tracer, fast_path, mode, soak.size("CONTROLS", 100), soak.seed(), journal=journal)
    assert wrong
    print(len(wrong), wrong[:5])
