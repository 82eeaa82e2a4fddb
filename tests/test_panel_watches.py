"""Watches: automatic snapshots that are switched on in the panel, and end with it."""

from __future__ import annotations

import threading
from pathlib import Path

from casvault import api
from casvault.demo.model import SampleModel
from casvault.panel.app import make_panel
from casvault.panel.desk import Desk
from casvault.panel.operations import taking


def test_a_watch_takes_what_is_saved_and_tells_it(tmp_path: Path) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", size=20_000)
    model.train(20)
    model.save()
    api.init(tmp_path / ".casvault")
    panel = make_panel(Desk(tmp_path / ".casvault", tmp_path))
    panel.changes.look()
    (key,) = panel.desk.models()
    told = threading.Event()
    settle = panel.watches._settle
    panel.watches._settle = lambda ids: (settle(ids), told.set())  # type: ignore[func-returns-value,assignment]
    assert taking.switch_watch(panel, key, True)["on"]
    assert told.wait(60)
    panel.close()
    assert not panel.watches.is_on(key)
    assert threading.active_count() == len([t for t in threading.enumerate() if not t.name.startswith("watch")])
    (head,) = panel.vault.snapshots()
    assert (head.kind, head.iteration) == ("scheduled", 20)
    panel.changes.look()
    entries = [(entry.by, entry.what, entry.snapshot) for entry in panel.activity.entries()]
    assert entries[-2:] == [("watch", "snapshot", head.id), ("panel", "watch", None)]
    assert "elsewhere" not in {by for by, _, _ in entries}
