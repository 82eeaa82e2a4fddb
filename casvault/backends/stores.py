"""Object stores: from a bucket's address, what the environment says, and options to a store of obstore's.

Owns the invariant that secrets come from the environment or from AWS's own files, never from a vault.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from casvault.errors import UsageError

__all__ = ["OPTIONS", "STORES", "check_option", "open_store"]

STORES = ("s3", "az", "gs")
OPTIONS = {
    "endpoint": "where the store answers, as in https://s3.example.org",
    "region": "the store's region",
    "profile": "the section of AWS's own files that says who asks",
    "allow_http": "true: the endpoint may be reached without encryption",
    "virtual_hosted_style": "true: the bucket is a part of the host's name",
    "skip_signature": "true: nobody in particular asks, of a public bucket",
    "server_side_encryption": "how the store is to encrypt what it keeps, as in AES256",
    "timeout": "seconds after which a request that does not move is given up",
}
"""What may be said of a store that a remote is kept in, and be written down."""

_SECRET = re.compile(r"(?i)(secret|access_?key|token|password|credential|sas|account_?key)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STALLED = 60
_CONNECT = timedelta(seconds=10)
_LONGEST = timedelta(minutes=10)
_RETRY = {
    "max_retries": 6,
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
    "retry_timeout": timedelta(seconds=60),
}
"""How often a request is made again that nobody answered, or that a store was too busy for."""


def check_option(key: str, value: str) -> None:
    """Raise UsageError unless an option may be kept in a vault and has a value that it can have."""
    if key not in OPTIONS:
        if _SECRET.search(key):
            raise UsageError(
                f"{key} is a secret, which a vault never keeps: set it in the environment, "
                "or name a section of ~/.aws/credentials with --option profile=NAME."
            )
        raise UsageError(f"there is no option {key!r}; there are {', '.join(OPTIONS)}.")
    if not value or len(value) > 1000 or _CONTROL.search(value):
        raise UsageError(f"the value of option {key} is empty, too long, or has control characters.")
    if key in ("allow_http", "virtual_hosted_style", "skip_signature") and value not in ("true", "false"):
        raise UsageError(f"option {key} is true or false.")
    if key == "timeout" and (re.fullmatch(r"[0-9]{1,4}", value) is None or int(value) == 0):
        raise UsageError("option timeout is a number of seconds, up to 9999.")
    if key == "endpoint" and re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", value) is None:
        raise UsageError("option endpoint is an address as https://s3.example.org, without user and password.")


def open_store(kind: str, bucket: str, options: Mapping[str, str]) -> Any:
    """Return obstore's store for a bucket; raises UsageError where obstore is missing or something does not fit."""
    try:
        from obstore import store as stores
    except ImportError:
        raise UsageError(f"{kind}:// needs the package obstore: pip install 'casvault[s3]' brings it.") from None
    from obstore.exceptions import BaseError

    client: dict[str, Any] = {
        "connect_timeout": _CONNECT,
        "read_timeout": timedelta(seconds=int(options.get("timeout", _STALLED))),
        "timeout": _LONGEST,
    }
    config = _s3(options) if kind == "s3" else {}
    if config.pop("allow_http", "false") == "true":
        client["allow_http"] = True
    try:
        if kind == "s3":
            return stores.S3Store(bucket, config=config, client_options=client, retry_config=_RETRY)
        made = stores.AzureStore if kind == "az" else stores.GCSStore
        return made(bucket, client_options=client, retry_config=_RETRY)
    except (BaseError, ValueError, TypeError) as error:
        raise UsageError(
            f"{kind}://{bucket} cannot be used as things are set: {str(error).partition(chr(10))[0][:200]}"
        ) from error


def _s3(options: Mapping[str, str]) -> dict[str, Any]:
    """Return obstore's configuration: a remote's options, else the environment, else AWS's own files."""
    env = os.environ
    profile = _profile(options.get("profile") or env.get("AWS_PROFILE"), named="profile" in options)
    config: dict[str, Any] = {"disable_bulk_delete": True}
    named = "profile" in options
    keys = {} if named else {key: env.get(f"AWS_{key.upper()}") for key in _KEYS}
    if not (keys.get("access_key_id") and keys.get("secret_access_key")):
        keys = {key: profile.get(f"aws_{key}") for key in _KEYS}
    config.update({key.replace("session_token", "token"): value for key, value in keys.items() if value})
    region = options.get("region") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or profile.get("region")
    endpoint = (
        options.get("endpoint")
        or env.get("AWS_ENDPOINT_URL_S3")
        or env.get("AWS_ENDPOINT_URL")
        or env.get("AWS_ENDPOINT")
        or profile.get("endpoint_url")
    )
    config["region"] = region or "us-east-1"
    if endpoint:
        config["endpoint"] = endpoint
        config["aws_endpoint_url_s3"] = endpoint
    allow = options.get("allow_http") or str(env.get("AWS_ALLOW_HTTP", "false")).lower()
    told = "endpoint" not in options and str(endpoint or "").startswith("http://")
    if (endpoint or "").startswith("http://") and not (told or allow in ("true", "1")):
        raise UsageError(
            f"{endpoint} is not encrypted, so that whoever is on the way reads along; "
            "--option allow_http=true or AWS_ALLOW_HTTP=true allows it."
        )
    config["allow_http"] = "true" if told or allow in ("true", "1") else "false"
    if options.get("virtual_hosted_style"):
        config["virtual_hosted_style_request"] = options["virtual_hosted_style"] == "true"
    if options.get("server_side_encryption"):
        config["server_side_encryption"] = options["server_side_encryption"]
    if options.get("skip_signature") == "true":
        config["skip_signature"] = True
    return config


_KEYS = ("access_key_id", "secret_access_key", "session_token")


def _profile(name: str | None, *, named: bool) -> Mapping[str, str]:
    """Return what AWS's own files say of a profile; raises UsageError where one that was named is in neither."""
    import configparser

    home = Path.home() / ".aws"
    places = (
        (os.environ.get("AWS_CONFIG_FILE") or str(home / "config"), f"profile {name}" if name else "default"),
        (os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials"), name or "default"),
    )
    found: dict[str, str] = {}
    for path, section in places:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue
        if parser.has_section(section):
            found.update(parser.items(section))
    if named and not found:
        raise UsageError(f"there is no profile {name!r} in ~/.aws/config and ~/.aws/credentials.")
    return found
