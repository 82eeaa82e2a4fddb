"""A model that is being trained: who does it, and the refusal to put files in its place.

Owns the invariant that nothing is restored under a trainer's hands unless that was asked for: it would go on with what
it has in memory, and save over what was restored. A trainer whose command line is not known shows by files that change.
"""

from __future__ import annotations

from collections.abc import Sequence

from casvault.errors import TrainerRunning
from casvault.models import Model, Trainer, find_trainers
from casvault.vault.vault import Vault

__all__ = ["check_not_trained", "saved_meanwhile", "trainers_of"]


def trainers_of(vault: Vault, live: Model) -> tuple[Trainer, ...]:
    """Return the processes that may be training what is in the place of ``live``.

    Where nothing is, and the vault knows of nothing that was, there is none: a new name beside a model that trains.
    """
    if not live.files and not live.leftovers and vault.live(vault.live_key(live)) is None:
        return ()
    return find_trainers(live) or ()


def check_not_trained(name: str, trainers: Sequence[Trainer]) -> None:
    """Raise TrainerRunning, naming the first of ``trainers``, unless there is none."""
    if not trainers:
        return
    others = f" and {len(trainers) - 1} more" if len(trainers) > 1 else ""
    raise TrainerRunning(
        f"{name} is being trained by {trainers[0]}{others}, and would be saved over: stop the trainer, restore, "
        "start it again; or restore all the same with --force. Nothing was changed."
    )


def saved_meanwhile(name: str, path: str | None = None) -> TrainerRunning:
    """Return the error for a model, or one ``path`` of it, that was written to while a restore was prepared."""
    return TrainerRunning(
        f"{path or name} was changed while the restore was prepared, so something is at work on {name}, as its "
        "trainer would be: stop it, restore, start it again. Nothing was changed."
    )
