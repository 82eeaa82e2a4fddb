"""Snapshots as documents: manifests, which never change, and labels, which people may change."""

from casvault.manifest.label import Label
from casvault.manifest.manifest import ChunkRef, FileEntry, Manifest
from casvault.manifest.stamp import Stamp

__all__ = ["ChunkRef", "FileEntry", "Label", "Manifest", "Stamp"]
