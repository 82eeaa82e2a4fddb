"""A real object store on the loopback: OpenStack Swift, its four daemons, one replica, answering as S3 does.

It keeps all its files in one folder, of a file system that has extended attributes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest

from tests.support.stores import Store, free_port, wait_for

__all__ = ["swift"]

_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_level = WARNING
user = {user}
max_header_size = 16384
"""
_SERVER = """
[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors proxy-logging s3api tempauth copy slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:proxy-logging]
use = egg:swift#proxy_logging

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:copy]
use = egg:swift#copy

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo
"""
_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *rings = sys.argv[1:]
for name, _, port in (ring.partition("=") for ring in rings):
    device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1, "meta": "",
              "replication_ip": "127.0.0.1", "replication_port": int(port)}
    builder = RingBuilder(4, 1, 1)
    builder.add_dev(device)
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""
"""In a process of its own: Swift brings eventlet, which does not go with tests that fork."""

_RUN = "import sys; from importlib import import_module as load; sys.exit(load({module!r}).main())"


@contextlib.contextmanager
def swift(folder: Path) -> Iterator[Store]:
    """Start a store that keeps all in ``folder``; skips the test where there is none to start."""
    if find_spec("swift") is None or not hasattr(os, "setxattr"):
        pytest.skip("needs OpenStack Swift (on Linux: pip install swift)")
    try:
        os.setxattr(folder, "user.casvault", b"1")
    except OSError:
        pytest.skip(f"the file system of {folder} has no extended attributes, which Swift needs")
    ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_prefix = x\nswift_hash_path_suffix = y\n")
    (folder / "devices" / "d1").mkdir(parents=True)
    for name, port in ports.items():
        text = _CONF.format(port=port, folder=folder, user=_user())
        (folder / f"{name}.conf").write_text(text + (_PROXY if name == "proxy" else _SERVER.format(name=name)))
    rings = [f"{name}={port}" for name, port in ports.items() if name != "proxy"]
    subprocess.run([sys.executable, "-c", _RINGS, str(folder), *rings], check=True, capture_output=True)
    log = open(folder / "log", "ab")  # noqa: SIM115
    servers = [_start(folder, name, log) for name in ("account", "container", "object", "proxy")]
    try:
        for port, server in zip(ports.values(), servers, strict=True):
            wait_for(port, server, folder / "log")
        store = Store(f"http://127.0.0.1:{ports['proxy']}", "test:tester", "testing")
        store.make_bucket()
        yield store
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()
        log.close()


def _start(folder: Path, name: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    module = {"object": "swift.obj.server"}.get(name, f"swift.{name}.server")
    return subprocess.Popen(
        [sys.executable, "-c", _RUN.format(module=module), str(folder / f"{name}.conf")],
        env={**os.environ, "EVENTLET_NO_GREENDNS": "yes"},
        stdout=log,
        stderr=log,
    )


def _user() -> str:
    import getpass

    return getpass.getuser()
