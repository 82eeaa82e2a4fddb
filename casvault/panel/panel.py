"""The panel: everything that a request may use."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from casvault.api import Vault
from casvault.panel.activity import Activity
from casvault.panel.changes import Changes
from casvault.panel.desk import Desk
from casvault.panel.guard import Door
from casvault.panel.hub import Hub
from casvault.panel.jobs import Jobs
from casvault.panel.watches import Watches

__all__ = ["Panel", "panel_of"]


@dataclass(frozen=True)
class Panel:
    """What the panel knows and does: one for each application."""

    desk: Desk
    hub: Hub
    changes: Changes
    activity: Activity
    jobs: Jobs
    watches: Watches
    door: Door

    @property
    def vault(self) -> Vault:
        """The vault; raises NoVault as long as there is none."""
        return self.desk.vault

    def close(self) -> None:
        """End watches and jobs, and wait for them; what cannot be cut is finished."""
        self.watches.close()
        self.jobs.close()


def panel_of(request: Request) -> Panel:
    """Return the panel that a request is for."""
    panel: Panel = request.app.state.panel
    return panel
