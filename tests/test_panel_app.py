"""The application: pages, jobs and what they leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from casvault import api
from casvault.demo.model import SampleModel
from casvault.panel.operations import taking
from tests.support.panel import opened


@pytest.fixture
def home(tmp_path: Path) -> Path:
    model = SampleModel(tmp_path / "workspace" / "model", size=60_000)
    model.train(20)
    model.save()
    return tmp_path


def test_first_run(home: Path) -> None:
    with opened(home / ".casvault") as page:
        assert page.client.get("/").status_code == 200
        taking.make_vault(page.panel)
        job = taking.snapshot(page.panel, page.model(), name="<script>alert(1)</script>")
        assert page.wait(job.id).state == "done"
        text = page.client.get("/").text
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text
    assert [head.iteration for head in api.open(home / ".casvault").snapshots()] == [20]
