"""A delta codec as small as can be, for tests of chains of bases."""

from __future__ import annotations

import pytest

from casvault.backends.backend import Backend
from casvault.codecs import registry
from casvault.codecs.codec import CODEC_IDS, Codec, Layout
from casvault.digest import digest_of
from casvault.errors import FormatError
from casvault.objects.frame import Frame
from casvault.objects.store import ObjectName

__all__ = ["XorDelta", "install", "store_delta"]


class XorDelta(Codec):
    """The exclusive or with a base of the same length."""

    name = "delta"
    needs_base = True

    def attempt(self, data: bytes | memoryview, layout: Layout, base: bytes | memoryview | None = None) -> None:
        """Return None: it is never chosen."""

    def encode(self, data: bytes | memoryview, layout: Layout, base: bytes | memoryview | None = None) -> bytes:
        """Return ``data`` xor ``base``."""
        assert base is not None
        return bytes(one ^ other for one, other in zip(data, base, strict=True))

    def decode(
        self, payload: bytes | memoryview, plain_size: int, layout: Layout, base: bytes | memoryview | None = None
    ) -> bytes:
        """Return ``payload`` xor ``base``."""
        if base is None or len(base) != plain_size or len(payload) != plain_size:
            raise FormatError("a delta against a base of another length")
        return bytes(one ^ other for one, other in zip(payload, base, strict=True))


def install(monkeypatch: pytest.MonkeyPatch) -> XorDelta:
    """Let readers know `XorDelta` under the id that is kept for deltas."""
    codec = XorDelta()
    monkeypatch.setitem(registry._made, "delta", codec)
    return codec


def store_delta(backend: Backend, digest: str, base: str, payload: bytes) -> ObjectName:
    """Put a well-formed object into a vault that says: ``digest`` is ``payload`` xor the chunk ``base``."""
    pieces = Frame(CODEC_IDS["delta"], Layout(), len(payload), base, payload).pieces()
    name = ObjectName(digest, base, sum(len(piece) for piece in pieces))
    backend.write(name.blob, b"".join(pieces))
    return name


def delta_of(backend: Backend, plain: bytes, base: bytes) -> ObjectName:
    """Put ``plain`` into a vault as a delta against the chunk ``base``."""
    return store_delta(backend, digest_of(plain), digest_of(base), XorDelta().encode(plain, Layout(), base))
