"""Other vaults in the panel: their names, what is only here or there, and what travels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from tests.support.panel import Opened, opened
from tests.support.trainer import NAME, make_model


@pytest.fixture
def other(tmp_path: Path) -> api.Vault:
    return api.init(tmp_path / "other" / ".casvault")


@pytest.fixture
def page(tmp_path: Path, other: api.Vault) -> Iterator[Opened]:
    model = make_model(tmp_path / "workspace" / "model", size=60_000)
    vault = api.init(tmp_path / ".casvault")
    vault.snapshot(model.folder / NAME, name="only here")
    with opened(tmp_path / ".casvault") as made:
        yield made


def add(page: Opened, name: str, address: object, status: int = 200) -> None:
    assert page.send("/dialogs/remote", {"name": name, "address": str(address)}).status_code == status


def transfer(page: Opened, way: str, **more: Any) -> str:
    assert page.send(f"/dialogs/transfer/{way}", {"remote": "usb", **more}).status_code == 200
    for thread in page.panel.jobs.threads():
        thread.join()
    job = page.panel.jobs.all()[0]
    assert job.state == "done", job.error
    return job.told


def test_snapshots_go_there_and_come_back(page: Opened, other: api.Vault) -> None:
    add(page, "usb", other.path)
    assert "Only here: 1" in page.client.get("/sync/state/usb").text
    shown = page.client.get("/dialogs/transfer/push?remote=usb").text
    assert '<dd class="big">1</dd>' in shown
    assert transfer(page, "push").startswith("1 snapshot sent, ")
    assert [head.name for head in other.snapshots()] == ["only here"]
    assert "Both vaults have the same snapshots" in page.client.get("/sync/state/usb").text
    other.edit("only here", name="named there")
    assert "Named or marked anew there: 1" in page.client.get("/sync/state/usb").text
    assert transfer(page, "pull") == "1 label received."
    assert [head.name for head in page.panel.vault.snapshots()] == ["named there"]
    page.panel.vault.delete("named there")
    assert "Deleted here, still there: 1" in page.client.get("/sync/state/usb").text
    transfer(page, "sync")
    assert len(other.snapshots()) == 1
    assert transfer(page, "sync", delete="true").startswith("1 deletion sent.")
    assert other.snapshots() == []
    commands = [entry.command for entry in page.panel.activity.entries()]
    assert any(command and command.endswith("sync usb --delete") for command in commands)
    assert any(command and "remote add usb" in command for command in commands)


def test_addresses_are_checked_before_they_are_kept(page: Opened, tmp_path: Path) -> None:
    for name, address in (
        ("usb", "ssh://-oProxyCommand=touch"),
        ("usb", "http://example.org/"),
        ("-x", "/mnt"),
        ("a b", "/mnt"),
        ("usb", "\0"),
    ):
        add(page, name, address, 422)
    assert page.panel.vault.remotes() == []


def test_what_is_not_there_is_told_in_its_place(page: Opened, tmp_path: Path) -> None:
    add(page, "gone", tmp_path / "nothing")
    answer = page.client.get("/sync/state/gone")
    assert answer.status_code == 200
    assert "There is no vault at" in answer.text
    assert "gone" in page.client.get("/sync").text
    assert page.send("/dialogs/forget", {"name": "gone"}).status_code == 200
    assert page.panel.vault.remotes() == []
    for path in (
        "/sync/state/gone",
        "/dialogs/forget/gone",
        "/dialogs/transfer/push?remote=gone",
        "/dialogs/transfer/x",
    ):
        assert page.client.get(path).status_code == 404
    assert page.send("/dialogs/transfer/push", {"remote": "gone"}).status_code == 422
    assert page.send("/dialogs/transfer/push", {"remote": str(tmp_path / "other" / ".casvault")}).status_code == 422


def test_nothing_is_connected_to_by_opening_the_page(page: Opened) -> None:
    add(page, "far", "ssh://me@host.invalid/home/me/.casvault")
    shown = page.client.get("/sync").text
    assert "nobody has looked yet" in shown
    assert 'hx-trigger="load"' not in shown


def test_only_the_snapshots_of_a_model_travel(page: Opened, other: api.Vault, tmp_path: Path) -> None:
    second = make_model(tmp_path / "workspace" / "model", "b_SAEHD", size=60_000)
    page.panel.vault.snapshot(second.folder / "b_SAEHD", name="of another")
    add(page, "usb", other.path)
    assert '<dd class="big">2</dd>' in page.client.get("/dialogs/transfer/push?remote=usb").text
    assert '<dd class="big">1</dd>' in page.client.get("/dialogs/transfer/push?remote=usb&model=b_SAEHD").text
    transfer(page, "push", model="b_SAEHD")
    assert [head.name for head in other.snapshots()] == ["of another"]
