"""The comparison of two saves: of two snapshots, or of a snapshot with a live model.

Files are told apart by role, tensors by role and name, so that a model that was renamed is still the same one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from casvault.diff.pairs import Pair
from casvault.diff.report import Diff, FileChange, Side, TensorChange, ValueChange
from casvault.formats.region import Region
from casvault.models import Kind, kind_named
from casvault.progress import Progress
from casvault.subject import Subject, SubjectFile, open_subject
from casvault.vault.vault import Vault

__all__ = ["diff"]

_ORDER = ("changed", "reshaped", "added", "removed", "same")


def diff(vault: Vault, a: str | Path, b: str | Path, progress: Progress | None = None) -> Diff:
    """Return how ``b`` differs from ``a``: each a snapshot, or a live model.

    Raises NotFound, AmbiguousError, UsageError, MissingObject, DamageError, IncompleteSave where a live file is written
    to meanwhile, StorageError, Locked, Cancelled.
    """
    progress = progress or Progress()
    with (
        open_subject(vault, a, progress, hashed=True) as one,
        open_subject(vault, b, progress, hashed=True) as other,
        vault.locks.shared("diff"),
    ):
        # What was listed before may have been replaced by gc since.
        vault.objects.forget()
        return _compare(one, other, progress, vault.threads)


def _compare(a: Subject, b: Subject, progress: Progress, threads: int) -> Diff:
    kind = kind_named(b.kind)
    files_a, files_b = ({file.role: file for file in subject.files} for subject in (a, b))
    pairs: list[Pair] = []
    found: list[TensorChange] = []
    for role in sorted({*files_a, *files_b}):
        matched, rest = _match(kind, role, files_a.get(role), files_b.get(role))
        pairs += matched
        found += rest
    found += _measure(kind, pairs, progress, threads)
    moved = [_file(role, files_a.get(role), files_b.get(role), found) for role in sorted({*files_a, *files_b})]
    return Diff(
        _side(a),
        _side(b),
        tuple(moved),
        tuple(sorted(found, key=_rank)),
        tuple(_values(_metadata(a), _metadata(b))),
        tuple(_values(a.state.options or {}, b.state.options or {})),
    )


def _match(
    kind: Kind, role: str, a: SubjectFile | None, b: SubjectFile | None
) -> tuple[list[Pair], list[TensorChange]]:
    """Return the tensors that are in both files alike, and the others as changes."""
    regions_a, regions_b = ({r.name: r for r in file.regions} if file is not None else {} for file in (a, b))
    pairs: list[Pair] = []
    rest: list[TensorChange] = []
    for name in [*regions_a, *(name for name in regions_b if name not in regions_a)]:
        one, other = regions_a.get(name), regions_b.get(name)
        kinds = _kind_of(one), _kind_of(other)
        if one is not None and other is not None and a is not None and b is not None and kinds[0] == kinds[1]:
            pairs.append(Pair(a, b, one, other))
        else:
            change = "added" if one is None else "removed" if other is None else "reshaped"
            rest.append(TensorChange(role, name, _part(kind, role), change, *kinds))
    return pairs, rest


def _measure(kind: Kind, pairs: Sequence[Pair], progress: Progress, threads: int) -> list[TensorChange]:
    progress.start("comparing", sum(pair.region_a.size for pair in pairs))

    def measure(pair: Pair) -> TensorChange:
        progress.check()
        change = _tensor(kind, pair)
        progress.advance(pair.region_a.size)
        return change

    if threads == 1:
        found = [measure(pair) for pair in pairs]
    else:
        with ThreadPoolExecutor(threads, "compare") as pool:
            try:
                found = list(pool.map(measure, pairs))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    progress.finish()
    return found


def _tensor(kind: Kind, pair: Pair) -> TensorChange:
    region = pair.region_a
    kinds = _kind_of(region), _kind_of(pair.region_b)
    place = pair.a.role, region.name, _part(kind, pair.a.role)
    if pair.same:
        return TensorChange(*place, "same", *kinds, relative=0.0, differing=0)
    if not pair.readable:
        return TensorChange(*place, "changed", *kinds)
    moved = pair.moved()
    if not moved.differing:
        return TensorChange(*place, "same", *kinds, relative=0.0, differing=0)
    before, difference = (_root(total / moved.numbers) for total in (moved.before, moved.difference))
    relative = difference / before if before and difference is not None else None
    return TensorChange(*place, "changed", *kinds, before, difference, relative, moved.differing)


def _root(mean: float) -> float | None:
    return math.sqrt(mean) if math.isfinite(mean) else None


def _rank(tensor: TensorChange) -> tuple[int, float, str, str]:
    # What cannot be told as a number (NaN, or zero before) is no small change.
    moved = tensor.relative if tensor.relative is not None else math.inf
    return _ORDER.index(tensor.change), -moved, tensor.role, tensor.name


def _file(role: str, a: SubjectFile | None, b: SubjectFile | None, tensors: Iterable[TensorChange]) -> FileChange:
    if a is None or b is None:
        there = a or b
        size = there.size if there is not None else None
        return FileChange(role, "added", None, size) if a is None else FileChange(role, "removed", size, None)
    mine = [tensor for tensor in tensors if tensor.role == role and tensor.change in ("changed", "same")]
    change = "same" if a.digest == b.digest else "changed"
    return FileChange(role, change, a.size, b.size, len(mine), sum(tensor.change == "changed" for tensor in mine))


def _kind_of(region: Region | None) -> tuple[str, tuple[int, ...]] | None:
    return (region.dtype, region.shape) if region is not None else None


def _part(kind: Kind, role: str) -> str:
    return "optimizer" if kind.is_optimizer(role) else "records" if kind.is_record(role) else "weights"


def _side(subject: Subject) -> Side:
    return Side(
        subject.title,
        subject.head.id if subject.head is not None else None,
        subject.name,
        subject.folder,
        subject.state.iteration,
        subject.saved_at,
        subject.incomplete,
    )


def _metadata(subject: Subject) -> dict[str, Any]:
    """Return what is told of a save beside its options."""
    state = subject.state
    losses = {f"loss {name}": value for name, value in (state.loss or {}).items()}
    last = {f"last loss {name}": value for name, value in (state.loss_last or {}).items()}
    told = {"model": subject.name, "type": subject.type, "saved_at": subject.saved_at, "iteration": state.iteration}
    return {**told, **losses, **last, **subject.meta}


def _values(a: dict[str, Any], b: dict[str, Any]) -> list[ValueChange]:
    keys = [*a, *(key for key in b if key not in a)]
    return [ValueChange(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]
