"""How a bucket is reached: options, the environment, AWS's own files; secrets never come from a vault."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from casvault.backends.stores import OPTIONS, check_option, open_store
from casvault.errors import UsageError

pytest.importorskip("obstore")


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "PROFILE",
                 "ENDPOINT_URL", "ENDPOINT_URL_S3", "ENDPOINT", "ALLOW_HTTP"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-3\nendpoint_url = https://s3.work.example\n")
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = mine\naws_secret_access_key = s1\n"
        "[work]\naws_access_key_id = works\naws_secret_access_key = s2\naws_session_token = t2\n"
    )


def config(**options: str) -> dict[str, object]:
    return dict(open_store("s3", "bucket", options).config)


def test_aws_files_say_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config()["access_key_id"] == "mine"
    work = config(profile="work")
    assert (work["access_key_id"], work["secret_access_key"], work["session_token"]) == ("works", "s2", "t2")
    assert (work["region"], work["endpoint"]) == ("eu-west-3", "https://s3.work.example")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert config()["access_key_id"] == "works"
    with pytest.raises(UsageError, match="there is no profile 'other'"):
        config(profile="other")


def test_the_environment_goes_first_but_for_a_profile_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hers")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.hers.example")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    found = config()
    assert (found["access_key_id"], found["region"], found["endpoint"]) == (
        "hers",
        "us-west-2",
        "https://s3.hers.example",
    )
    assert "session_token" not in found
    assert config(profile="work")["access_key_id"] == "works"
    said = config(endpoint="https://s3.other.example", region="x")
    assert (said["endpoint"], said["region"]) == ("https://s3.other.example", "x")


def test_half_a_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hers")
    assert config()["access_key_id"] == "mine"


def test_nothing_is_sent_in_the_clear_unless_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is not encrypted"):
        config(endpoint="http://10.0.0.1:9000")
    config(endpoint="http://10.0.0.1:9000", allow_http="true")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    config(endpoint="http://10.0.0.1:9000")


@pytest.mark.parametrize("key", sorted(OPTIONS))
def test_options_that_can_be_kept(key: str) -> None:
    good = {"endpoint": "https://s3.example.org/base", "timeout": "30"}.get(key, "true")
    check_option(key, good)
    for bad in ("", "x" * 1001, "a\nb", "a\x1bb"):
        with pytest.raises(UsageError):
            check_option(key, bad)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("secret_access_key", "x", "is a secret, which a vault never keeps"),
        ("AWS_SESSION_TOKEN", "x", "is a secret"),
        ("access_key_id", "x", "is a secret"),
        ("password", "x", "is a secret"),
        ("colour", "x", "there is no option 'colour'; there are endpoint, "),
        ("allow_http", "yes", "is true or false"),
        ("timeout", "0", "a number of seconds"),
        ("timeout", "10000", "a number of seconds"),
        ("endpoint", "ftp://x", "is an address as"),
        ("endpoint", "https://me:secret@s3.example.org", "without user and password"),
    ],
)
def test_options_that_cannot_be_kept(key: str, value: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_option(key, value)


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"needs the package obstore: pip install 'casvault\[s3\]'"):
        open_store("s3", "bucket", {})
