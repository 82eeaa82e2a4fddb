"""The page of the activity."""

from __future__ import annotations

from pathlib import Path

from casvault import api
from tests.support.panel import opened


def test_entries_are_told_newest_first_and_by_whom(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    with opened(tmp_path / ".casvault") as page:
        assert "Nothing was done yet" in page.client.get("/activity").text
        page.panel.activity.add("gc", "First <b>", command="casvault gc '<i>'")
        page.panel.activity.add("snapshot", "Second", by="watch", outcome="failed")
        shown = page.client.get("/activity").text
        assert shown.index("Second") < shown.index("First &lt;b&gt;")
        assert "casvault gc &#39;&lt;i&gt;&#39;" in shown
        assert "Failed" in shown
        watched = page.client.get("/activity/entries?by=watch").text
        assert "Second" in watched
        assert "First" not in watched
        assert "Second" in page.client.get("/activity/entries?by=nonsense").text


def test_of_many_the_first_hundred_are_shown(tmp_path: Path) -> None:
    api.init(tmp_path / ".casvault")
    with opened(tmp_path / ".casvault") as page:
        for number in range(130):
            page.panel.activity.add("edit", f"Edit {number}")
        shown = page.client.get("/activity").text
        assert shown.count('class="entry"') == 100
        assert "Show 30 more" in shown
        assert page.client.get("/activity/entries?all=true").text.count('class="entry"') == 130
