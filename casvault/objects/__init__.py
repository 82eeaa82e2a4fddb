"""Chunks as they are stored: frames, and the store whose listing is its index."""

from casvault.objects.frame import HEADER_SIZE, Frame, Outline
from casvault.objects.graph import ObjectGraph, is_there
from casvault.objects.store import ObjectName, ObjectStore

__all__ = ["HEADER_SIZE", "Frame", "ObjectGraph", "ObjectName", "ObjectStore", "Outline", "is_there"]
