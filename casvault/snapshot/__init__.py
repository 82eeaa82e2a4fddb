"""Taking snapshots."""

from casvault.snapshot.take import Annotation, SnapshotResult, take, take_held

__all__ = ["Annotation", "SnapshotResult", "take", "take_held"]
