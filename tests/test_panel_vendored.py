"""What the panel brings along of others: it is the very bytes that were published, each with its licence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import casvault

VENDOR = Path(casvault.__file__).parent / "panel" / "static" / "vendor"
LIST = "vendored.json"


def test_every_file_is_pinned_and_unchanged() -> None:
    pinned: dict[str, str] = {}
    for package in json.loads((VENDOR / LIST).read_text("utf-8")):
        assert package["package"]
        assert package["version"]
        assert package["license"]
        assert any("LICENSE" in name for name in package["files"]), package["package"]
        pinned |= package["files"]
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir() if path.name != LIST}
    assert there == pinned


def test_nothing_of_it_asks_for_what_the_policy_forbids() -> None:
    """No eval, no inline style, no address to fetch from."""
    for path in VENDOR.glob("uPlot*.js"):
        text = path.read_text("utf-8")
        for forbidden in ("eval(", "new Function", "insertRule", 'setAttribute("style"', "innerHTML =", "fetch("):
            assert forbidden not in text, f"{path.name}: {forbidden}"
