"""Addresses: what could be an option or a piece of a command is refused, all else is one word to the other side."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault.errors import UsageError
from casvault.sync.address import Address
from casvault.sync.ssh import command_for


def test_what_an_address_says() -> None:
    assert Address.parse("ssh://me@host:2222/srv/a b").__dict__ == {
        "url": "ssh://me@host:2222/srv/a b", "path": "/srv/a b", "host": "host", "user": "me", "port": 2222,
        "store": None, "bucket": "",
    }  # fmt: skip
    assert Address.parse("ssh://host/~/train/.casvault").path == "./train/.casvault"
    assert Address.parse("ssh://[::1]/srv/v").host == "::1"
    assert Address.parse("ssh://h/srv/a%20b").path == "/srv/a b"
    assert Address.parse("file:///mnt/a%20b").path == str(Path("/mnt/a b"))
    assert Address.parse("s3://bucket/a/b%20c/").__dict__ == {
        "url": "s3://bucket/a/b%20c/", "path": "a/b c", "host": None, "user": None, "port": None,
        "store": "s3", "bucket": "bucket",
    }  # fmt: skip
    assert Address.parse("s3://bucket").path == ""
    assert Address.parse("some/where").path == str(Path("some/where").absolute())


@pytest.mark.parametrize(
    "text",
    [
        "ssh://-oProxyCommand=touch x/y",
        "ssh://-oProxyCommand=x@host/y",
        "ssh://host:-p/y",
        "ssh://host:99999/y",
        "ssh://ho st/y",
        "ssh://$(x)/y",
        "ssh://a;b/y",
        "ssh://me@you@host/y",
        "ssh://host",
        "ssh://host/",
        "ssh:///y",
        "ssh://host/a\nb",
        "ssh://host/a%0ab",
        "ssh://host/%ff",
        "ssh://[::1/y",
        "file://host/y",
        "http://host/y",
        "s3:///y",
        "s3://-x/y",
        "s3://key:secret@bucket/y",
        "s3://bucket/../y",
        "s3://bucket/a//b",
        "s3://bucket/-x",
        "s3://bucket/%0a",
        "s3://bucket/a?endpoint=x",
        "",
        "a\x00b",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(text)


@pytest.mark.skipif(sys.platform == "win32", reason="asks a POSIX shell")
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="%\ufffd"), min_size=1, max_size=40))
def test_a_path_is_one_word_to_the_far_shell(path: str) -> None:
    address = Address.parse(f"ssh://me@host/x{path}")
    command = command_for(address, "far casvault")
    assert command[0] == "ssh"
    assert command[-3:-1] == ["--", "host"]
    assert command[command.index("-l") + 1] == "me"
    words = shlex.split(command[-1])
    assert words == ["far casvault", "--vault", f"/x{path}", "serve", "--stdio"]


@pytest.mark.skipif(sys.platform == "win32", reason="asks a POSIX shell")
@pytest.mark.parametrize("path", ["/a b", "/a'b", '/a"b', "/$(touch x)", "/a;b", "/`x`", "/a\\b", "/~", "/-x", "/*"])
def test_what_a_shell_makes_of_it(path: str) -> None:
    far = command_for(Address.parse(f"ssh://host{path}"), "printf %s")[-1].removeprefix("'printf %s' ")
    said = subprocess.run(["sh", "-c", f"printf '%s\\n' {far}"], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == ["--vault", path]


def test_the_command_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASVAULT_SSH", "ssh -F '/a b/config'")
    assert command_for(Address.parse("ssh://host/v"), "casvault")[:3] == ["ssh", "-F", "/a b/config"]
    monkeypatch.setenv("CASVAULT_SSH", "ssh 'x")
    with pytest.raises(UsageError, match="CASVAULT_SSH"):
        command_for(Address.parse("ssh://host/v"), "casvault")
