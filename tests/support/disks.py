"""Small real disks for tests: a tmpfs, or ext4 in a file over a loop device. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

__all__ = ["fill", "loop_ext4", "mounted", "run_tool", "tmpfs", "why_no_loops", "why_no_mounts"]

_BLOCK = 4096


def run_tool(*command: str | Path, data: bytes | None = None) -> str:
    """Run a tool of the system and return what it printed; raises CalledProcessError with its words."""
    done = subprocess.run([str(part) for part in command], input=data, capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout.decode(errors="replace").strip()


@cache
def why_no_mounts() -> str:
    """Return why nothing can be mounted here, empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root, to mount"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder), 1 << 20):
                return ""
        except (OSError, subprocess.SubprocessError):
            return "nothing may be mounted here"


@cache
def why_no_loops() -> str:
    """Return why there are no loop devices with ext4 here, empty where there are."""
    if why_no_mounts():
        return why_no_mounts()
    if shutil.which("mkfs.ext4") is None or shutil.which("losetup") is None:
        return "needs mkfs.ext4 and losetup"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with loop_ext4(Path(folder), 8 << 20):
                return ""
        except (OSError, subprocess.SubprocessError):
            return "needs loop devices"


@contextmanager
def mounted(device: str | Path, folder: Path, *options: str) -> Iterator[Path]:
    """Mount within; the mount goes whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    run_tool("mount", *options, device, folder)
    try:
        yield folder
    finally:
        try:
            run_tool("umount", folder)
        except subprocess.CalledProcessError:
            run_tool("umount", "-l", folder)


@contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """Within, ``folder`` is a disk in memory of that many bytes."""
    with mounted("tmpfs", folder, "-t", "tmpfs", "-o", f"size={size}"):
        yield folder


@contextmanager
def loop_ext4(folder: Path, size: int) -> Iterator[Path]:
    """Within, ``folder / "disk"`` is an ext4 file system of that many bytes."""
    image = folder / "image"
    image.write_bytes(b"")
    os.truncate(image, size)
    run_tool("mkfs.ext4", "-q", "-F", "-b", str(_BLOCK), "-m", "0", image)
    with mounted(image, folder / "disk", "-o", "loop"):
        yield folder / "disk"
    image.unlink()


def fill(folder: Path, left: int) -> Path:
    """Fill the disk of ``folder`` until about ``left`` bytes are free; return the file to remove for room."""
    path = folder / "filler"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.sync()
        status = os.statvfs(folder)
        wanted = max(0, status.f_bavail * status.f_frsize - left) // _BLOCK * _BLOCK
        done = 0
        with suppress(OSError):
            while done < wanted:
                done += os.write(descriptor, bytes(min(1 << 20, wanted - done)))
        if left == 0:
            with suppress(OSError):
                while True:
                    os.write(descriptor, bytes(_BLOCK))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path
