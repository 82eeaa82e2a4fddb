"""A disk that writes down what happens to it, so that a power cut can be played at any moment.

A FUSE file system shows one file, ``disk``, over an image, and writes each write and each flush into a log; what is
written to its file ``mark`` is logged as an acknowledgement. ext4 on a loop device over ``disk`` is where the work is
done. A state after a power cut is the image with a prefix of the log, where writes after the last flush are kept or
lost by lot, as in a drive's own cache. Run as a program this module is the file system.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.disks import mounted, run_tool, why_no_loops

__all__ = ["Disk", "Event", "recording", "why_no_recording"]

_HEAD = struct.Struct("<cQQ")
_PIECE = 1 << 16
_BARE = "loop,noatime,noauto_da_alloc"
_OPTIONS = f"{_BARE},commit=300"
"""As hard as ext4 gets: it writes nothing by itself, and does not flush a file because it replaces another."""


class Event(NamedTuple):
    """What happened: a write (``w``) of bytes at an offset, a flush (``f``), or a mark (``m``) with its number."""

    kind: str
    offset: int
    data: bytes


@cache
def why_no_recording() -> str:
    """Return why no such disk can be made here, empty where it can."""
    if why_no_loops():
        return why_no_loops()
    if not os.path.exists("/dev/fuse") or shutil.which("fusermount3") is None:
        return "needs FUSE (apt-get install fuse3)"
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError):
        return "needs mfusepy and libfuse"
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk = Disk(Path(folder), 16 << 20)
            with disk.prepare():
                pass
            with recording(disk):
                return ""
        except (OSError, subprocess.SubprocessError, AssertionError):
            return "FUSE may not be mounted here"


class Disk:
    """A disk in the folder ``root``: ``work`` is where its file system is mounted while it records.

    Without a ``journal`` nothing is on the disk that was not asked for, and it is repaired after a power cut, as such a
    file system has to be.
    """

    def __init__(self, root: Path, size: int, *, journal: bool = True) -> None:
        self.root = root
        self.image, self.log = root / "image", root / "log"
        self.work = root / "work"
        self._size = size
        self._cuts = 0
        self._filled: list[tuple[int, bytes]] = []
        self.image.write_bytes(b"")
        os.truncate(self.image, size)
        self.journal = journal
        kind = ("-J", "size=4") if journal else ("-O", "^has_journal")
        run_tool("mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0", *kind, self.image)

    @contextmanager
    def prepare(self) -> Iterator[Path]:
        """Mount it without recording, to put there what no power cut takes."""
        with mounted(self.image, self.work, "-o", "loop"):
            yield self.work
        self._filled = []
        with open(self.image, "rb") as image:
            for at in range(0, self._size, _PIECE):
                piece = image.read(_PIECE)
                if piece.count(0) < len(piece):
                    self._filled.append((at, piece))

    def mark(self, number: int) -> None:
        """Log that everything up to this number was acknowledged."""
        with open(self.root / "fuse" / "mark", "r+b", buffering=0) as file:
            file.write(struct.pack("<Q", number))

    def events(self) -> list[Event]:
        """Return the log."""
        found, data, at = [], self.log.read_bytes(), 0
        while at < len(data):
            kind, offset, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            found.append(Event(kind.decode(), offset, data[at : at + length]))
            at += length
        return found

    @contextmanager
    def after_cut(self, events: list[Event], length: int, chance: random.Random) -> Iterator[Path]:
        """Mount the disk as a power cut after that many events leaves it."""
        # Each has names of its own: a disk that something kept busy when it was unmounted still has its loop device,
        # which `mount` would take again, with what the kernel remembers of it.
        self._cuts += 1
        cut, folder = self.root / f"cut {self._cuts}", self.root / f"after {self._cuts}"
        flushed = max((number for number in range(length) if events[number].kind == "f"), default=0)
        kept = chance.choice((0.0, 0.5, 0.9, 1.0))
        with open(cut, "wb") as file:
            # A few per cent of the disk are not zeros: a copy of it all would take longer than the rest.
            file.truncate(self._size)
            for at, piece in self._filled:
                file.seek(at)
                file.write(piece)
            for number, event in enumerate(events[:length]):
                if event.kind == "w" and (number < flushed or chance.random() < kept):
                    file.seek(event.offset)
                    file.write(event.data)
        if not self.journal:
            _repair(cut)
        with mounted(cut, folder, "-o", "loop"):
            yield folder
        cut.unlink()


def _repair(image: Path) -> None:
    done = subprocess.run(["e2fsck", "-f", "-y", str(image)], capture_output=True, check=False)
    # 1: errors were there and are corrected.
    if done.returncode > 1:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)


@contextmanager
def recording(disk: Disk) -> Iterator[Path]:
    """Record within; yields where the file system is mounted. At the end nothing more is written: the power is off."""
    folder = disk.root / "fuse"
    folder.mkdir()
    with open(disk.root / "fuse.log", "wb") as told:
        command = [sys.executable, "-m", __name__, str(folder), str(disk.image), str(disk.log)]
        server = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=told, stderr=told)
    try:
        end = time.monotonic() + 20
        while not (folder / "disk").exists():
            assert server.poll() is None, (disk.root / "fuse.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
        with mounted(folder / "disk", disk.work, "-o", _OPTIONS if disk.journal else _BARE):
            yield disk.work
            disk.mark((1 << 64) - 1)
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(folder)], check=False, capture_output=True)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _serve(folder: str, image: str, log: str) -> None:
    import mfusepy

    descriptor = os.open(image, os.O_RDWR)
    size = os.fstat(descriptor).st_size
    out = open(log, "ab", buffering=0)  # noqa: SIM115

    class Recorder(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path not in ("/disk", "/mark"):
                raise mfusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": size if path == "/disk" else 8}

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", "disk", "mark"]

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(descriptor, size, offset) if path == "/disk" else bytes(8)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            if path == "/mark":
                out.write(_HEAD.pack(b"m", struct.unpack("<Q", data)[0], 0))
            else:
                os.pwrite(descriptor, data, offset)
                out.write(_HEAD.pack(b"w", offset, len(data)) + data)
            return len(data)

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            out.write(_HEAD.pack(b"f", 0, 0))
            return 0

        def truncate(self, path: str, length: int, fh: Any = None) -> int:
            return 0

    mfusepy.FUSE(Recorder(), folder, foreground=True, nothreads=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:4])
