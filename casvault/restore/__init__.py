"""Bringing a snapshot back, undoing that, and finishing what was interrupted."""

from casvault.restore.journal import finish_interrupted
from casvault.restore.plan import Change, RestorePlan, plan_restore
from casvault.restore.restore import RestoreOptions, RestoreResult, restore
from casvault.restore.salvage import SalvageResult, plan_salvage, salvage
from casvault.restore.undo import undo

__all__ = [
    "Change",
    "RestoreOptions",
    "RestorePlan",
    "RestoreResult",
    "SalvageResult",
    "finish_interrupted",
    "plan_restore",
    "plan_salvage",
    "restore",
    "salvage",
    "undo",
]
