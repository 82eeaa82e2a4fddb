"""A real OpenSSH server on the loopback, with keys of its own, for as long as a test needs it; never the system's."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["Sshd", "sshd"]

_ROOT = Path(__file__).parent.parent.parent
_WAIT = 10.0


class Sshd:
    """A server that runs: ``url`` leads to a path there, ``ssh`` is the command that may log in.

    ``program`` is a casvault there, ``noting`` one that writes its process id into the file ``pid`` first; what its
    shell says before anything else is in the file ``noise``.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.noise = folder / "noise"
        self.program = folder / "far casvault"
        self.program.write_text(
            f"#!/bin/sh\ncat {shlex.quote(str(self.noise))} 2>/dev/null\n"
            f'PYTHONPATH={shlex.quote(str(_ROOT))} exec {shlex.quote(sys.executable)} -m casvault "$@"\n'
        )
        self.pid = folder / "pid"
        self.noting = folder / "noting casvault"
        self.noting.write_text(
            f'#!/bin/sh\necho $$ >{shlex.quote(str(self.pid))}\nexec {shlex.quote(str(self.program))} "$@"\n'
        )
        self.program.chmod(0o755)
        self.noting.chmod(0o755)
        self.config = folder / "config"
        self.config.write_text(
            f"Host *\n  IdentityFile {folder / 'key'}\n  IdentitiesOnly yes\n  BatchMode yes\n"
            f"  UserKnownHostsFile {folder / 'known_hosts'}\n  StrictHostKeyChecking yes\n"
        )
        self.ssh = f"ssh -F {shlex.quote(str(self.config))}"

    def url(self, path: Path, port: int | None = None) -> str:
        """Return the address of a path there; ``port`` may lead to the server as well."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{port or self.port}{path}"


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Start a server that keeps all its files in ``folder``; skips the test where there is none to start."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if sys.platform == "win32" or program is None or shutil.which("ssh-keygen") is None or shutil.which("ssh") is None:
        pytest.skip("needs the OpenSSH server and client (on Debian: apt-get install openssh-server)")
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
    (folder / "known_hosts").write_text(f"[127.0.0.1]:* {(folder / 'host_key.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
    )
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # A server that was started as root wants this folder, which only its service makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = folder / "log"
    server = subprocess.Popen([program, "-D", "-E", str(log), "-f", str(folder / "sshd_config")])
    try:
        end = time.monotonic() + _WAIT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip(
                    f"sshd does not start here: {log.read_text()[-300:] if log.exists() else 'it says nothing'}"
                )
            time.sleep(0.02)
        yield Sshd(folder, port)
    finally:
        server.terminate()
        server.wait()
