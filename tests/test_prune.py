"""Pruning a vault: what is protected whatever the rules say, the ceiling, and what a plan tells."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casvault import api
from casvault.demo.model import SampleModel
from casvault.errors import DamageError, NotFound, UsageError
from casvault.manifest.label import Label
from casvault.manifest.stamp import to_iso
from casvault.prune import PrunePlan, Rules, plan_prune, prune
from casvault.prune.prune import judge
from casvault.vault.head import Head
from tests.support.history import History, make_drifting, snapshot_of, stored
from tests.support.vaults import make_head, make_manifest, memory_vault, stamp, store

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


def head(number: int, kind: str = "scheduled", label: dict[str, Any] | None = None, **more: Any) -> Head:
    """Return the snapshot ``number``, of so many hours after the month began."""
    saved = to_iso(datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(hours=number))
    made = make_head(stamp(number), **{"kind": kind, "saved_at": saved, "created": saved, **more})
    return Head(made.document, Label(made.id, **(label or {})), made.size, made.file_count, made.contents)


def verdicts(heads: list[Head], rules: Rules, **more: Any) -> dict[int, tuple[str, ...]]:
    """Return number -> reasons of the snapshots that stay."""
    options = {"kinds": None, "include_manual": False, "now": NOW, **more}
    found = judge(heads, rules, **options)
    assert [one.head for one in found] == heads
    return {heads.index(one.head): one.reasons for one in found if one.stays}


# What is protected


def test_pinned_and_manual_ones_stay_and_take_nobodys_place() -> None:
    heads = [
        head(0, label={"pinned": True}),
        head(1),
        head(2, "manual"),
        head(3),
        head(4),
        head(5, "manual", {"pinned": True}),
    ]
    assert verdicts(heads, Rules(last=1)) == {
        0: ("pinned",),
        2: ("manual",),
        4: ("last",),
        5: ("pinned", "manual", "newest"),
    }
    assert verdicts(heads, Rules(last=1), include_manual=True).keys() == {0, 4, 5}


def test_backups_stay_for_a_week() -> None:
    heads = [head(0, "auto-backup"), head(1, "auto-backup"), head(200)]
    eighth = datetime(2026, 11, 8, tzinfo=timezone.utc)
    assert verdicts(heads, Rules(last=1), now=eighth) == {1: ("recent backup",), 2: ("last", "newest")}
    assert verdicts(heads, Rules(last=1), now=eighth + timedelta(hours=2)) == {2: ("last", "newest")}


def test_the_newest_whole_healthy_one_of_each_run_stays() -> None:
    ill = {"state": "collapsed", "findings": []}
    heads = [head(0), head(1), head(2, incomplete=True), head(3, health=ill), head(4, run=2), head(5, source="other")]
    assert verdicts(heads, Rules(best=1)).keys() == {0, 1, 4, 5}
    kept = verdicts([head(0), head(1, loss={"src": 9.0, "dst": 9.0}), *heads[2:4]], Rules(best=1))
    assert kept == {0: ("best",), 1: ("newest",)}


def test_the_newest_is_no_backup_of_what_a_restore_was_to_get_rid_of() -> None:
    heads = [head(0), head(1), head(2, "auto-backup")]
    assert verdicts(heads, Rules(every_iterations=10**9)) == {0: ("every",), 1: ("newest",)}
    assert verdicts([head(0, "auto-backup"), head(1, incomplete=True)], Rules(best=1)) == {0: ("best", "newest")}


def test_rules_work_on_each_run_of_each_model_in_each_place() -> None:
    heads = [
        head(number, model_name=name, source=source, run=run)
        for number, (name, source, run) in enumerate(
            (name, source, run) for name in ("a_SAEHD", "b_SAEHD") for source in ("x", "y") for run in (1, 2, 1)
        )
    ]
    assert verdicts(heads, Rules(last=1)).keys() == {1, 2, 4, 5, 7, 8, 10, 11}


def test_other_kinds_stay_where_only_some_are_asked_for() -> None:
    heads = [head(0, "imported"), head(1), head(2, "auto-backup"), head(3), head(4)]
    kept = verdicts(heads, Rules(last=1), kinds={"scheduled"})
    assert kept == {0: ("imported",), 2: ("auto-backup",), 4: ("last", "newest")}


def test_what_follows_a_restore_is_a_line_of_its_own() -> None:
    heads = [
        head(0, iteration=100),
        head(1, iteration=200),
        head(2, "manual", iteration=110, restored_from=stamp(0)),
        head(3, iteration=220),
        head(4, iteration=290),
    ]
    assert verdicts(heads, Rules(every_iterations=100)) == {
        0: ("every",),
        1: ("every",),
        2: ("manual",),
        3: ("every",),
        4: ("newest",),
    }


kinds = st.sampled_from(["manual", "scheduled", "scheduled", "auto-backup", "imported"])


@given(
    st.lists(st.tuples(kinds, st.booleans(), st.integers(0, 5), st.sampled_from([0, 7, 100])), max_size=15),
    st.builds(Rules, last=st.integers(0, 3), best=st.integers(0, 2), daily=st.integers(0, 2), log=st.just(True)),
    st.booleans(),
)
def test_whatever_the_rules_the_protected_stay(
    made: list[tuple[str, bool, int, int]], rules: Rules, include_manual: bool
) -> None:
    heads = [
        head(number * 20, kind, {"pinned": pinned}, incomplete=broken == 0, iteration=iteration)
        for number, (kind, pinned, broken, iteration) in enumerate(made)
    ]
    kept = judge(heads, rules, None, include_manual, NOW)
    stay = {one.head.id for one in kept if one.stays}
    assert stay >= {one.id for one in heads if one.label.pinned}
    assert include_manual or stay >= {one.id for one in heads if one.kind == "manual"}
    sound = [one for one in heads if not one.incomplete and one.kind != "auto-backup"]
    assert not sound or sound[-1].id in stay
    assert all(bool(one.reasons) == one.stays for one in kept)
    again = judge([one for one in heads if one.id in stay], rules, None, include_manual, NOW)
    assert all(one.stays for one in again)


# On a vault


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path, 5)


def test_prune_deletes_what_the_plan_says_and_gc_frees_what_it_tells(tmp_path: Path) -> None:
    vault, ids = make_drifting(tmp_path, 5)
    plan = vault.plan_prune(Rules(last=2))
    assert plan.goes == tuple(ids[:3])
    assert len(vault.snapshots()) == 5
    assert vault.prune(Rules(last=2)).goes == plan.goes
    assert [head.id for head in vault.snapshots()] == ids[3:]
    assert vault.plan_prune(Rules(last=2)).goes == ()
    before = stored(vault)
    result = vault.gc(recode=False)
    assert before - stored(vault) == result.freed_bytes == plan.frees_bytes > 0
    assert result.base_bytes == plan.leaned_bytes > 0
    assert vault.verify(read_data=True).ok


def test_prune_can_collect_at_once(history: History) -> None:
    before = stored(history.vault)
    plan = history.vault.prune(Rules(last=1), gc=True)
    assert before - stored(history.vault) >= plan.frees_bytes > 0
    assert not history.vault.snapshots(deleted=True)


def test_no_rule_at_all_is_refused(history: History) -> None:
    for rules in (Rules(), Rules(last=0, best=0)):
        with pytest.raises(UsageError, match="at least one rule"):
            history.vault.prune(rules)
    assert history.left() == [0, 1, 2, 3, 4]


def test_what_is_pinned_between_plan_and_deed_stays(history: History) -> None:
    plan = history.vault.plan_prune(Rules(last=1))
    history.vault.edit(history.ids[1], pinned=True)
    done = prune(history.vault, plan)
    assert history.left() == [1, 4]
    assert done.goes == (history.ids[0], history.ids[2], history.ids[3])
    assert done.verdicts[1].reasons == ("pinned",)


def test_what_comes_between_plan_and_deed_stays(history: History) -> None:
    plan = history.vault.plan_prune(Rules(last=1))
    history.snapshot()
    prune(history.vault, plan)
    assert history.left() == [4, 5]


def test_only_the_model_that_is_named(history: History, tmp_path: Path) -> None:
    other = SampleModel(tmp_path / "elsewhere" / "model", history.model.name, 60_000)
    for _ in range(2):
        other.train(2)
        other.save()
        history.ids.append(snapshot_of(history.vault, other.folder))
    here = str(history.model.folder / history.model.name)
    assert history.vault.plan_prune(Rules(last=1), model=here).goes == tuple(history.ids[:4])
    both = history.vault.plan_prune(Rules(last=1), model="new")
    assert both.goes == (*history.ids[:4], history.ids[5])
    with pytest.raises(NotFound):
        history.vault.plan_prune(Rules(last=1), model="no such")


def test_a_model_without_snapshots_has_nothing_to_prune(history: History, tmp_path: Path) -> None:
    SampleModel(tmp_path / "elsewhere", "fresh_SAEHD", 60_000).save()
    assert history.vault.plan_prune(Rules(last=1), model=str(tmp_path / "elsewhere")).verdicts == ()


def test_an_empty_vault(tmp_path: Path) -> None:
    plan = api.init(tmp_path / ".casvault").prune(Rules(last=1, max_bytes=0), gc=True)
    assert plan == PrunePlan((), 0, 0, 0)


def test_nothing_is_told_to_go_while_a_manifest_cannot_be_read(history: History) -> None:
    assert history.vault.path is not None
    (history.vault.path / "snapshots" / f"{history.ids[1]}.json").write_bytes(b"{}")
    with pytest.raises(DamageError, match=f"casvault delete {history.ids[1]}"):
        api.open(history.vault.path).prune(Rules(last=1))


def test_json_of_a_plan(history: History) -> None:
    document = history.vault.plan_prune(Rules(last=2)).to_json()
    assert document["deleted"] == history.ids[:3]
    assert document["snapshots"][0] == {
        "id": history.ids[0],
        "name": None,
        "model": "new_SAEHD",
        "iteration": 8,
        "kept": False,
        "reasons": [],
        "over_max_bytes": False,
    }
    assert document["snapshots"][4]["reasons"] == ["last", "newest"]
    assert document["excess_bytes"] == 0


# The ceiling


def test_the_oldest_go_until_it_fits(tmp_path: Path) -> None:
    vault, ids = make_drifting(tmp_path, 6)
    full = stored(vault)
    assert vault.plan_prune(Rules(max_bytes=full)).goes == ()
    for ceiling in (full - 1, full * 3 // 4, full // 2):
        plan = vault.plan_prune(Rules(max_bytes=ceiling))
        assert plan.goes == tuple(ids[: len(plan.goes)])
        assert plan.goes
        assert plan.excess_bytes == 0
        assert [one.over for one in plan.verdicts] == [one.head.id in plan.goes for one in plan.verdicts]
    # What was told is about what gc comes to.
    prune(vault, plan)
    vault.gc()
    assert stored(vault) <= ceiling * 1.02
    assert vault.verify(read_data=True).ok


def test_no_more_go_than_gc_needs_when_it_codes_anew(tmp_path: Path) -> None:
    vault, ids = make_drifting(tmp_path, 4)
    # The first stands alone and the others lean on it: only coding anew frees what it takes.
    least = {one.head.id: one for one in vault.usage().snapshots}[ids[0]].unique_bytes
    full = stored(vault)
    child = vault.usage(ids[3]).snapshots[0].unique_bytes
    assert least < child / 2
    plan = vault.plan_prune(Rules(max_bytes=full - child // 2))
    assert plan.goes == (ids[0],)
    assert plan.leaned_bytes > 0
    prune(vault, plan)
    vault.gc()
    assert stored(vault) <= full - child // 2


def test_the_ceiling_takes_what_rules_keep_but_nothing_protected(history: History) -> None:
    history.vault.edit(history.ids[0], pinned=True)
    history.snapshot("manual")
    plan = history.vault.plan_prune(Rules(last=3, max_bytes=1))
    assert plan.goes == tuple(history.ids[1:5])
    assert [one.over for one in plan.verdicts] == [False, False, True, True, True, False]
    assert plan.verdicts[3].reasons == ("last",)
    assert plan.excess_bytes > 0
    fitting = history.vault.plan_prune(Rules(max_bytes=10**12))
    assert fitting.goes == ()
    assert fitting.verdicts[2].reasons == ("fits",)


def test_the_oldest_are_told_by_when_they_were_saved() -> None:
    vault = memory_vault()
    for number, hours in enumerate((5, 1, 9)):
        saved = to_iso(datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(hours=hours))
        manifest = make_manifest(
            stamp(40_000 + number), {f"new_SAEHD_{number}.npy": bytes(100 + number)}, kind="imported", saved_at=saved
        )
        store(vault.backend, bytes(100 + number))
        vault.commit(manifest, Label(manifest.id))
    sizes = [name.size for name in vault.objects.every()]
    plan = plan_prune(vault, Rules(max_bytes=sum(sizes) - 1), now=NOW)
    assert plan.goes == (stamp(40_001),)
