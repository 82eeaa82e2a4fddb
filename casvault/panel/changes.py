"""Changes: notices that somebody else wrote to the vault, or that a trainer saved, and tells the pages."""

from __future__ import annotations

import asyncio

from casvault import api
from casvault.api import Model
from casvault.errors import CasvaultError
from casvault.panel.panel import Panel

__all__ = ["Changes"]

_LOOK = 1.0
"""Seconds between two looks while a page is open."""
_GLANCE = 5.0
"""Seconds between two looks while none is."""


class Changes:
    """Looks at the vault and the models again and again; only at names and times."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._vault: str | None = None
        self._models: dict[str, str] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_LOOK if self._panel.hub.listeners else _GLANCE)

    def look(self) -> None:
        """Look once, and tell what changed since the last time: ``vault``, and ``live`` for each model."""
        desk = self._panel.desk
        if not desk.has_vault:
            return
        try:
            vault = desk.vault.fingerprint()
            models = {key: self._fingerprint(model) for key, model in desk.models().items()}
        except (CasvaultError, OSError):
            # What is wrong with the vault is told to who looks at a page.
            return
        if self._vault is not None and vault != self._vault:
            desk.forget()
            self._panel.hub.publish("vault", {})
        for key, state in models.items():
            if self._models.get(key, state) != state:
                desk.forget()
                self._panel.hub.publish("live", {"model": key}, key)
        self._vault, self._models = vault, models

    def _fingerprint(self, model: Model) -> str:
        return self._panel.desk.vault.fingerprint(api.find_again(model))
