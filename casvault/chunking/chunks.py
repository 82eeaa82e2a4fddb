"""Regions -> chunks.

A tensor of at least ``min_region`` bytes is cut into chunks of whole rows, each at most ``max_chunk`` bytes, so that
the same tensor in the next snapshot is cut at the same places, wherever it lies in the file. What is left between such
tensors (opcodes, small tensors) is bundled up to the next large one; long stretches without structure are cut by
content.

Owns the invariants that the chunks of a file, one after another, are the file, and that none is empty or above
``max_chunk``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from casvault.chunking.parameters import ChunkingParameters
from casvault.codecs import Layout
from casvault.files.source import ByteSource
from casvault.formats.region import Region

__all__ = ["Chunk", "cut"]

_NUMBERS = (2, 4, 8)
_PLAIN = Layout()


@dataclass(frozen=True)
class Chunk:
    """A slice of a file: where it starts, its plain bytes, and how the numbers in it lie.

    ``region`` is the name of the tensor that it is a part of, and ``within`` where in it the chunk starts, in bytes.
    """

    offset: int
    data: bytes | memoryview
    layout: Layout
    region: str | None = None
    within: int = 0


def cut(source: ByteSource, regions: Sequence[Region], parameters: ChunkingParameters) -> Iterator[Chunk]:
    """Yield the chunks of ``source``, reading it once, in order.

    ``regions`` are sorted and do not overlap. Raises OSError as the source does, and EOFError where the source
    ends before its size.
    """
    position = 0
    for region in regions:
        if region.size < parameters.min_region:
            continue
        yield from _between(source, position, region.offset, parameters)
        yield from _tensor(source, region, parameters)
        position = region.end
    yield from _between(source, position, source.size, parameters)


def _tensor(source: ByteSource, region: Region, parameters: ChunkingParameters) -> Iterator[Chunk]:
    row_length = region.shape[-1] if len(region.shape) > 1 else 0
    item = region.item_size
    step = parameters.max_chunk // item * item
    if row_length and row_length * item <= parameters.max_chunk:
        step = parameters.max_chunk // (row_length * item) * (row_length * item)
    else:
        row_length = 0
    layout = Layout(item, row_length) if item in _NUMBERS else _PLAIN
    for offset in range(region.offset, region.end, step):
        data = _exactly(source, offset, min(step, region.end - offset))
        yield Chunk(offset, data, layout, region.name, offset - region.offset)


def _between(source: ByteSource, start: int, end: int, parameters: ChunkingParameters) -> Iterator[Chunk]:
    if end - start <= parameters.cdc_min:
        if end > start:
            yield Chunk(start, _exactly(source, start, end - start), _PLAIN)
        return
    yield from _by_content(source, start, end, parameters)


def _by_content(source: ByteSource, start: int, end: int, parameters: ChunkingParameters) -> Iterator[Chunk]:
    from pyfastcdc import FastCDC

    chunker = FastCDC(avg_size=parameters.cdc_average, min_size=parameters.cdc_min, max_size=parameters.cdc_max)
    window = parameters.cdc_max * 4
    while start < end:
        data = memoryview(_exactly(source, start, min(window, end - start)))
        last = start + len(data) == end
        done = 0
        for piece in chunker.cut_buf(data):
            # A cut is only certain where a chunk of the largest size would have fitted.
            if not last and len(data) - done < parameters.cdc_max:
                break
            yield Chunk(start + done, data[done : done + piece.length], _PLAIN)
            done += piece.length
        start += done


def _exactly(source: ByteSource, offset: int, length: int) -> bytes:
    data = source.read_at(offset, length)
    if len(data) != length:
        raise EOFError(f"the file ended at byte {offset + len(data)} instead of {source.size}")
    return data
