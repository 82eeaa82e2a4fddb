"""Comparing two saves of a model: files, tensors, what the trainer notes down."""

from casvault.diff.compare import diff
from casvault.diff.report import Diff

__all__ = ["Diff", "diff"]
