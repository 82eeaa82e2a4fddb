"""Addresses of vaults: a path, ``ssh://user@host:port/path``, or ``s3://bucket/prefix``.

Owns the invariant that nothing in an address is ever taken for an option or a piece of a command: what could be is
refused here, before it is kept or used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from casvault.errors import UsageError

__all__ = ["Address"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://(.*)", re.DOTALL)
_SSH = re.compile(r"(?:([^@/]*)@)?(\[[^\]/]*\]|[^:/\[\]]*)(?::([^/]*))?(/.*)?", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}")
_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-=+@ ]{0,254}")
_STORES = ("s3", "az", "gs")
_PORT = re.compile(r"[0-9]{1,5}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_URL = 2048
_HOME = "/~/"


@dataclass(frozen=True)
class Address:
    """Where a vault is: ``path``, on this machine where ``host`` is None; ``url`` is how people wrote it.

    The path on another machine is absolute, or begins with ``./`` and is then in the home folder there. In the object
    store ``store`` (s3, az or gs) ``path`` is a prefix in ``bucket``, without slashes at its ends, or empty.
    """

    url: str
    path: str
    host: str | None = None
    user: str | None = None
    port: int | None = None
    store: str | None = None
    bucket: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read what people type for the place of a vault; raises UsageError."""
        if not text or len(text) > _MAX_URL or _CONTROL.search(text):
            raise UsageError(f"{text[:40]!r} is no place of a vault: it is empty, too long, or has control characters.")
        match = _SCHEME.fullmatch(text)
        if match is None:
            return cls(text, str(Path(text).absolute()))
        scheme, rest = match[1].lower(), match[2]
        if scheme == "ssh":
            return cls._ssh(text, rest)
        if scheme == "file":
            host, slash, path = rest.partition("/")
            if host not in ("", "localhost") or not slash:
                raise UsageError(f"{text} is no path: write it with three slashes, as in file:///mnt/nas/.casvault.")
            return cls(text, str(Path(_decoded(text, slash + path))))
        if scheme in _STORES:
            return cls._bucket(text, scheme, rest)
        raise UsageError(
            f"{scheme}:// is not supported; a remote is a path, file://, ssh://user@host/path or s3://bucket/prefix."
        )

    @classmethod
    def _bucket(cls, text: str, store: str, rest: str) -> Address:
        bucket, _, path = rest.partition("/")
        if _BUCKET.fullmatch(bucket) is None:
            raise UsageError(f"{text} names no bucket that could be one; write {store}://bucket/prefix.")
        prefix = _decoded(text, path).strip("/")
        if prefix and not all(_PREFIX.fullmatch(part) and part[-1] not in ". " for part in prefix.split("/")):
            raise UsageError(f"{text} has a prefix with characters that not every store takes; use letters and digits.")
        return cls(text, prefix, store=store, bucket=bucket)

    @classmethod
    def _ssh(cls, text: str, rest: str) -> Address:
        match = _SSH.fullmatch(rest)
        user, host, port, path = match.groups() if match is not None else (None, "", None, None)
        if _HOST.fullmatch(host) is None:
            raise UsageError(f"{text} names no host that can be trusted to be one; write ssh://user@host:port/path.")
        if user is not None and _USER.fullmatch(user) is None:
            raise UsageError(f"{text} names a user that cannot be one; write ssh://user@host:port/path.")
        if port is not None and (_PORT.fullmatch(port) is None or not 0 < int(port) < 65536):
            raise UsageError(f"{text} names a port that cannot be one; write ssh://user@host:port/path.")
        decoded = _decoded(text, path or "")
        if decoded.startswith(_HOME):
            decoded = f"./{decoded[len(_HOME) :]}"
        if decoded in ("", "/", "./"):
            raise UsageError(f"{text} lacks the path of the vault, as in ssh://user@host/home/me/.casvault.")
        return cls(text, decoded, host.strip("[]"), user, int(port) if port is not None else None)


def _decoded(text: str, path: str) -> str:
    decoded = unquote(path)
    if _CONTROL.search(decoded) or "\ufffd" in decoded:
        raise UsageError(f"{text} has characters in its path that no path has.")
    return decoded
