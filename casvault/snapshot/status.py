"""Status: how the model that is in place stands to its snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from casvault.capture import Patience, capture
from casvault.errors import CasvaultError
from casvault.manifest.stamp import iso_of_ns
from casvault.models import Model, Trainer, find_trainers
from casvault.vault.head import Head
from casvault.vault.vault import Vault

__all__ = ["Status", "equal_to", "status"]


@dataclass(frozen=True)
class Status:
    """A live model: its state, and the newest snapshot of it. ``size`` in bytes.

    ``equals`` is a snapshot that the model equals by the sizes and times of its files; ``ahead`` the iterations
    since the newest one; ``incomplete`` says why it is not one whole save, None where it is. ``problems`` and
    ``doubts`` are what speaks against its health, as far as that is told without reading its tensors. ``trainers`` are
    the processes that may be training it, None where that cannot be known.
    """

    model: Model
    iteration: int | None
    loss: dict[str, float | None] | None
    saved_at: str | None
    size: int
    incomplete: str | None
    problems: tuple[str, ...]
    doubts: tuple[str, ...]
    newest: Head | None
    equals: Head | None
    ahead: int | None
    trainers: tuple[Trainer, ...] | None

    def to_json(self) -> dict[str, Any]:
        """Return the status for `--json`."""
        return {
            "model": {"name": self.model.name, "type": self.model.type, "folder": str(self.model.folder)},
            "iteration": self.iteration,
            "loss": self.loss,
            "saved_at": self.saved_at,
            "logical_bytes": self.size,
            "incomplete": self.incomplete,
            "problems": list(self.problems),
            "doubts": list(self.doubts),
            "newest": self.newest.to_json() if self.newest is not None else None,
            "equals": self.equals.id if self.equals is not None else None,
            "iterations_not_snapshotted": self.ahead,
            "trainers": None if self.trainers is None else [trainer.to_json() for trainer in self.trainers],
        }


def status(vault: Vault, model: Model) -> Status:
    """Return how ``model`` stands; reads its state but not its tensors. Raises NotFound, StorageError."""
    source = vault.source_of(model.folder)
    mine = [h for h in vault.heads() if h.model_name == model.name and h.source == source]
    with capture(lambda: model, Patience(0.0, allow_incomplete=True)) as taken:
        times = {item.file.path: (item.identity.size, item.identity.mtime_ns) for item in taken.files}
        saved = taken.saved_ns
    equals = equal_to(vault, model, mine, times)
    newest = next((head for head in reversed(mine) if head.kind not in ("auto-backup", "imported")), None)
    iteration = taken.state.iteration
    ahead = None
    if equals is None and newest is not None and iteration is not None and newest.iteration is not None:
        ahead = iteration - newest.iteration
    return Status(
        model=model,
        iteration=iteration,
        loss=taken.state.loss,
        saved_at=iso_of_ns(saved),
        size=sum(size for size, _ in times.values()),
        incomplete=taken.incomplete,
        problems=taken.state.problems,
        doubts=tuple(f"{doubt}." for doubt in taken.state.doubts),
        newest=newest,
        equals=equals,
        ahead=ahead,
        trainers=find_trainers(model),
    )


def equal_to(vault: Vault, model: Model, heads: list[Head], times: dict[str, tuple[int, int]]) -> Head | None:
    """Return the snapshot that the live model was captured as or restored from, if no file changed since.

    ``heads`` are those of the model in its place, oldest first; ``times`` are size and mtime of its files, by path.
    """
    record = vault.live(vault.live_key(model))
    candidates = [head for head in heads if record is not None and head.id == record.snapshot] or heads[-1:]
    for head in candidates:
        try:
            files = vault.manifest(head.id).files
        except CasvaultError:
            continue
        if {file.path: (file.size, file.mtime_ns) for file in files} == times:
            return head
    return None
