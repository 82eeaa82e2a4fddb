"""The numbers that decide where files are cut; fixed per vault, since other cuts would find no duplicates."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["ChunkingParameters"]

_LIMIT = 16 << 20
_MOST_MIN = 1 << 20
_MOST_AVERAGE = 4 << 20


@dataclass(frozen=True)
class ChunkingParameters:
    """All in bytes.

    ``max_chunk``: no chunk is larger. ``min_region``: tensors of at least this size get chunks of their own.
    ``cdc_min``, ``cdc_average``, ``cdc_max``: for content-defined chunking (FastCDC, 2020) of bytes without
    structure.
    """

    max_chunk: int = 2 << 20
    min_region: int = 64 << 10
    cdc_min: int = 64 << 10
    cdc_average: int = 256 << 10
    cdc_max: int = 1 << 20

    @classmethod
    def checked(cls, values: Any) -> ChunkingParameters:
        """Return parameters read from outside; raises ValueError, KeyError, TypeError."""
        numbers = {field.name: values[field.name] for field in fields(cls)}
        made = cls(**numbers)
        if not all(type(number) is int for number in numbers.values()):
            raise ValueError("chunking parameters that are not numbers")
        if not (1024 <= made.cdc_min <= made.cdc_average <= made.cdc_max <= made.max_chunk <= _LIMIT):
            raise ValueError("chunking parameters out of range")
        if made.cdc_min > _MOST_MIN or made.cdc_average > _MOST_AVERAGE:
            raise ValueError("chunking parameters out of range")
        if not 1024 <= made.min_region <= made.max_chunk:
            raise ValueError("chunking parameters out of range")
        return made
