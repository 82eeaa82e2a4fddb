"""Import: copies of a model that lie around become snapshots, and the copies may go.

The trainer's own backups, and folders that people or other tools made.
"""

from casvault.importing.plan import Candidate, ImportPlan, plan_import
from casvault.importing.run import ImportResult, run_import

__all__ = ["Candidate", "ImportPlan", "ImportResult", "plan_import", "run_import"]
