"""Capture: what is one whole save, what is not, and how long it is waited for."""

from __future__ import annotations

import importlib
import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casvault.capture import Capture, Patience, capture
from casvault.demo.model import SampleModel
from casvault.errors import IncompleteSave, NotFound, StorageError
from casvault.files.identity import FileIdentity
from casvault.files.source import FileSource
from casvault.models import DeepFaceLab, Model, generic_model
from casvault.progress import Progress
from tests.support.trainer import NAME, copy_as_it_comes, make_model

AT_ONCE = Patience(0.0)
module: Any = importlib.import_module("casvault.capture.capture")
watch: Any = importlib.import_module("casvault.capture.waiting")


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    return make_model(tmp_path / "model")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)


def finder(folder: Path, name: str = NAME) -> Callable[[], Model]:
    return lambda: next(iter(DeepFaceLab().find(folder, name)), Model("deepfacelab", name, "SAEHD", folder, ()))


def read_all(taken: Capture) -> dict[str, bytes]:
    return {item.file.path: item.source.read_at(0, item.source.size) for item in taken.files}


def why_not(folder: Path, patience: Patience = AT_ONCE) -> str:
    with pytest.raises(IncompleteSave) as caught:
        capture(finder(folder), patience)
    return str(caught.value)


def test_a_whole_save_is_taken_at_once(model: SampleModel) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert taken.incomplete is None
        assert taken.state.iteration == 5
        assert read_all(taken) == {path.name: path.read_bytes() for path in model.paths()}


@pytest.mark.parametrize("order", ["listing", "backwards", "data.dat oldest"])
def test_times_of_files_say_nothing(model: SampleModel, tmp_path: Path, order: str) -> None:
    paths = list(model.folder.iterdir()) if order == "listing" else sorted(model.folder.iterdir(), reverse=True)
    copy_as_it_comes(paths, tmp_path / "copy", oldest="data.dat" if order == "data.dat oldest" else "")
    with capture(finder(tmp_path / "copy"), AT_ONCE) as taken:
        assert taken.incomplete is None


def test_the_time_of_the_save_is_that_of_the_file_written_last(model: SampleModel) -> None:
    for number, path in enumerate(model.paths()):
        os.utime(path, ns=(1_700_000_000_000_000_000 + number,) * 2)
    data = model.folder / f"{NAME}_data.dat"
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert taken.saved_ns == data.stat().st_mtime_ns


def test_summary_and_data_of_two_saves(model: SampleModel) -> None:
    old = (model.folder / f"{NAME}_summary.txt").read_bytes()
    model.train(3)
    model.save()
    (model.folder / f"{NAME}_summary.txt").write_bytes(old)
    told = why_not(model.folder)
    assert "summary.txt is of iteration 5, data.dat of 8" in told
    assert "--allow-incomplete" in told
    assert "\n" not in told


@pytest.mark.parametrize("role", ["decoder.npy", "inter_AB.npy", "inter_B.npy", "encoder.npy", "data.dat"])
def test_a_file_that_is_missing_is_named(model: SampleModel, role: str) -> None:
    (model.folder / f"{NAME}_{role}").unlink()
    assert f"{role} is not there" in why_not(model.folder)


def test_all_files_that_are_missing_are_named(model: SampleModel) -> None:
    for role in ("decoder.npy", "inter_B.npy"):
        (model.folder / f"{NAME}_{role}").unlink()
    told = why_not(model.folder)
    assert "inter_B.npy" in told
    assert "decoder.npy" in told
    assert "are not there" in told


def test_an_empty_summary_is_half_written(model: SampleModel) -> None:
    (model.folder / f"{NAME}_summary.txt").write_bytes(b"")
    assert "summary.txt is empty or half-written" in why_not(model.folder)


def test_a_model_without_optimizer_or_summary_is_whole(model: SampleModel) -> None:
    (model.folder / f"{NAME}_src_dst_opt.npy").unlink()
    (model.folder / f"{NAME}_summary.txt").unlink()
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert taken.incomplete is None


