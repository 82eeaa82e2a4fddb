"""Check: whether all that snapshots need is there, and whether it still is what it was."""

from casvault.check.damage import Damage, Hit
from casvault.check.verify import VerifyResult, verify

__all__ = ["Damage", "Hit", "VerifyResult", "verify"]
