"""Getting hold of one whole save of a model that may be training."""

from casvault.capture.capture import Capture, CapturedFile, capture
from casvault.capture.waiting import Patience

__all__ = ["Capture", "CapturedFile", "Patience", "capture"]