@pytest.mark.parametrize("role", ["summary.txt", "encoder.npy", "data.dat", "src_dst_opt.npy"])
def test_a_file_replaced_while_the_set_is_opened(
    model: SampleModel, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """The bytes are the same, so content shows nothing: the last look at the paths has to."""
    opened = module.open_shared

    def open_then_replace(path: Path) -> int:
        descriptor: int = opened(path)
        if path.name.endswith(role):
            twin = path.with_name("twin")
            twin.write_bytes(path.read_bytes())
            os.replace(twin, path)
        return descriptor

    monkeypatch.setattr(module, "open_shared", open_then_replace)
    assert f"{NAME}_{role} was replaced while it was being opened" in why_not(model.folder)


def test_a_file_that_vanishes_while_the_set_is_opened(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = module.open_shared

    def open_or_vanish(path: Path) -> int:
        if path.name.endswith("src_dst_opt.npy"):
            path.unlink(missing_ok=True)
        descriptor: int = opened(path)
        return descriptor

    found = finder(model.folder)()
    monkeypatch.setattr(module, "open_shared", open_or_vanish)
    with pytest.raises(IncompleteSave, match=r"src_dst_opt\.npy vanished"):
        capture(lambda: found, AT_ONCE)


def test_a_save_between_two_opens_is_not_mixed(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer saves in the middle of the first attempt; the second takes the new save, wholly."""
    opened = module.open_shared
    saved: list[bool] = []

    def open_in_the_middle(path: Path) -> int:
        if path.name.endswith("inter_AB.npy") and not saved:
            saved.append(True)
            model.train(4)
            model.save()
        descriptor: int = opened(path)
        return descriptor

    monkeypatch.setattr(module, "open_shared", open_in_the_middle)
    with capture(finder(model.folder), Patience(5.0)) as taken:
        assert taken.state.iteration == 9
        assert read_all(taken) == {path.name: path.read_bytes() for path in model.paths()}


def test_open_files_outlive_the_next_save(model: SampleModel) -> None:
    before = {path.name: path.read_bytes() for path in model.paths()}
    with capture(finder(model.folder), AT_ONCE) as taken:
        model.train(5)
        model.save()
        assert read_all(taken) == before
        assert taken.changed() is None


def test_a_write_in_place_shows(model: SampleModel) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        with open(model.folder / f"{NAME}_decoder.npy", "r+b") as file:
            file.seek(100)
            file.write(b"other")
        os.utime(model.folder / f"{NAME}_decoder.npy", (1, 1))
        assert taken.changed() == f"{NAME}_decoder.npy"


def test_allow_incomplete_takes_what_is_there_and_says_why(model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    with capture(finder(model.folder), Patience(0.0, allow_incomplete=True)) as taken:
        assert taken.incomplete is not None
        assert "decoder.npy" in taken.incomplete
        assert len(taken.files) == 6


def test_a_stale_temporary_file_neither_blocks_nor_belongs(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SETTLE", 0.05)
    (model.folder / f"{NAME}_encoder.npy.tmp").write_bytes(b"half")
    with capture(finder(model.folder), Patience(20.0)) as taken:
        assert taken.incomplete is None
        assert f"{NAME}_encoder.npy.tmp" not in read_all(taken)


def test_an_old_temporary_file_is_stale_at_first_sight(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SETTLE", 1000.0)
    temporary = model.folder / f"{NAME}_encoder.npy.tmp"
    temporary.write_bytes(b"half")
    hour_ago = time.time() - 3600
    os.utime(temporary, (hour_ago, hour_ago))
    with capture(finder(model.folder), Patience(0.0)) as taken:
        assert taken.incomplete is None


def test_a_temporary_file_that_grows_is_waited_for(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SETTLE", 1000.0)
    (model.folder / f"{NAME}_encoder.npy.tmp").write_bytes(b"half")
    assert f"{NAME}_encoder.npy.tmp may be a save under way" in why_not(model.folder, Patience(0.05))


def test_what_never_becomes_whole_is_given_up_before_patience_ends(model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").unlink()
    begun = time.monotonic()
    assert "decoder.npy is not there" in why_not(model.folder, Patience(600.0, still=0.05))
    assert time.monotonic() - begun < 300


def test_waiting_ends_when_the_save_is_whole(model: SampleModel) -> None:
    missing = model.folder / f"{NAME}_decoder.npy"
    data = missing.read_bytes()
    missing.unlink()
    thread = threading.Timer(0.1, lambda: missing.write_bytes(data))
    thread.start()
    try:
        with capture(finder(model.folder), Patience(30.0)) as taken:
            assert len(taken.files) == 7
            assert taken.incomplete is None
    finally:
        thread.join()


class Told(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_it_says_what_it_waits_for(model: SampleModel) -> None:
    """Step by step a save goes on, whenever something is said; at its end the set is whole."""
    old = {path.name: path.read_bytes() for path in model.paths()}
    model.train(3)
    model.save()
    new = {path.name: path.read_bytes() for path in model.paths()}
    for name, data in old.items():
        (model.folder / name).write_bytes(data)
    summary, decoder, data_dat = (f"{NAME}_{role}" for role in ("summary.txt", "decoder.npy", "data.dat"))
    steps: list[Callable[[], object]] = [
        lambda: (model.folder / summary).write_bytes(new[summary]),
        lambda: (model.folder / f"{decoder}.tmp").write_bytes(new[decoder]),
        (model.folder / decoder).unlink,
        lambda: os.rename(model.folder / f"{decoder}.tmp", model.folder / decoder),
        lambda: [(model.folder / name).write_bytes(data) for name, data in new.items() if name != data_dat],
        lambda: (model.folder / data_dat).write_bytes(new[data_dat]),
    ]
    steps.pop(0)()

    class Going(Told):
        def message(self, text: str) -> None:
            super().message(text)
            steps.pop(0)()

    going = Going()
    with capture(finder(model.folder), Patience(30.0), progress=going) as taken:
        assert read_all(taken) == new
    torn = "waiting for a whole save: summary.txt is of iteration 8, data.dat of 5"
    under_way = f"; {decoder}.tmp may be a save under way"
    missing = "waiting for a whole save: decoder.npy is not there"
    assert going.messages == [torn, torn + under_way, missing + under_way, torn, torn]


def test_a_temporary_file_is_named_while_it_is_waited_for(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SETTLE", 0.05)
    (model.folder / f"{NAME}_encoder.npy.tmp").write_bytes(b"half")
    told = Told()
    capture(finder(model.folder), Patience(20.0), progress=told).close()
    assert set(told.messages) == {f"waiting for a whole save: {NAME}_encoder.npy.tmp may be a save under way"}


def test_while_the_next_save_is_awaited_the_key_is_told(model: SampleModel) -> None:
    told = Told()
    with pytest.raises(IncompleteSave, match="press s in the trainer's preview window to save now, wait longer"):
        capture(finder(model.folder), Patience(0.05, next_save=True), progress=told)
    assert set(told.messages) == {
        f"waiting for the next save of {NAME}: press s in the trainer's preview window to save now"
    }


def test_next_save_waits_for_one(model: SampleModel) -> None:
    def save() -> None:
        model.train(2)
        model.save()

    thread = threading.Timer(0.1, save)
    thread.start()
    try:
        with capture(finder(model.folder), Patience(30.0, next_save=True)) as taken:
            assert taken.state.iteration == 7
    finally:
        thread.join()


def test_a_save_that_comes_while_the_old_one_is_looked_at(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened is the old save: it is not the next one because that is in place by now."""
    real, asked = watch._identities, list[Model]()

    def identities(found: Model) -> dict[str, FileIdentity | None]:
        asked.append(found)
        if len(asked) == 2:
            model.train(2)
            model.save()
        return dict(real(found))

    monkeypatch.setattr(watch, "_identities", identities)
    with capture(finder(model.folder), Patience(30.0, next_save=True)) as taken:
        assert taken.state.iteration == 7


def test_a_file_that_cannot_be_opened_for_a_moment_is_no_save(
    model: SampleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = module.open_shared, list[Path]()

    def open_shared(path: Path) -> int:
        if path.name.endswith("data.dat"):
            asked.append(path)
            if len(asked) == 1:
                raise FileNotFoundError(path)
        return int(real(path))

    monkeypatch.setattr(module, "open_shared", open_shared)
    told = why_not(model.folder, Patience(0.1, next_save=True))
    assert len(asked) > 1
    assert "the trainer has not saved" in told


@pytest.mark.parametrize("allow", [False, True])
def test_next_save_does_not_make_do_with_the_old_one(model: SampleModel, allow: bool) -> None:
    told = why_not(model.folder, Patience(0.1, allow, next_save=True))
    assert "the trainer has not saved" in told
    assert "--wait" in told


def test_a_set_with_known_identities_is_not_read(model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        known = {item.file.path: item.identity for item in taken.files}, taken.state
    large = []
    read_at = FileSource.read_at

    def counted(source: FileSource, offset: int, length: int) -> bytes:
        if source.size > 64 << 10:
            large.append(length)
        return read_at(source, offset, length)

    monkeypatch.setattr(FileSource, "read_at", counted)
    with capture(finder(model.folder), AT_ONCE, known) as taken:
        assert taken.state == known[1]
    assert large == []
    os.utime(model.folder / f"{NAME}_data.dat", (1, 1))
    with capture(finder(model.folder), AT_ONCE, known):
        assert large != []


def test_data_that_runs_code_when_unpickled_is_not_unpickled(model: SampleModel, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (model.folder / f"{NAME}_data.dat").write_bytes(pickle.dumps({"iter": 5, "options": Evil()}, 4))
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert taken.state.iteration is None
        assert taken.state.problems
    assert not (tmp_path / "ran").exists()


def test_more_files_than_descriptors_are_opened_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.bin").write_bytes(bytes([number]) * 100_000)
    monkeypatch.setattr(module, "_HANDLES", 5)
    with capture(lambda: generic_model(folder), AT_ONCE) as taken:
        assert all(item.descriptor is None for item in taken.files)
        assert read_all(taken) == {path.name: path.read_bytes() for path in folder.iterdir()}
        assert taken.changed() is None
        (folder / "07.bin").write_bytes(b"other")
        assert taken.changed() == "07.bin"


# A model whose files do not tell whether a save is under way


def generic(folder: Path, age: float) -> Path:
    """Make a file that was written so many seconds ago."""
    folder.mkdir()
    path = folder / "weights.bin"
    path.write_bytes(bytes(100_000))
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def test_a_generic_model_that_was_written_a_moment_ago_is_let_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_REST", 0.1)
    generic(tmp_path / "ckpt", 0.0)
    told = Told()
    with capture(lambda: generic_model(tmp_path / "ckpt"), Patience(20.0), progress=told) as taken:
        assert taken.incomplete is None
    assert set(told.messages) == {"waiting for a whole save: weights.bin was changed a moment ago"}


def test_an_old_generic_model_is_taken_at_once(tmp_path: Path) -> None:
    generic(tmp_path / "ckpt", 60.0)
    told = Told()
    capture(lambda: generic_model(tmp_path / "ckpt"), Patience(20.0), progress=told).close()
    assert told.messages == []


def test_a_generic_model_that_is_written_all_the_time_is_whole_when_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it changes while it is read would void the read; a change before that is no flaw."""
    monkeypatch.setattr(watch, "_REST", 1000.0)
    generic(tmp_path / "ckpt", 0.0)
    with capture(lambda: generic_model(tmp_path / "ckpt"), Patience(0.05)) as taken:
        assert taken.incomplete is None


# Where open files are in the trainer's way


@pytest.fixture(params=["copied", "held"])
def loose(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Work as on Windows, on a volume where deleted files keep their names, or on one where they do not."""
    monkeypatch.setattr(module, "_HOLDS", False)
    monkeypatch.setattr(module, "name_is_free_at_once", lambda folder: request.param == "held")
    return str(request.param)


def open_files() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_no_file_of_the_model_is_held_where_that_is_in_the_way(model: SampleModel, loose: str) -> None:
    own = {str(path) for path in model.paths()}
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert not own & open_files()
        taken.keep({})
        assert bool(own & open_files()) is (loose == "held")
    assert not own & open_files()


def test_what_was_kept_outlives_the_next_save(model: SampleModel, loose: str) -> None:
    before = {path.name: path.read_bytes() for path in model.paths()}
    with capture(finder(model.folder), AT_ONCE) as taken:
        assert taken.incomplete is None
        taken.keep({})
        model.train(5)
        model.save()
        assert read_all(taken) == before
        assert taken.changed() is None


@pytest.mark.parametrize("role", ["decoder.npy", "src_dst_opt.npy"])
def test_a_save_before_it_was_kept_is_noticed(model: SampleModel, loose: str, role: str) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        path = model.folder / f"{NAME}_{role}"
        twin = path.with_name("twin")
        twin.write_bytes(path.read_bytes())
        os.replace(twin, path)
        with pytest.raises(IncompleteSave, match=f"{role} was replaced"):
            taken.keep({})


def test_a_small_file_that_changes_before_the_rest_is_kept_is_noticed(model: SampleModel, loose: str) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        (model.folder / f"{NAME}_summary.txt").write_text("another")
        with pytest.raises(IncompleteSave, match=r"summary\.txt was replaced"):
            taken.keep({})


def test_a_save_while_the_set_is_judged_is_noticed(
    model: SampleModel, loose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked at before is of the old save, what is read now of the new one."""
    state = DeepFaceLab.state

    def and_save(kind: DeepFaceLab, *arguments: Any) -> Any:
        model.train(1)
        model.save()
        return state(kind, *arguments)

    monkeypatch.setattr(DeepFaceLab, "state", and_save)
    assert "summary.txt is of iteration" in why_not(model.folder) or "was replaced" in why_not(model.folder)
    monkeypatch.setattr(DeepFaceLab, "torn", lambda *arguments: None)
    assert "was replaced while it was being opened" in why_not(model.folder)


def test_files_that_are_known_are_not_copied(model: SampleModel, loose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture(finder(model.folder), AT_ONCE) as taken:
        known = {item.file.path: item.identity for item in taken.files}
        del known[f"{NAME}_decoder.npy"]
        copy_away, copied = module.copy_away, []

        def noted(path: Path, identity: FileIdentity) -> Any:
            copied.append(path.name)
            return copy_away(path, identity)

        monkeypatch.setattr(module, "copy_away", noted)
        taken.keep(known)
        assert copied == ([f"{NAME}_decoder.npy"] if loose == "copied" else [])
        os.utime(model.folder / f"{NAME}_src_dst_opt.npy", (1, 1))
        assert taken.changed() == f"{NAME}_src_dst_opt.npy"


def test_a_file_that_is_in_use_is_waited_for(model: SampleModel, loose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = module.open_shared
    left = [3]

    def busy(path: Path) -> int:
        if path.name.endswith("src_dst_opt.npy") and left[0] > 0:
            left[0] -= 1
            raise PermissionError(13, "somebody has it", str(path))
        descriptor: int = opened(path)
        return descriptor

    monkeypatch.setattr(module, "open_shared", busy)
    told = Told()
    with capture(finder(model.folder), Patience(20.0), progress=told) as taken:
        assert len(taken.files) == 7
    assert told.messages == [f"waiting for a whole save: {NAME}_src_dst_opt.npy is in use"] * 3


def test_no_descriptor_stays_open(model: SampleModel) -> None:
    count = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with capture(finder(model.folder), AT_ONCE):
        pass
    (model.folder / f"{NAME}_decoder.npy").unlink()
    why_not(model.folder, Patience(0.05))
    if count is not None:
        assert len(os.listdir("/proc/self/fd")) == count


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="new_SAEHD"):
        capture(finder(tmp_path), Patience(60.0))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_that_may_not_be_read(model: SampleModel) -> None:
    (model.folder / f"{NAME}_decoder.npy").chmod(0)
    with pytest.raises(StorageError, match=r"decoder\.npy"):
        capture(finder(model.folder), AT_ONCE)
