"""Remotes over HTTP: names for other vaults, how they stand to this one, and snapshots that travel."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from casvault.api import RemoteEntry
from casvault.errors import NotFound
from casvault.panel.api import documents
from casvault.panel.api.endpoint import Call, Endpoint
from casvault.panel.api.snapshots import Key
from casvault.panel.given import Given
from casvault.panel.operations import syncing

__all__ = ["ENDPOINTS"]


class Address(Given):
    """Where the other vault is: a path on the panel's machine, or what `casvault remote add` takes."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class HowCompared(Given):
    """Whether the bytes that would travel are counted, which takes longer."""

    sizes: bool = False


class Transfer(Given):
    """What travels: everything, or the snapshots of one model; with ``delete`` deletions and thinnings as well."""

    model: Key | None = None
    delete: bool = False


def _named(call: Call) -> RemoteEntry:
    name = call.parts["name"]
    for entry in call.panel.vault.remotes():
        if entry.name == name:
            return entry
    raise NotFound("there is no such remote.")


def _every(call: Call) -> dict[str, Any]:
    return {"remotes": [entry.to_json() for entry in call.panel.vault.remotes()]}


def _compare(call: Call) -> dict[str, Any]:
    return call.panel.vault.compare_remote(_named(call).name, sizes=call.query.sizes).to_json()


def _move(way: str) -> Endpoint:
    def run(call: Call) -> Any:
        key = call.body.model
        model = None if key is None else call.panel.desk.model(key).name
        return syncing.transfer(call.panel, way, _named(call).name, model=model, delete=call.body.delete)

    return Endpoint(
        "POST",
        f"/remotes/{{name}}/{way}",
        f"{way}_remote",
        f"{syncing.WAYS[way]} a remote.",
        run,
        documents.JobDocument,
        body=Transfer,
        status=202,
    )


ENDPOINTS = (
    Endpoint("GET", "/remotes", "remotes", "Which other vaults have names here.", _every, documents.RemotesDocument),
    Endpoint(
        "PUT",
        "/remotes/{name}",
        "add_remote",
        "Give another vault a name; nothing is connected to.",
        lambda call: syncing.add_remote(call.panel, call.parts["name"], call.body.url).to_json(),
        documents.RemoteDocument,
        body=Address,
    ),
    Endpoint(
        "GET",
        "/remotes/{name}",
        "compare_remote",
        "How a remote and this vault stand to each other.",
        _compare,
        documents.ComparisonDocument,
        query=HowCompared,
    ),
    Endpoint(
        "DELETE",
        "/remotes/{name}",
        "remove_remote",
        "Forget a remote; the vault there stays as it is.",
        lambda call: syncing.remove_remote(call.panel, _named(call).name).to_json(),
        documents.RemoteDocument,
    ),
    *map(_move, syncing.WAYS),
)
