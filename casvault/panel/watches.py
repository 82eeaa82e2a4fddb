"""Watches: automatic snapshots that were switched on in the panel; they end with it.

Each is a `Watcher` of the vault in a thread; what it tells is noted in the activity.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from casvault.api import Event, Model, Vault, Watcher
from casvault.errors import CasvaultError
from casvault.panel.activity import Activity, command_line
from casvault.panel.hub import Hub

__all__ = ["Watches"]


@dataclass
class _Watch:
    watcher: Watcher
    thread: threading.Thread
    last: Event | None = None


class Watches:
    """The models that are watched, by their keys; safe to use from several threads.

    ``settle`` is called with the ids of snapshots that a watch took.
    """

    def __init__(self, hub: Hub, activity: Activity, settle: Callable[[Iterable[str]], None]) -> None:
        self._hub = hub
        self._activity = activity
        self._settle = settle
        self._lock = threading.Lock()
        self._watches: dict[str, _Watch] = {}

    def is_on(self, key: str) -> bool:
        """Tell whether a model is watched by this panel."""
        with self._lock:
            return key in self._watches

    def state(self, key: str) -> dict[str, Any]:
        """Return whether a model is watched, and the last thing that its watch told."""
        with self._lock:
            watch = self._watches.get(key)
            last = watch.last.to_json() if watch is not None and watch.last is not None else None
            return {"on": watch is not None, "last": last}

    def switch_on(self, vault: Vault, key: str, model: Model) -> None:
        """Watch a model from now on; raises UsageError, AmbiguousError where it cannot be watched."""
        with self._lock:
            if key in self._watches:
                return
            place = model.folder / (model.files[0].path if model.single else model.name)
            watcher = vault.watch(
                model.folder if model.kind == "generic" and not model.single else place,
                model_name=model.name if model.kind == "generic" else None,
                tell=lambda event: self._told(key, event),
            )
            watcher.check()
            thread = threading.Thread(target=self._run, args=(key, watcher), name=f"watch {model.name}")
            self._watches[key] = _Watch(watcher, thread)
            thread.start()
        command = command_line("--vault", str(vault.path), "watch", str(watcher.place))
        self._activity.add("watch", f"Automatic snapshots of {model.name} on.", command=command, model=model.name)
        self._hub.publish("watch", {"model": key, **self.state(key)}, key)

    def switch_off(self, key: str, name: str) -> None:
        """Watch a model no more; a snapshot that is being taken is given up."""
        with self._lock:
            watch = self._watches.pop(key, None)
        if watch is None:
            return
        watch.watcher.stop()
        watch.thread.join()
        self._activity.add("watch", f"Automatic snapshots of {name} off.", model=name)
        self._hub.publish("watch", {"model": key, **self.state(key)}, key)

    def close(self) -> None:
        """End all."""
        with self._lock:
            watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.watcher.stop()
        for watch in watches:
            watch.thread.join()

    def _run(self, key: str, watcher: Watcher) -> None:
        try:
            watcher.run()
        except CasvaultError as error:
            self._activity.add("watch", str(error), by="watch", outcome="failed")
        with self._lock:
            if self._watches.get(key) is not None and self._watches[key].watcher is watcher:
                del self._watches[key]

    def _told(self, key: str, event: Event) -> None:
        with self._lock:
            watch = self._watches.get(key)
            if watch is not None:
                watch.last = event
        if event.kind in ("snapshot", "pruned"):
            self._settle([event.snapshot] if event.snapshot is not None else [])
        if event.kind not in ("started", "stopped"):
            outcome = "failed" if event.kind in ("error", "unhealthy") else "done"
            self._activity.add(
                event.kind, event.text, by="watch", outcome=outcome, model=event.model, snapshot=event.snapshot
            )
        self._hub.publish("watch", {"model": key, **self.state(key)}, key)
