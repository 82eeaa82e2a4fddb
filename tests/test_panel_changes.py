"""Changes: what others do to the vault and the model is noticed and told; what the panel did is not told twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.panel.app import make_panel
from casvault.panel.desk import Desk
from casvault.panel.operations import keeping, restoring, taking
from casvault.panel.panel import Panel


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    made = SampleModel(tmp_path / "workspace" / "model", size=20_000)
    made.train(20)
    made.save()
    return made


@pytest.fixture
def panel(tmp_path: Path, model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Panel]:
    api.init(tmp_path / ".casvault").snapshot(model.folder, name="one")
    made = make_panel(Desk(tmp_path / ".casvault", tmp_path))
    made.changes.look()
    yield made
    made.close()


class Heard:
    """What was published since the last time that it was asked."""

    def __init__(self, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
        self._heard: list[str] = []
        monkeypatch.setattr(panel.hub, "publish", self._publish)

    def _publish(self, kind: str, document: dict[str, Any], subject: str = "") -> None:
        self._heard.append(kind)

    def __call__(self) -> list[str]:
        heard, self._heard = self._heard, []
        return heard


def told(panel: Panel) -> list[tuple[str, str, str]]:
    return [(entry.by, entry.what, entry.text) for entry in panel.activity.entries()]


def wait(panel: Panel) -> None:
    for thread in panel.jobs.threads():
        thread.join()


def test_nothing_is_told_while_nothing_changes(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(panel, monkeypatch)
    monkeypatch.setattr(type(panel.vault), "snapshots", lambda *_, **__: pytest.fail("read more than names"))
    panel.changes.look()
    panel.changes.look()
    assert heard() == []
    assert told(panel) == []


def test_what_others_do_is_told(panel: Panel, model: SampleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, other = Heard(panel, monkeypatch), api.open(panel.desk.path)
    model.train(5)
    model.save()
    panel.changes.look()
    assert heard() == ["live"]
    taken = other.snapshot(model.folder, name="two")
    panel.changes.look()
    assert "vault" in heard()
    other.edit(taken.id, pinned=True, notes="<b>")
    panel.changes.look()
    other.edit(taken.id, pinned=False)
    other.delete(taken.id)
    panel.changes.look()
    assert told(panel) == [
        ("elsewhere", "delete", "Snapshot 'two' of demo_SAEHD was deleted."),
        ("elsewhere", "edit", "Snapshot 'two' of demo_SAEHD was changed."),
        ("elsewhere", "snapshot", "Snapshot 'two' of demo_SAEHD was taken."),
    ]


def test_what_the_panel_does_is_told_once(panel: Panel, model: SampleModel) -> None:
    (key,) = panel.desk.models()
    (one,) = panel.vault.snapshots()
    model.train(5)
    model.save()
    taking.snapshot(panel, key, name="two")
    wait(panel)
    panel.changes.look()
    model.train(5)
    model.save()
    restoring.restore(panel, one.id)
    wait(panel)
    panel.changes.look()
    keeping.edit(panel, one.id, name="uno")
    panel.changes.look()
    keeping.delete(panel, [one.id])
    panel.changes.look()
    keeping.undelete(panel, one.id)
    panel.changes.look()
    assert [(by, what) for by, what, _ in told(panel)] == [
        ("panel", "undelete"),
        ("panel", "delete"),
        ("panel", "edit"),
        ("panel", "restore"),
        ("panel", "snapshot"),
    ]
    # What comes from elsewhere after all that is still seen.
    api.open(panel.desk.path).edit(one.id, name="eins")
    panel.changes.look()
    assert told(panel)[0] == ("elsewhere", "edit", "Snapshot 'eins' of demo_SAEHD was changed.")


def test_what_comes_while_the_panel_is_at_work_is_told_when_it_rests(panel: Panel, model: SampleModel) -> None:
    panel.changes.busy = lambda: True
    model.train(5)
    model.save()
    api.open(panel.desk.path).snapshot(model.folder, name="two")
    panel.changes.look()
    assert told(panel) == []
    panel.changes.busy = lambda: False
    panel.changes.look()
    assert told(panel) == [("elsewhere", "snapshot", "Snapshot 'two' of demo_SAEHD was taken.")]


def test_a_vault_that_comes_or_goes_is_no_trouble(tmp_path: Path, model: SampleModel) -> None:
    panel = make_panel(Desk(tmp_path / ".casvault", tmp_path))
    panel.changes.look()
    api.init(tmp_path / ".casvault")
    panel.changes.look()
    (tmp_path / ".casvault").rename(tmp_path / "away")
    panel.changes.look()
    assert told(panel) == []
