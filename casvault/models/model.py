"""A model, its files and its state: the values that everything above passes around."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from casvault.formats import FloatRows

__all__ = ["History", "Model", "ModelFile", "Scalar", "State"]

Scalar = str | bool | int | float
"""The value of an option; a float is finite, an int fits into 64 bits."""


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    ``path`` is relative to the model's folder, with ``/``. ``role`` is what stays when the model is renamed:
    the file's name without the model's ("encoder.npy"); for generic models it is the path.
    """

    path: str
    role: str


@dataclass(frozen=True)
class Model:
    """The set of files that one training owns, as it was when the folder was listed.

    ``kind`` is a `Kind.name`; ``name`` is the full one ("small_SAEHD", "XSeg"); ``type`` is the trainer's
    class of model ("SAEHD"), None for generic ones; ``folder`` is absolute; ``files`` are regular files,
    sorted by path; ``leftovers`` are paths of temporary files that an interrupted save left, or one under way
    has just now; ``single`` says that the model is one file of its folder and not the whole of it.
    """

    kind: str
    name: str
    type: str | None
    folder: Path
    files: tuple[ModelFile, ...]
    leftovers: tuple[str, ...] = ()
    single: bool = False


@dataclass(frozen=True)
class State:
    """What a model's own records tell of its training; None is unknown.

    ``iteration`` counts from 0. ``loss`` maps a loss's name to its mean over the last 100 iterations (or as
    many as there are), ``loss_last`` to its last value, ``loss_best`` to the lowest mean of 100 iterations before
    those, where there were as many; a value that is not finite is None. ``problems`` are plain sentences, empty when
    all is well. ``doubts`` say what of the losses is suspect, each a sentence without its full stop.
    """

    iteration: int | None = None
    loss: dict[str, float | None] | None = None
    loss_last: dict[str, float | None] | None = None
    options: dict[str, Scalar] | None = None
    problems: tuple[str, ...] = ()
    loss_best: dict[str, float] | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """The losses of a run, a row for each iteration; ``iteration`` is that of the last row, None where it is unknown.

    ``rows`` is None where there are none, for the ``reason``, a sentence.
    """

    iteration: int | None = None
    rows: FloatRows | None = None
    reason: str | None = None
