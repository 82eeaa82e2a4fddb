"""The panel as a process: its address, its stream of events, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from casvault import api
from casvault.demo.model import SampleModel

WAIT = 60.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
"""In which a process in any folder runs the casvault that is tested, also where another one is installed."""


class Process:
    """``casvault panel`` in a folder, and a client with its key."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "casvault", "panel", "--no-browser", *options],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.client = httpx.Client(base_url=self.url.partition("/?")[0], timeout=WAIT)

    def open(self) -> None:
        assert self.client.get(self.url).status_code == 303

    def events(self) -> Iterator[tuple[str, Any]]:
        with self.client.stream("GET", "/api/v1/events") as answer:
            kind = ""
            for line in answer.iter_lines():
                kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
                if line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Ask it to end; return its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=WAIT)
        return self.process.returncode, errors


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Process]:
    made = Process(folder, *options)
    try:
        yield made
    finally:
        made.client.close()
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate()


@pytest.fixture
def model(tmp_path: Path) -> SampleModel:
    made = SampleModel(tmp_path / "workspace" / "model", size=60_000)
    made.train(20)
    made.save()
    return made


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
def test_from_the_address_to_the_end(tmp_path: Path, model: SampleModel) -> None:
    api.init(tmp_path / ".casvault")
    with served(tmp_path, "--port", "0") as panel:
        assert panel.url.startswith("http://127.0.0.1:")
        assert panel.client.get("/").status_code == 401
        panel.open()
        assert panel.client.get("/").status_code == 200
        (key,) = (one["key"] for one in panel.client.get("/api/v1/models").json()["models"])
        heard = panel.events()
        assert next(heard) == ("hello", {})
        taken = panel.client.post(f"/api/v1/models/{key}/snapshot", json={"name": "one"})
        assert taken.status_code == 202
        ended = next(told for kind, told in heard if kind == "job" and told["state"] != "running")
        assert (ended["id"], ended["state"]) == (taken.json()["id"], "done")
        # The command line is another process, and is heard as well.
        api.open(tmp_path / ".casvault").edit("one", notes="from elsewhere")
        assert next(told["text"] for kind, told in heard if kind == "activity" and told["by"] == "elsewhere")
        # One waits for a save for good, and a page listens: neither keeps the panel from ending.
        waits = panel.client.post(f"/api/v1/models/{key}/snapshot", json={"next_save": True}).json()
        assert next(told for kind, told in heard if kind == "job" and told["id"] == waits["id"])
        assert panel.end() == (0, "")
        # The stream ended as one that is over does, not cut off.
        assert all(kind in ("job", "jobs", "vault", "activity", "live") for kind, _ in heard)
    assert [head.name for head in api.open(tmp_path / ".casvault").snapshots()] == ["one"]


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
def test_a_token_that_was_used_prints_a_new_address(tmp_path: Path, model: SampleModel) -> None:
    with served(tmp_path, "--port", "0") as panel:
        panel.open()
        panel.client.cookies.clear()
        assert panel.client.get(panel.url).status_code == 401
        code, errors = panel.end(signal.SIGTERM)
        assert code == 0
        assert errors.startswith(f"A new address: {panel.url.partition('=')[0]}=")
        assert panel.url not in errors


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "casvault", "panel", "--no-browser", "--port", port]
        ended = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=WAIT, check=False
        )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (f"casvault: port {port} of 127.0.0.1 cannot be had; name another, or `--port 0` for any.\n")


def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from casvault.cli import panel
    from casvault.cli.main import run

    monkeypatch.setattr(panel, "find_spec", lambda name: None if name in ("starlette", "uvicorn") else object())
    with pytest.raises(SystemExit) as ended:
        run(["panel", "--no-browser"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "casvault: the panel needs starlette, uvicorn: install 'casvault[panel]' in place of casvault.\n"
    )


def test_other_commands_do_not_pay_for_it() -> None:
    code = "import sys; from casvault.cli.main import run\ntry: run(['--help'])\nexcept SystemExit: print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=WAIT, check=True
    )
    loaded = set(told.stdout.split())
    assert not loaded & {"starlette", "uvicorn", "jinja2", "msgspec", "anyio", "casvault.panel"}


def test_a_panel_for_a_network_says_what_that_means(tmp_path: Path, model: SampleModel) -> None:
    with served(tmp_path, "--port", "0", "--host", "0.0.0.0") as panel:
        port = panel.url.rpartition(":")[2].partition("/")[0]
        assert f"http://{socket.gethostname()}:" in panel.url
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT)
        assert client.get(f"/?{panel.url.partition('?')[2]}").status_code == 303
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"Host": f"evil.example:{port}"}).status_code == 421
        client.close()
        if os.name != "nt":
            code, errors = panel.end()
            assert code == 0
            assert errors.startswith("Warning: the panel listens at 0.0.0.0, unencrypted")
