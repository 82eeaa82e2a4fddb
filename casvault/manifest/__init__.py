"""Snapshots as documents: manifests, which never change, and labels, which people may change."""
