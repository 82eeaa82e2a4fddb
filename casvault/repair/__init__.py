"""Repair: what is damaged goes aside, and comes back from whatever still has the bytes."""

from casvault.repair.quarantine import DropResult, drop_quarantine
from casvault.repair.repair import RepairResult, plan_repair, repair

__all__ = ["DropResult", "RepairResult", "drop_quarantine", "plan_repair", "repair"]
