"""The JSON API under requests that nobody would write: what the OpenAPI document allows, and what it does not.

Every answer keeps to the document; no request ends in a 500, and whatever was asked, every byte of the vault is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from casvault import api
from casvault.demo.model import SampleModel
from casvault.panel.api.openapi import openapi
from tests.support.panel import Opened, opened

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
ENDLESS = "/api/v1/events"
REFUSALS = {401, 403, 415, 421}
"""What the guard would answer to another one: of those that are sent here, it lets all by."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Opened]:
    model = SampleModel(tmp_path / "workspace" / "model", size=20_000)
    vault = api.init(tmp_path / ".casvault")
    for number in range(3):
        model.train(20)
        model.save()
        vault.snapshot(model.folder, name=f"number {number}")
    with opened(tmp_path / ".casvault") as found:
        yield found
        assert found.panel.vault.verify(read_data=True).ok


def operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(openapi())
    every = list(schema.get_all_operations())
    assert all(isinstance(found, Ok) for found in every)
    return [found.ok() for found in every if isinstance(found, Ok) and found.ok().path != ENDLESS]


def send(page: Opened, case: Any, real: dict[str, str]) -> None:
    """Send a case, with names of things that there are in place of some that were made up; check the answer."""
    case.path_parameters = {**(case.path_parameters or {}), **real}
    sent = case.as_transport_kwargs(base_url=str(page.client.base_url))
    sent.pop("cookies", None)
    if isinstance(sent.get("data"), bytes):
        sent["content"] = sent.pop("data")
    sent["headers"] = {"Content-Type": "application/json"}
    answer = page.client.request(**sent)
    assert answer.status_code not in REFUSALS, answer.text
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code == 202:
        # What waits for a save would wait for good.
        job = page.panel.jobs.get(answer.json()["id"])
        job.cancel()
        page.wait(job.id)


def fuzz(page: Opened, examples: int) -> int:
    """Try so many requests of each operation; return the number of operations."""
    names = {
        "id": [head.id for head in page.panel.vault.snapshots()],
        "key": list(page.panel.desk.models()),
        "job": [],
    }

    every = operations()
    for operation in every:
        known = {name: values for name, values in names.items() if f"{{{name}}}" in operation.path and values}
        real = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in known.items()})
        cases = st.one_of([operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)])

        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(cases, real)
        def check(case: Any, names: dict[str, str]) -> None:
            send(page, case, names)

        check()
    return len(every)


def test_no_request_breaks_the_api(page: Opened) -> None:
    assert fuzz(page, 3) > 30


@pytest.mark.slow
def test_no_request_breaks_the_api_at_length(page: Opened) -> None:
    fuzz(page, 400)
