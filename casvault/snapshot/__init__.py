"""Taking snapshots."""

from casvault.snapshot.take import Annotation, SnapshotResult, live_key, take, take_held

__all__ = ["Annotation", "SnapshotResult", "live_key", "take", "take_held"]
