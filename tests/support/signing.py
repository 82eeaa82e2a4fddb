"""Requests to a store that obstore does not make, such as for a bucket: signed as AWS asks for (version 4)."""

from __future__ import annotations

import hashlib
import hmac
import urllib.request
from datetime import datetime, timezone
from urllib.parse import urlsplit

__all__ = ["signed"]

_EMPTY = hashlib.sha256(b"").hexdigest()


def signed(method: str, url: str, key: str, secret: str, region: str = "us-east-1") -> urllib.request.Request:
    """Return a request without a body, signed."""
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join([method, parts.path, parts.query, lines, names, _EMPTY])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    mac = f"AWS4{secret}".encode()
    for part in (*scope.split("/"),):
        mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
    proof = hmac.new(mac, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={proof}"
    return urllib.request.Request(url, method=method, headers=headers)
