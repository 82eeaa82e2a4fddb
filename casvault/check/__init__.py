"""Check: whether all that snapshots need is there, and whether it still is what it was."""

from casvault.check.damage import Damage, Hit
from casvault.check.log import LastChecked
from casvault.check.verify import VerifyResult, last_checked, verify

__all__ = ["Damage", "Hit", "LastChecked", "VerifyResult", "last_checked", "verify"]
