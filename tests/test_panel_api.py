"""The JSON API: what it answers, and that nothing that comes in is answered with a 500."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casvault import api
from casvault.cli.main import COMMANDS, main
from casvault.demo.model import SampleModel
from tests.support.panel import Opened, opened
from tests.support.pictures import JPEG


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    made = SampleModel(tmp_path / "workspace" / "model", size=60_000)
    made.train(120)
    made.save()
    return made


@pytest.fixture
def page(tmp_path: Path, model: SampleModel) -> Iterator[Opened]:
    api.init(tmp_path / ".casvault").snapshot(model.folder, name="one", notes="first\nsecond")
    with opened(tmp_path / ".casvault") as found:
        yield found


def get(page: Opened, path: str, status: int = 200) -> Any:
    answer = page.client.get(f"/api/v1{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def send(page: Opened, path: str, body: object = None, status: int = 200, method: str = "POST") -> Any:
    answer = page.send(f"/api/v1{path}", body, method)
    assert answer.status_code == status, answer.text
    return answer.json()


def run(page: Opened, path: str, body: object = None) -> Any:
    """Start an operation; return its document when it has ended well."""
    id = send(page, path, body, 202)["id"]
    page.wait(id)
    told = get(page, f"/jobs/{id}")
    assert told["state"] == "done", told
    return told


def only(page: Opened) -> str:
    (snapshot,) = get(page, "/snapshots")["snapshots"]
    return str(snapshot["id"])


def test_first_run(tmp_path: Path, model: SampleModel) -> None:
    with opened(tmp_path / ".casvault") as page:
        assert get(page, "/panel")["vault"] is None
        assert get(page, "/snapshots", 404)["error"]["type"] == "NoVault"
        (found,) = get(page, "/models")["models"]
        assert (found["name"], found["type"], found["watch"]["on"]) == ("demo_SAEHD", "SAEHD", False)
        assert send(page, "/vault") == {"vault": str(tmp_path / ".casvault"), "made": True}
        assert send(page, "/vault")["made"] is False
        taken = run(page, f"/models/{found['key']}/snapshot", {"name": "one"})
        assert (taken["result"]["iteration"], taken["result"]["name"]) == (120, "one")
        (snapshot,) = get(page, "/snapshots")["snapshots"]
        assert (snapshot["id"], snapshot["model_key"]) == (taken["result"]["id"], found["key"])


def test_a_live_model(page: Opened, model: SampleModel) -> None:
    key = page.model()
    assert get(page, f"/models/{key}")["equals"] == only(page)
    model.train(30)
    model.save()
    page.panel.desk.forget()
    told = get(page, f"/models/{key}")
    assert (told["iteration"], told["iterations_not_snapshotted"], told["trainers"]) == (150, 30, [])
    losses = get(page, f"/models/{key}/losses?points=15")
    assert (losses["last"], len(losses["iterations"]), len(losses["curves"][0]["mean"])) == (150, 15, 15)
    assert run(page, f"/models/{key}/health")["result"]["state"] == "ok"


def test_restore_and_undo(page: Opened, model: SampleModel) -> None:
    id, key = only(page), page.model()
    assert get(page, f"/models/{key}/undo", 404)["error"]["exit_code"] == 1
    model.train(30)
    model.save()
    before = {path.name: path.read_bytes() for path in model.paths()}
    plan = get(page, f"/snapshots/{id}/restore")
    assert plan["nothing_to_do"] is False
    assert {change["action"] for change in plan["changes"]} == {"replace"}
    done = run(page, f"/snapshots/{id}/restore")
    assert done["result"]["backup"]["iteration"] == 150
    assert (done["snapshot"], done["key"]) == (id, key)
    assert {path.name: path.read_bytes() for path in model.paths()} != before
    assert get(page, f"/models/{key}/undo")["nothing_to_do"] is False
    run(page, f"/models/{key}/undo")
    assert {path.name: path.read_bytes() for path in model.paths()} == before


def test_edit_delete_and_undelete(page: Opened) -> None:
    id = only(page)
    told = send(page, f"/snapshots/{id}", {"name": "<b>", "pinned": True, "tag": ["good"]}, method="PATCH")
    assert (told["name"], told["notes"], told["pinned"], told["tags"]) == ("<b>", "first\nsecond", True, ["good"])
    refused = send(page, "/delete", {"ids": [id]}, 422)["error"]
    assert (refused["type"], refused["exit_code"]) == ("UsageError", 2)
    assert "is pinned" in refused["message"]
    send(page, f"/snapshots/{id}", {"pinned": False, "notes": ""}, method="PATCH")
    planned = send(page, "/delete", {"ids": [id], "dry_run": True})
    assert planned["frees_bytes"] > 10_000
    assert get(page, f"/snapshots/{id}")["notes"] is None
    assert send(page, "/delete", {"ids": [id]}) == {**planned, "dry_run": False}
    assert get(page, "/snapshots")["snapshots"] == []
    assert [one["id"] for one in get(page, "/snapshots?deleted=true")["snapshots"]] == [id]
    assert send(page, f"/snapshots/{id}/undelete")["id"] == id
    assert get(page, "/usage")["vault"]["reclaimable_bytes"] == 0
    send(page, "/delete", {"ids": [id]})
    assert get(page, "/gc")["freed_bytes"] == planned["frees_bytes"]
    assert run(page, "/gc")["result"]["freed_bytes"] == planned["frees_bytes"]
    assert "its space" in send(page, f"/snapshots/{id}/undelete", None, 404)["error"]["message"]


def test_prune_and_thin(page: Opened, model: SampleModel) -> None:
    key = page.model()
    for _ in range(3):
        model.train(10)
        model.save()
        run(page, f"/models/{key}/snapshot")
    newest, *others = [one["id"] for one in get(page, "/snapshots")["snapshots"]]
    rules = {"last": 1, "include_manual": True, "model": key}
    planned = send(page, "/prune", rules)
    assert (planned["dry_run"], sorted(planned["deleted"])) == (True, sorted(others))
    assert len(get(page, "/snapshots")["snapshots"]) == 4
    assert send(page, "/thin", {"ids": [newest], "dry_run": True})["frees_bytes"] > 0
    send(page, "/thin", {"ids": [newest]})
    assert get(page, f"/snapshots/{newest}")["thinned"]
    assert send(page, f"/snapshots/{newest}/unthin")["thinned"] == []
    assert send(page, "/prune", {**rules, "dry_run": False})["deleted"] == planned["deleted"]
    assert [one["id"] for one in get(page, f"/snapshots?model={key}")["snapshots"]] == [newest]
    assert send(page, "/prune", {}, 422)["error"]["type"] == "UsageError"


def test_a_picture_never_changes(page: Opened, model: SampleModel) -> None:
    get(page, f"/snapshots/{only(page)}/picture", 404)
    picture = model.folder / "face.jpg"
    picture.write_bytes(JPEG)
    id = page.panel.vault.snapshot(model.folder, preview=picture).id
    kind = get(page, f"/snapshots/{id}")["preview"]["media_type"]
    answer = page.client.get(f"/api/v1/snapshots/{id}/picture")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.content == page.panel.vault.preview(id)
    again = page.client.get(f"/api/v1/snapshots/{id}/picture", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_compare_verify_and_what_a_snapshot_holds(page: Opened, model: SampleModel) -> None:
    id, key = only(page), page.model()
    model.train(10)
    model.save()
    found = run(page, "/diff", {"a": id, "b": key})
    assert found["result"]["same"] is False
    assert found["title"] == "Comparing 'one' with demo_SAEHD as it is now"
    assert run(page, "/diff", {"a": id, "b": id})["result"]["same"] is True
    assert get(page, "/verify")["never"] > 0
    assert run(page, "/verify", {"read_data": True})["result"]["ok"] is True
    assert get(page, "/verify")["never"] == 0
    assert get(page, f"/snapshots/{id}/losses")["last"] == 120
    whole = get(page, f"/snapshots/{id}")
    assert {path.name for path in model.paths()} == {file["path"] for file in whole["files"]}
    assert get(page, "/jobs")["jobs"][0]["told"].startswith("All is well")


def test_the_watch_can_be_switched(page: Opened, model: SampleModel) -> None:
    key = page.model()
    assert send(page, f"/models/{key}/watch", {"on": True}, method="PUT")["on"] is True
    assert send(page, f"/models/{key}/watch", {"on": True}, method="PUT")["on"] is True
    assert get(page, "/models")["models"][0]["watch"]["on"] is True
    assert send(page, f"/models/{key}/watch", {"on": False}, method="PUT") == {"on": False, "last": None}
    texts = [entry["text"] for entry in get(page, "/activity")["activity"]]
    assert texts[0] == "Automatic snapshots of demo_SAEHD off."


def test_remotes(page: Opened, tmp_path: Path) -> None:
    there = tmp_path / "there" / ".casvault"
    api.init(there)
    assert get(page, "/remotes") == {"remotes": []}
    told = send(page, "/remotes/nas", {"url": str(there)}, method="PUT")
    assert (told["name"], told["url"]) == ("nas", str(there))
    assert get(page, "/remotes")["remotes"] == [told]
    compared = get(page, "/remotes/nas?sizes=true")
    assert [head["id"] for head in compared["only_here"]] == [only(page)]
    assert compared["bytes_to_send"] > 1000
    assert get(page, "/remotes/nas")["bytes_to_send"] is None
    run(page, "/remotes/nas/push", {"model": page.model()})
    assert [head.name for head in api.open(there).snapshots()] == ["one"]
    compared = get(page, "/remotes/nas")
    assert (compared["both"], compared["only_here"], compared["only_there"]) == (1, [], [])
    run(page, "/remotes/nas/pull")
    run(page, "/remotes/nas/sync")
    assert page.client.delete("/api/v1/remotes/nas", headers={"Content-Type": "application/json"}).json() == told
    get(page, "/remotes/nas", 404)
    send(page, "/remotes/nas/push", None, 404)
    for name, url in (("a b", "/x"), ("-o", "/x"), ("x", "ssh://-oProxyCommand=touch/x"), ("x", "a\x00b")):
        assert send(page, f"/remotes/{name}", {"url": url}, 422, "PUT")["error"]["exit_code"] == 2


def test_what_is_not_there_is_not_found(page: Opened) -> None:
    gone = "20261124T031500.123Z-1f3c9a"
    for path in ("nonsense", gone, f"{gone}/picture", f"{gone}/losses", "..%2F..%2Fetc%2Fpasswd", "%00", "a/b/c"):
        assert get(page, f"/snapshots/{path}", 404)["error"]["type"] == "NotFound"
    for path in ("/models/0123456789abcdef", "/models/etc", "/jobs/000000000000", "/nothing", "/models//losses"):
        assert get(page, path, 404)["error"]["type"] == "NotFound"
    assert send(page, f"/snapshots/{gone}/restore", None, 404)["error"]["type"] == "NotFound"
    assert send(page, "/delete", {"ids": [gone]}, 404)["error"]["type"] == "NotFound"
    for what in ("/etc/passwd", "latest~99", str(page.panel.desk.path.parent / "workspace"), "workspace/model", ""):
        assert send(page, "/diff", {"a": what[:27], "b": only(page)}, 404)["error"]["type"] == "NotFound"


SENSELESS: list[tuple[str, object]] = [
    ("/delete", {}),
    ("/delete", {"ids": []}),
    ("/delete", {"ids": "20261124T031500.123Z-1f3c9a"}),
    ("/delete", {"ids": ["../../etc"]}),
    ("/delete", {"ids": ["20261124T031500.123Z-1f3c9a"], "gc": True}),
    ("/prune", {"last": -1}),
    ("/prune", {"last": "1"}),
    ("/prune", {"last": 1e400}),
    ("/prune", {"max_bytes": 10**30}),
    ("/verify", {"sample": 0}),
    ("/verify", {"sample": float("nan")}),
    ("/verify", []),
    ("/verify", None),
    ("/gc", {"now": True}),
    ("/diff", {"a": 1, "b": 2}),
]


def test_what_makes_no_sense_is_refused(page: Opened) -> None:
    bodies = [(path, json.dumps(body).encode()) for path, body in SENSELESS]
    bodies += [
        ("/delete", body) for body in (b"{", b"\xff", b'"\\ud800"', b"[" * 100_000, b"nul", b'{"ids":["\\u0000"]}')
    ]
    for path, body in bodies:
        answer = page.client.post(f"/api/v1{path}", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (path, body[:50], answer.text)
        assert answer.json()["error"]["exit_code"] == 2
    for path in (
        "/snapshots?deleted=perhaps",
        "/snapshots?model=x",
        "/snapshots?x=1",
        "/snapshots?deleted=1&deleted=0",
    ):
        assert get(page, path, 422)["error"]["exit_code"] == 2


def test_names_and_notes_are_checked(page: Opened) -> None:
    id = only(page)
    for name in ("a\nb", "\x1b[31m", "\u202eevil"):
        assert send(page, f"/snapshots/{id}", {"name": name}, 422, "PATCH")["error"]["type"] == "UsageError"
        assert send(page, f"/models/{page.model()}/snapshot", {"name": name}, 422)["error"]["exit_code"] == 2
    assert get(page, f"/snapshots/{id}")["name"] == "one"


def test_each_command_line_is_one_that_casvault_takes(page: Opened, model: SampleModel) -> None:
    id, key = only(page), page.model()
    model.train(10)
    model.save()
    send(page, f"/snapshots/{id}", {"tag": ["old"]}, 200, "PATCH")
    run(page, f"/models/{key}/snapshot", {"name": "it's $HOME", "notes": '--all "x"\ny', "allow_incomplete": True})
    send(
        page,
        f"/snapshots/{id}",
        {"name": "-n", "notes": "", "pinned": True, "tag": ["a b"], "untag": ["old"]},
        200,
        "PATCH",
    )
    send(page, f"/snapshots/{id}", {"pinned": False}, 200, "PATCH")
    run(page, f"/snapshots/{id}/restore", {"backup": False})
    run(page, f"/models/{key}/health")
    run(page, f"/snapshots/{id}/health")
    run(page, "/diff", {"a": id, "b": key})
    run(page, "/verify", {"sample": 0.05})
    send(page, "/thin", {"ids": [id]})
    send(page, f"/snapshots/{id}/unthin")
    rules = {"last": 5, "every_iterations": 3, "within_hours": 36, "log": True, "max_bytes": 10**9, "best": 1}
    send(page, "/prune", {**rules, "dry_run": False, "include_manual": True, "model": key})
    send(page, "/delete", {"ids": [id]})
    send(page, f"/snapshots/{id}/undelete")
    run(page, "/gc")
    send(page, f"/models/{key}/watch", {"on": True}, method="PUT")
    lines = [entry["command"] for entry in get(page, "/activity")["activity"] if entry["command"]]
    assert len(lines) >= 14
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "casvault"
        assert words[:2] == ["--vault", str(page.panel.desk.path)]
        command = main.get_command(None, words[2])  # type: ignore[arg-type]
        assert command is not None
        command.make_context(words[2], words[3:])
    assert {shlex.split(line)[3] for line in lines} <= set(COMMANDS)
    told = next(shlex.split(line) for line in lines if shlex.split(line)[3] == "snapshot")
    assert told[5:] == ["--name=it's $HOME", '--notes=--all "x"\ny', "--allow-incomplete"]


def test_the_document_tells_every_route(page: Opened) -> None:
    told = get(page, "/openapi.json")
    assert told["openapi"] == "3.1.0"
    routes = {
        (method.lower(), route.path)
        for route in page.panel_routes()
        for method in (route.methods or set()) - {"HEAD"}
        if route.path.startswith("/api/v1/") and not route.path.endswith("openapi.json")
    }
    assert {(method, path) for path, methods in told["paths"].items() for method in methods} == routes
    references = set(re.findall(r'"#/components/schemas/(\w+)"', str(told).replace("'", '"')))
    assert references <= told["components"]["schemas"].keys()
