"""Pruning: which snapshots stay is told by rules; the others are deleted, and gc frees their space."""

from casvault.prune.prune import PrunePlan, Verdict, plan_prune, prune
from casvault.prune.rules import Rules

__all__ = ["PrunePlan", "Rules", "Verdict", "plan_prune", "prune"]
