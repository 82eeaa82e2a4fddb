"""Tensors in zip archives: ``.npz``, and what ``torch.save`` writes.

Only members that are stored as they are have bytes to point at; torch and ``numpy.savez`` store, and
``savez_compressed`` does not. Python's zipfile reads the central directory, from a file object that
refuses to read more than a few megabytes at once, which bounds the number of members.
"""

from __future__ import annotations

import io
import zipfile

from casvault.errors import FormatError
from casvault.files.source import ByteSource
from casvault.formats.members import Member
from casvault.formats.numpy_files import array_at
from casvault.formats.region import Region
from casvault.formats.torch_pickles import scan_torch

__all__ = ["scan_zip"]

_LONGEST_READ = 4 << 20
_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 1


def scan_zip(source: ByteSource) -> list[Region]:
    """Find the tensors of a zip: ``x.npy`` members by the name x, and torch's by their path in the pickle.

    Regions may overlap where tensors share bytes. Raises FormatError when it is not a zip, or one whose
    torch pickle cannot be followed.
    """
    try:
        with zipfile.ZipFile(_File(source)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError) as error:
        raise FormatError("this is not a zip archive") from error
    members = {entry.filename: entry for entry in entries if _plain(entry)}
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if pickles:
        prefix = pickles[0].removesuffix("data.pkl")
        inside = {name.removeprefix(prefix): entry for name, entry in members.items()}
        return scan_torch(lambda name: _open(source, inside.get(name)))
    found = [_array(source, entry) for name, entry in members.items() if name.endswith(".npy")]
    return [region for region in found if region is not None]


def _plain(entry: zipfile.ZipInfo) -> bool:
    stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    return stored and not entry.flag_bits & _ENCRYPTED


def _open(source: ByteSource, entry: zipfile.ZipInfo | None) -> Member | None:
    """Find a stored member's bytes: they follow its local header, whose length only that header tells."""
    if entry is None:
        return None
    header = source.read_at(entry.header_offset, 30) if entry.header_offset >= 0 else b""
    if len(header) < 30 or not header.startswith(_MAGIC):
        return None
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    member = Member(source, entry.header_offset + 30 + name + extra, entry.file_size)
    return member if member.offset + member.size <= source.size else None


def _array(source: ByteSource, entry: zipfile.ZipInfo) -> Region | None:
    member = _open(source, entry)
    if member is None:
        return None
    try:
        return array_at(source, member.offset, member.size, entry.filename.removesuffix(".npy"))
    except FormatError:
        return None


class _File(io.RawIOBase):
    """A source as the seekable file that zipfile asks for."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise OSError("a position before the start")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        length = max(0, self._source.size - self._position) if size is None or size < 0 else size
        if length > _LONGEST_READ:
            raise FormatError("the directory of a zip archive is too long")
        data = self._source.read_at(self._position, length)
        self._position += len(data)
        return data
