"""The application: everything put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from casvault.panel.activity import Activity
from casvault.panel.api import routes
from casvault.panel.changes import Changes
from casvault.panel.desk import Desk
from casvault.panel.guard import Door
from casvault.panel.hub import Hub
from casvault.panel.jobs import Job, Jobs
from casvault.panel.pages import charts, clearing, compare, dialogs, entries, events, home, storage, sync, work
from casvault.panel.panel import Panel
from casvault.panel.problems import HANDLERS
from casvault.panel.watches import Watches

__all__ = ["make_app", "make_panel"]

STATIC = Path(__file__).parent / "static"

PAGES = (routes, events, home, dialogs, work, charts, compare, storage, clearing, entries, sync)
"""The modules whose ``ROUTES`` are served."""


def make_panel(desk: Desk, door: Door | None = None) -> Panel:
    """Return a panel of a desk, with nothing done in it yet."""
    hub = Hub()
    activity = Activity(hub)
    changes = Changes(desk, hub, activity)

    def ended(job: Job) -> None:
        about = job.subject
        changes.settle(job.made)
        activity.add(
            about.kind,
            f"{about.title}. {job.told}",
            outcome=job.state,
            command=about.command,
            model=about.model,
            snapshot=about.snapshot or next(iter(job.made), None),
            job=job.id,
        )

    jobs = Jobs(hub, ended)
    watches = Watches(hub, activity, changes.settle)
    changes.busy = lambda: jobs.busy
    changes.is_own = lambda head: head.kind == "scheduled" and watches.is_on(desk.key_of_head(head))
    return Panel(desk, hub, changes, activity, jobs, watches, door or Door())


def make_app(panel: Panel) -> Starlette:
    """Return the application of a panel, without the guard that has to stand before it."""
    every: list[BaseRoute] = [Mount("/static", StaticFiles(directory=STATIC), name="static")]
    for module in PAGES:
        every += module.ROUTES

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(panel.changes.run())
        try:
            yield
        finally:
            looking.cancel()
            panel.hub.close()
            await asyncio.to_thread(panel.close)

    app = Starlette(routes=every, exception_handlers=HANDLERS, lifespan=lifespan)
    app.state.panel = panel
    return app
