"""Cutting files into chunks: by structure where a scanner found some, by content elsewhere."""

from casvault.chunking.chunks import Chunk, cut
from casvault.chunking.parameters import ChunkingParameters

__all__ = ["Chunk", "ChunkingParameters", "cut"]
