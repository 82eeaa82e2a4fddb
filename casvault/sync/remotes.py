"""The remotes of a vault: names for other vaults, in ``remotes.json``.

Owns the invariant that an address was checked before it is kept, and is checked again whenever it is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from casvault.backends.stores import check_option
from casvault.errors import NotFound, UsageError
from casvault.manifest.document import Fields, read_document, write_document
from casvault.sync.address import Address
from casvault.vault.vault import Vault

__all__ = ["REMOTES", "RemoteEntry", "Remotes"]

REMOTES = "remotes.json"
_FORMAT = 1
_MAX_REMOTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,49}")
_PROGRAM = re.compile(r"[^\x00-\x1f\x7f-\x9f\-][^\x00-\x1f\x7f-\x9f]{0,1023}")

DEFAULT_PROGRAM = "casvault"


@dataclass(frozen=True)
class RemoteEntry:
    """One remote: its ``name``, where it is, and the ``program`` that is casvault on that machine.

    ``options`` say how an object store is reached; secrets are never among them.
    """

    name: str
    url: str
    program: str = DEFAULT_PROGRAM
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Where it is; raises UsageError."""
        return Address.parse(self.url)

    def to_json(self) -> dict[str, Any]:
        """Return the remote as it stands in the document."""
        document: dict[str, Any] = {"name": self.name, "url": self.url, "program": self.program}
        return {**document, "options": dict(self.options)} if self.options else document


class Remotes:
    """The remotes of one vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def every(self) -> list[RemoteEntry]:
        """Return all remotes, by name; raises BadManifest, StorageError."""
        try:
            data = self._vault.backend.read(REMOTES, _MAX_REMOTES)
        except NotFound:
            return []
        fields = read_document(data, "remotes")
        if fields.values.get("format") != _FORMAT:
            raise fields.bad("format", "is not one that this casvault knows")
        return sorted(fields.items("remotes", lambda item: _entry(Fields(item, fields.name))), key=lambda one: one.name)

    def add(
        self, name: str, url: str, program: str = DEFAULT_PROGRAM, options: Mapping[str, str] | None = None
    ) -> RemoteEntry:
        """Give the vault at ``url`` a name here; raises UsageError, BadManifest, Locked, StorageError."""
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name[:50]!r} is no name of a remote: letters, digits, - and _, at most 50 of them.")
        if _PROGRAM.fullmatch(program) is None:
            raise UsageError(f"{program[:50]!r} is no program: it must not begin with - or have control characters.")
        address = Address.parse(url)
        if options and address.store != "s3":
            raise UsageError("options are for s3://bucket/prefix; of another place there is nothing to say.")
        for key, value in (options or {}).items():
            check_option(key, value)
        # A path that was typed is relative to where it was typed.
        entry = RemoteEntry(name, url if "://" in url else address.path, program, dict(options or {}))
        with self._vault.locks.one("remotes"):
            known = self.every()
            if any(one.name == name for one in known):
                raise UsageError(f"there is a remote {name!r} already; `casvault remote remove {name}` takes it away.")
            self._write([*known, entry])
        return entry

    def remove(self, name: str) -> RemoteEntry:
        """Forget a remote; the vault there stays as it is. Raises NotFound, BadManifest, Locked, StorageError."""
        with self._vault.locks.one("remotes"):
            entry = self.named(name)
            self._write([one for one in self.every() if one.name != name])
        return entry

    def named(self, name: str) -> RemoteEntry:
        """Return the remote of that name; raises NotFound, BadManifest."""
        for one in self.every():
            if one.name == name:
                return one
        raise NotFound(f"there is no remote {name!r}; `casvault remote list` shows those there are.")

    def find(self, typed: str) -> RemoteEntry:
        """Return the remote that ``typed`` means: a name, or else an address; raises NotFound, UsageError."""
        if _NAME.fullmatch(typed):
            return self.named(typed)
        return RemoteEntry(typed, typed)

    def _write(self, entries: list[RemoteEntry]) -> None:
        document = {"format": _FORMAT, "remotes": [one.to_json() for one in entries]}
        self._vault.backend.write(REMOTES, write_document(document))


def _entry(fields: Fields) -> RemoteEntry:
    name = fields.text("name", lambda text: _NAME.fullmatch(text) is not None)
    url = fields.text("url", _is_address)
    program = fields.text("program", lambda text: _PROGRAM.fullmatch(text) is not None)
    options = fields.values.get("options") or {}
    if not isinstance(options, dict) or not all(_is_option(key, value) for key, value in options.items()):
        raise fields.bad("options", "are not options of a store")
    return RemoteEntry(name, url, program, options)


def _is_option(key: str, value: Any) -> bool:
    try:
        check_option(key, value if isinstance(value, str) else "")
    except UsageError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        Address.parse(text)
    except UsageError:
        return False
    return True
