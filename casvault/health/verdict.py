"""The verdict on a model: ok, suspect or broken, and why, in plain sentences.

*Broken* is what training cannot go on from: NaN or infinity in a tensor, a loss that is not a number, a file that is
missing, cut short, or cannot be read. *Suspect* is what a person should look at: losses that jumped or are exactly
zero, weights that died. Nothing here reads a tensor; it judges what was found in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from casvault.manifest.manifest import Fault, Manifest
from casvault.models import Kind, State

__all__ = ["Verdict", "judge"]

_MOST_TENSORS = 3
"""Tensors of one file that are named in a sentence; the faults in a manifest name all."""

_DIED = "all numbers are the same, which they were not in an earlier snapshot"
_MOST_OPTIONS = 10
_LONGEST = 60


@dataclass(frozen=True)
class Verdict:
    """What is broken and what is suspect, each a sentence."""

    broken: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """``ok``, ``suspect`` or ``broken``."""
        return "broken" if self.broken else "suspect" if self.suspect else "ok"

    @property
    def findings(self) -> tuple[str, ...]:
        """All sentences, the worst first."""
        return (*self.broken, *self.suspect)

    def to_json(self) -> dict[str, Any] | None:
        """Return the verdict as it stands in a manifest: None where nothing speaks against the model."""
        return {"state": self.state, "findings": list(self.findings)} if self.findings else None


def judge(
    kind: Kind,
    type: str | None,
    state: State,
    files: Iterable[tuple[str, str, tuple[Fault, ...]]],
    unreadable: Iterable[str],
    parent: Manifest | None,
) -> Verdict:
    """Return the verdict on a model of ``kind`` and ``type`` whose ``files`` are path, role and faults.

    ``unreadable`` are sentences about files in which no tensor was found; ``parent`` is an earlier snapshot.
    """
    files = list(files)
    broken = [*state.problems, *unreadable]
    roles = [role for _, role, _ in files]
    # That data.dat is missing is told by the state.
    missing = [role for role in kind.missing(roles, type, state) if role != kind.last_role]
    broken += [f"{role} is not there, so the trainer would start it afresh." for role in missing]
    suspect = []
    for path, _, faults in files:
        broken += _damaged(path, faults)
        suspect += _dead(path, faults)
    options = _changed_options(state, parent) if state.doubts else ""
    suspect = [f"{doubt}{options}." for doubt in state.doubts] + suspect
    return Verdict(tuple(broken), tuple(suspect))


def _damaged(path: str, faults: Sequence[Fault]) -> list[str]:
    found = [(fault.name, _counted(fault)) for fault in faults if fault.nan or fault.inf]
    if len(found) == 1:
        return [f"{path}: the tensor {found[0][0]} has {found[0][1]}."]
    return [f"{path}: {len(found)} tensors have NaN or Inf: {_some(f'{n} ({c})' for n, c in found)}."] if found else []


def _dead(path: str, faults: Sequence[Fault]) -> list[str]:
    names = [fault.name for fault in faults if fault.flat]
    if len(names) == 1:
        return [f"{path}: the tensor {names[0]} has died: {_DIED}."]
    return [f"{path}: {len(names)} tensors have died: {_DIED}: {_some(names)}."] if names else []


def _some(items: Iterable[str]) -> str:
    """Return the first few of the items, and how many more there are."""
    told = list(items)
    more = len(told) - _MOST_TENSORS
    return ", ".join(told[:_MOST_TENSORS]) + (f" and {more} more" if more > 0 else "")


def _counted(fault: Fault) -> str:
    parts = [f"{count:,} {what}" for count, what in ((fault.nan, "NaN"), (fault.inf, "Inf")) if count]
    return " and ".join(parts)


def _changed_options(state: State, parent: Manifest | None) -> str:
    """Return which options are others than in the parent, as the end of a sentence."""
    if parent is None or parent.options is None or state.options is None:
        return ""
    old, new = parent.options, state.options
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if not changed:
        # Of a parent that had the same doubts already, that would only mislead.
        return "; no option changed since the parent snapshot" if parent.health is None else ""
    told = [f"{key} {_value(old.get(key))} -> {_value(new.get(key))}" for key in changed[:_MOST_OPTIONS]]
    more = [f"{len(changed) - len(told)} more"] if len(changed) > len(told) else []
    return f"; options changed since the parent snapshot: {', '.join(told + more)}"


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)[:_LONGEST]
