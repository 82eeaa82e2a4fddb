"""Reaching a vault by the system's own ``ssh``, so that keys, agents, jump hosts and ``~/.ssh/config`` just work.

Owns the invariant that no shell on this machine sees an address, that nothing in one is an option of ``ssh``, and that
the shell on the other machine gets the path as one word.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from casvault.errors import RemoteError, UsageError
from casvault.sync.address import Address

if TYPE_CHECKING:
    from casvault.sync.channel import Link
    from casvault.sync.far import FarRemote

__all__ = ["command_for", "connect_by_ssh"]

_KEPT = 2000
_LISTEN = 1.0
"""Seconds that it has to say why it ended."""

_PATIENCE = 3.0
"""Seconds that a program which was told to end has for it."""

_OPTIONS = ("-T", "-x", "-oConnectTimeout=30", "-oServerAliveInterval=15", "-oServerAliveCountMax=4")


def command_for(address: Address, program: str) -> list[str]:
    """Return the command that speaks with the vault at ``address``; raises UsageError."""
    try:
        ssh = shlex.split(os.environ.get("CASVAULT_SSH") or "ssh")
    except ValueError as error:
        raise UsageError(f"$CASVAULT_SSH is no command: {error}.") from error
    options = [*_OPTIONS]
    if address.port is not None:
        options += ["-p", str(address.port)]
    if address.user is not None:
        options += ["-l", address.user]
    far = shlex.join([program, "--vault", address.path, "serve", "--stdio"])
    return [*ssh, *options, "--", str(address.host), far]


def connect_by_ssh(address: Address, program: str) -> FarRemote:
    """Return the vault at an ``ssh://`` address, on its way; raises RemoteError where there is no `ssh`.

    What `ssh` or the far side said is raised by who waits for it: while it logs in, there is something else to be done.
    """
    command = command_for(address, program)
    started = [_start(command)]
    from casvault.sync.channel import Link
    from casvault.sync.far import FarRemote

    def dial() -> Link:
        process = started.pop() if started else _start(command)
        running = _Ssh(process)
        return Link(running.wire, running.close, process.kill, running.told)

    return FarRemote(dial, address.url, wait=False)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise RemoteError(f"cannot run {command[0]}: {error.strerror}; ssh:// needs it.") from error


class _Ssh:
    """A running `ssh`, and the end of what it complained about."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        from casvault.sync.frames import Wire

        self._process = process
        self._said = b""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.wire = Wire(cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin))
        self._listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        self._listener.start()

    def told(self) -> str:
        """Return the last line that the program said, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LISTEN)
            self._listener.join(_LISTEN)
        lines = [line for line in self._said.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    def close(self) -> None:
        """End the program: what it was asked is done, since every request was answered."""
        _shut(self._process.stdin)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _shut(self._process.stdout)
        self._listener.join(_PATIENCE)
        if not self._listener.is_alive():
            _shut(self._process.stderr)

    def _listen(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while piece := stream.read1(4096):  # type: ignore[attr-defined]
                self._said = (self._said + piece)[-_KEPT:]


def _shut(stream: IO[bytes] | None) -> None:
    """Close a stream, unless a thread is in it that does not come back: a child of `ssh` may hold the other end."""

    def work() -> None:
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
