"""Watching: snapshots by themselves while a model trains, and a retention that keeps them from filling the disk."""

from casvault.prune.rules import RETENTION
from casvault.watch.events import Event
from casvault.watch.rhythm import Rhythm
from casvault.watch.watcher import Watcher

__all__ = ["RETENTION", "Event", "Rhythm", "Watcher"]
