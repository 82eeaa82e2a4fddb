"""Garbage collection: what no snapshot needs any more is removed, and space that only bases take is won back."""

from casvault.gc.collect import GcResult, collect

__all__ = ["GcResult", "collect"]
